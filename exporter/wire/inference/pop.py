"""POP3 (RFC 1939, 2449, 5034) as sizes. Commands carry no tag, so that all sizes are absolute."""

from exporter.vocabulary import Mechanism
from exporter.wire.inference.grammar import (
    ANSWERS_TOGETHER,
    CHALLENGED,
    FRESH,
    LEFT,
    REFUSED,
    SESSION,
    SIGNED_IN,
    STUBBORN,
    TOGETHER,
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
    together,
)
from exporter.wire.inference.imap import (
    LONG_RESPONSE,
    LONG_TOKEN,
    LONGEST,
    TOKEN_BITS,
    again,
    line,
    password_response,
    response,
)
from exporter.wire.inference.microsoft import POP as MICROSOFT

_PASSWORD, _TOKEN, _OTHER = Mechanism.PASSWORD, Mechanism.TOKEN, Mechanism.OTHER
_START, _LISTED = "start", "listed"


def command(text: str) -> Size:
    return Size(len(text) + 2, len(text) + 2, tagged=False)


def with_response(text: str, low: int, high: int) -> Size:
    base = len(text) + 1 + 2
    bits = TOKEN_BITS if low >= LONG_RESPONSE else None
    return Size(base + low, base + high, base64=True, tagged=False, bits=bits)


_BEGUN = {Verdict.CONTINUE: "password response", Verdict.REFUSED: REFUSED}
_BEGUN_TOKEN = {Verdict.CONTINUE: "token response", Verdict.REFUSED: REFUSED}

_CREDENTIALS = (
    Move(size=line(len("USER") + 1 + 1 + 2, 50), asks="user", then={Verdict.CONTINUE: "user"}, names=_PASSWORD),
    Move(size=line(51, 110), asks="user", then={Verdict.CONTINUE: "user"}, names=_PASSWORD, cost=4),
    Move(size=command("AUTH PLAIN"), asks="begin", names=_PASSWORD, then=_BEGUN),
    Move(size=with_response("AUTH PLAIN", 16, 448), asks="plain", then=SIGNED_IN, mechanism=_PASSWORD),
    Move(size=command("AUTH LOGIN"), asks="begin login", names=_PASSWORD, then={Verdict.CONTINUE: "user response"}),
    Move(size=command("AUTH XOAUTH2"), asks="begin", names=_TOKEN, then=_BEGUN_TOKEN),
    Move(size=with_response("AUTH XOAUTH2", LONG_RESPONSE, LONGEST), asks="token", then=SIGNED_IN, mechanism=_TOKEN),
    Move(size=command("AUTH OAUTHBEARER"), asks="begin", names=_TOKEN, then=_BEGUN_TOKEN, cost=1),
    Move(size=with_response("AUTH OAUTHBEARER", LONG_RESPONSE, LONGEST), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=1),
    Move(size=command("AUTH CRAM-MD5"), asks="begin other", names=_OTHER, cost=3, then={Verdict.CONTINUE: "other response"}),
    Move(size=line(len("APOP") + 2 + 1 + 32 + 2, 120), asks="plain", then=SIGNED_IN, mechanism=_OTHER, cost=9),
)  # fmt: skip


def _housekeeping(state: str, cost: float) -> tuple[Move, ...]:
    """What is asked without signing in; `cost`: of asking for the capabilities."""
    stays = {Verdict.DONE: state}
    return (
        Move(size=command("CAPA"), asks="capability", then=stays, cost=cost),
        Move(size=command("AUTH"), asks="mechanisms", then=stays, cost=cost + 3),
    )


_FAREWELL = Move(size=command("QUIT"), asks="logout", then={Verdict.DONE: LEFT}, last=True)



def _in_session(then: str = SESSION, *, last: bool = True) -> tuple[Move, ...]:
    """STAT, LIST, RETR 12, TOP 12 0: nothing is long. `last`: it may be the client's last."""
    return tuple(
        Move(size=Size(low, high, tagged=False, bits=bits), asks="session", then={Verdict.DONE: then}, not_last=not last)
        for low, high, bits in ((4, 14, 3), (15, 80, 9), (81, 1_000_000, 16))
    )


#: CAPABILITY and LOGIN and SELECT, USER and PASS and STAT.
_TOGETHER = together((30, LONG_RESPONSE, _PASSWORD), (LONG_RESPONSE + 24, LONGEST, _TOKEN))

MOVES: dict[str, tuple[Move, ...]] = {
    _START: (*_housekeeping(_LISTED, 0), *_CREDENTIALS, *_TOGETHER, _FAREWELL),
    _LISTED: (*_housekeeping(_LISTED, 5), *_CREDENTIALS, *_TOGETHER, _FAREWELL),
    "user": (Move(size=Size(431, LONGEST, tagged=False, bits=TOKEN_BITS), asks="password", then=SIGNED_IN, mechanism=Mechanism.UNKNOWN, cost=6),
             Move(size=line(len("PASS") + 1 + 2 + 8, 220), asks="password", then=SIGNED_IN, mechanism=_PASSWORD),
             Move(size=line(len("PASS") + 1 + 2 + 1, 14), asks="password", then=SIGNED_IN, mechanism=_PASSWORD, cost=4)),
    "user response": (Move(size=response(4, 60), asks="begin login", then={Verdict.CONTINUE: "password response"}, names=_PASSWORD),),
    "password response": password_response("plain"),
    "token response": (Move(size=response(24, LONG_RESPONSE - 4), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=6),
                       Move(size=LONG_TOKEN, asks="token", then=SIGNED_IN, mechanism=_TOKEN),
                       Move(size=line(LONG_RESPONSE, LONGEST), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=4)),
    "other response": (Move(size=response(16, 600), asks="plain", then=SIGNED_IN, mechanism=_OTHER),),
    CHALLENGED: (Move(size=line(1, 8), asks="after challenge", then={Verdict.REFUSED: REFUSED}),
                 Move(size=line(9, LONGEST), asks="after challenge", then={Verdict.REFUSED: REFUSED}, cost=3)),
    REFUSED: (*_housekeeping(REFUSED, 5), *again(_CREDENTIALS), _FAREWELL,
              Move(size=Size(6, 60, tagged=False, bits=4), asks="illegal", then={Verdict.DONE: STUBBORN}, cost=5, not_last=True)),
    STUBBORN: (*again(_CREDENTIALS), _FAREWELL, Move(size=Size(6, 60, tagged=False, bits=4), asks="illegal", then={Verdict.DONE: STUBBORN}, cost=1)),
    FRESH: (*_in_session(last=False),
            Move(size=line(7, 60), asks="session", then={Verdict.DONE: SESSION}, last=True, cost=2),
            Move(size=command("QUIT"), asks="logout", then={Verdict.DONE: LEFT}, last=True, cost=5)),
    SESSION: _in_session(),
    LEFT: (),
    TOGETHER: _in_session(TOGETHER),
}  # fmt: skip

_CHALLENGE = challenges("+ ")
_REFUSED = ranges(Verdict.REFUSED, (6, 15, 14), (16, 18, 14), (19, 21, 1), (22, 45, 0), (46, 70, 1), (71, 120, 4), (121, 250, 8), tagged=False)
_ACCEPTED = ranges(Verdict.ACCEPTED, (5, 18, 0), (19, 29, 3), (30, 60, 5), (61, 140, 4), tagged=False)

GENERIC: Words = {
    "together": ANSWERS_TOGETHER,
    "capability": (done(20, 600, tagged=False),),
    "mechanisms": (done(3, 150, tagged=False),),
    "logout": (done(5, 120, tagged=False),),
    "illegal": (done(6, 14, 6, tagged=False), done(15, 90, tagged=False)),
    "user": (goes_on(5, 90),),
    "begin": (goes_on(3, 4), goes_on(5, 6, 2), *ranges(Verdict.REFUSED, (10, 120, 5), tagged=False)),
    "begin login": (goes_on(16, 16), goes_on(3, 30, 5)),
    "begin other": (goes_on(20, 400),),
    "password": (*_ACCEPTED, *_REFUSED),
    "plain": (*_ACCEPTED, *_REFUSED),
    "token": (*_ACCEPTED, *_REFUSED, *_CHALLENGE),
    "after challenge": ranges(Verdict.REFUSED, (6, 24, 2), (25, 80, 0), (81, 200, 3), tagged=False),
    "session": (mail(0, 8, 6), mail(9, 24, 4), mail(25, 60, 8), mail(61, 10_000_000, 6)),
}

POP = Grammar(start=_START, moves=MOVES, generic=GENERIC, microsoft=MICROSOFT)
