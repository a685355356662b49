"""SMTP submission (RFC 6409, 4954) as sizes. Behind STARTTLS a client says EHLO again."""

from exporter.vocabulary import Mechanism
from exporter.wire.inference.grammar import (
    CHALLENGED,
    FRESH,
    LEFT,
    REFUSED,
    SESSION,
    SIGNED_IN,
    STUBBORN,
    Grammar,
    Move,
    Size,
    Verdict,
    Words,
    challenges,
    done,
    goes_on,
    mail,
    ranges,
)
from exporter.wire.inference.imap import LONG_RESPONSE, LONG_TOKEN, LONGEST, again, line, password_response, response
from exporter.wire.inference.microsoft import SMTP as MICROSOFT
from exporter.wire.inference.pop import command, with_response

_PASSWORD, _TOKEN, _OTHER = Mechanism.PASSWORD, Mechanism.TOKEN, Mechanism.OTHER
_START, _HELLO = "start", "hello"
#: MAIL FROM:<> is the shortest.
_SHORTEST_MAIL = len("MAIL FROM:<>") + 2

_BEGUN = {Verdict.CONTINUE: "password response", Verdict.REFUSED: REFUSED}
_BEGUN_TOKEN = {Verdict.CONTINUE: "token response", Verdict.REFUSED: REFUSED}

_CREDENTIALS = (
    Move(size=command("AUTH PLAIN"), asks="begin", names=_PASSWORD, then=_BEGUN),
    Move(size=with_response("AUTH PLAIN", 16, 448), asks="password", then=SIGNED_IN, mechanism=_PASSWORD),
    Move(size=command("AUTH LOGIN"), asks="prompt", names=_PASSWORD,
         then={Verdict.CONTINUE: "user response", Verdict.REFUSED: REFUSED}),
    Move(size=with_response("AUTH LOGIN", 4, 100), asks="prompt", names=_PASSWORD, then={Verdict.CONTINUE: "password response"}),
    Move(size=command("AUTH XOAUTH2"), asks="begin", names=_TOKEN, then=_BEGUN_TOKEN),
    Move(size=with_response("AUTH XOAUTH2", LONG_RESPONSE, LONGEST), asks="token", then=SIGNED_IN, mechanism=_TOKEN),
    Move(size=with_response("AUTH XOAUTH2", 64, LONG_RESPONSE - 4), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=9),
    Move(size=command("AUTH OAUTHBEARER"), asks="begin", names=_TOKEN, then=_BEGUN_TOKEN, cost=2),
    Move(size=with_response("AUTH OAUTHBEARER", LONG_RESPONSE, LONGEST), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=1),
    Move(size=command("AUTH CRAM-MD5"), asks="challenge", names=_OTHER, cost=5, then={Verdict.CONTINUE: "other response"}),
    Move(size=command("AUTH DIGEST-MD5"), asks="challenge", names=_OTHER, cost=6, then={Verdict.CONTINUE: "other response"}),
    Move(size=with_response("AUTH SCRAM-SHA-1", 32, 160), asks="challenge", names=_OTHER, cost=5,
         then={Verdict.CONTINUE: "other response"}),
    Move(size=with_response("AUTH SCRAM-SHA-256", 32, 160), asks="challenge", names=_OTHER, cost=5,
         then={Verdict.CONTINUE: "other response"}),
)  # fmt: skip
_FAREWELL = Move(size=command("QUIT"), asks="logout", then={Verdict.DONE: LEFT}, last=True)
_ANY = Size(1, 10_000_000, tagged=False, bits=6)

MOVES: dict[str, tuple[Move, ...]] = {
    _START: (Move(size=line(7, 90), asks="hello", then={Verdict.DONE: _HELLO}), _FAREWELL),
    _HELLO: (*_CREDENTIALS, _FAREWELL,
             Move(size=line(7, 90), asks="hello", then={Verdict.DONE: _HELLO}, cost=7),
             Move(size=command("NOOP"), asks="noop", then={Verdict.DONE: _HELLO}, cost=4, not_last=True),
             Move(size=line(14, 300), asks="mail", then={Verdict.DONE: "unauthenticated"}, cost=7)),
    "unauthenticated": (Move(size=_ANY, asks="session", then={Verdict.DONE: "unauthenticated"}),),
    "user response": (Move(size=response(4, 60), asks="prompt", then={Verdict.CONTINUE: "password response"}, names=_PASSWORD),),
    "password response": password_response("password"),
    "token response": (Move(size=response(24, LONG_RESPONSE - 4), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=6),
                       Move(size=LONG_TOKEN, asks="token", then=SIGNED_IN, mechanism=_TOKEN),
                       Move(size=line(LONG_RESPONSE, LONGEST), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=4)),
    "other response": (Move(size=response(16, 600), asks="password", then=SIGNED_IN, mechanism=_OTHER),
                       Move(size=response(16, 600), asks="challenge", names=_OTHER, then={Verdict.CONTINUE: "other response"}),
                       Move(size=line(2, 2), asks="password", then=SIGNED_IN, mechanism=_OTHER, cost=2)),
    CHALLENGED: (Move(size=line(1, 8), asks="after challenge", then={Verdict.REFUSED: REFUSED}),
                 Move(size=line(9, LONGEST), asks="after challenge", then={Verdict.REFUSED: REFUSED}, cost=3)),
    REFUSED: (*again(_CREDENTIALS), _FAREWELL,
              Move(size=line(7, 90), asks="hello", then={Verdict.DONE: REFUSED}, cost=3),
              Move(size=line(_SHORTEST_MAIL, 300), asks="illegal", then={Verdict.DONE: STUBBORN}, cost=2),
              Move(size=command("RSET"), asks="noop", then={Verdict.DONE: REFUSED}, cost=2, not_last=True)),
    STUBBORN: (*again(_CREDENTIALS), _FAREWELL,
               Move(size=command("RSET"), asks="noop", then={Verdict.DONE: STUBBORN}, cost=1, not_last=True),
               Move(size=line(_SHORTEST_MAIL, 300), asks="illegal", then={Verdict.DONE: STUBBORN}, cost=2)),
    FRESH: (Move(size=Size(_SHORTEST_MAIL, 10_000_000, tagged=False, bits=6), asks="mail", then={Verdict.DONE: "begun"}),
            Move(size=command("NOOP"), asks="noop", then={Verdict.DONE: FRESH}, cost=1, not_last=True),
            Move(size=command("QUIT"), asks="logout", then={Verdict.DONE: LEFT}, last=True, cost=5)),
    "begun": (Move(size=Size(_SHORTEST_MAIL, 10_000_000, tagged=False, bits=6), asks="mail", then={Verdict.DONE: "addressed"}),
              Move(size=command("DATA"), asks="session", then={Verdict.DONE: SESSION}, not_last=True),
              Move(size=command("QUIT"), asks="logout", then={Verdict.DONE: LEFT}, cost=4, last=True)),
    "addressed": (Move(size=_ANY, asks="session", then={Verdict.DONE: SESSION}, not_last=True),
                  Move(size=command("QUIT"), asks="logout", then={Verdict.DONE: LEFT}, cost=3, last=True)),
    SESSION: (Move(size=_ANY, asks="session", then={Verdict.DONE: SESSION}),),
    LEFT: (),
}  # fmt: skip

_CHALLENGE = challenges("334 ")
#: "235 2.7.0 Authentication successful" is RFC 4954's own example; Exim says "235 Authentication succeeded".
_ACCEPTED = ranges(
    Verdict.ACCEPTED,
    (8, 19, 6), (20, 29, 3), (30, 30, 0), (31, 35, 9), (36, 37, 0), (38, 50, 5), (51, 90, 12), (91, 200, 14),
    tagged=False,
)  # fmt: skip
_REFUSED = ranges(
    Verdict.REFUSED, (10, 22, 8), (23, 29, 2), (30, 30, 13), (31, 35, 0), (36, 37, 13), (38, 300, 0), (301, 600, 3), tagged=False
)

GENERIC: Words = {
    "hello": (done(60, 900, tagged=False), done(8, 59, 5, tagged=False)),
    "noop": (done(6, 60, tagged=False),),
    "logout": (done(5, 120, tagged=False),),
    "illegal": (done(6, 26, 3, tagged=False), done(27, 300, tagged=False)),
    "mail": (done(6, 30, tagged=False), done(31, 45, 1, tagged=False), done(46, 110, 4, tagged=False), done(111, 1_000, 5, tagged=False)),
    "begin": (goes_on(5, 8), goes_on(9, 24, 4), *ranges(Verdict.REFUSED, (15, 160, 4), tagged=False)),
    "prompt": (goes_on(18, 18), goes_on(5, 40, 4), *ranges(Verdict.REFUSED, (20, 160, 4), tagged=False)),
    "challenge": (goes_on(24, 400), goes_on(5, 8, 3)),
    "password": (*_ACCEPTED, *_REFUSED),
    "token": (*_ACCEPTED, *_REFUSED, *_CHALLENGE),
    "after challenge": ranges(Verdict.REFUSED, (15, 24, 2), (25, 90, 0), (91, 300, 3), tagged=False),
    "session": (mail(0, 40, 5), mail(41, 10_000_000, 8)),
}

SMTP = Grammar(start=_START, moves=MOVES, generic=GENERIC, microsoft=MICROSOFT)
