"""IMAP (RFC 9051, 3501) as sizes: what clients say until they are signed in, and the shapes of servers' replies."""

from dataclasses import replace

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
from exporter.wire.inference.microsoft import IMAP as MICROSOFT

_PASSWORD, _TOKEN, _OTHER = Mechanism.PASSWORD, Mechanism.TOKEN, Mechanism.OTHER
_START, _LISTED = "start", "listed"

#: A token of 300 bytes makes an XOAUTH2 response of so many, as base64; passwords up to 200 stay at or below it.
LONG_RESPONSE = 436
#: How much the length of a token tells: nearly all have 1,000 to 3,000 bytes.
TOKEN_BITS = 8.0
#: The longest response that is looked at: a token of 4,000 bytes with room to spare.
LONGEST = 12_000


def command(text: str) -> Size:
    """A command of exactly these words: a tag, a space, the words, CRLF."""
    return Size(1 + len(text) + 2, 1 + len(text) + 2)


def with_response(text: str, low: int, high: int) -> Size:
    """A command with an initial response (RFC 4959) of `low` to `high` bytes, as base64."""
    base = 1 + len(text) + 1 + 2
    return Size(base + low, base + high, base64=True, bits=TOKEN_BITS if low >= LONG_RESPONSE else None)


def response(low: int, high: int) -> Size:
    """A response on a line of its own."""
    return Size(2 + low, 2 + high, base64=True, tagged=False)


#: A token's response on a line of its own.
LONG_TOKEN = Size(2 + LONG_RESPONSE, 2 + LONGEST, base64=True, tagged=False, bits=TOKEN_BITS)


def line(low: int, high: int) -> Size:
    return Size(low, high, tagged=False)


_LOGIN = 1 + len("LOGIN") + 1 + 1 + 2  # with the space between user and password


#: NOOP and IDLE: no command is shorter.
_SHORTEST = 1 + len("NOOP") + 2


def _housekeeping(state: str, again: float) -> tuple[Move, ...]:
    """What is asked without signing in; `again`: how surprising it is now to ask for what was told before."""
    stays = {Verdict.DONE: state}
    return (
        Move(size=command("CAPABILITY"), asks="capability", then=stays, cost=again),
        Move(size=command("NOOP"), asks="noop", then=stays, cost=3),
        Move(size=Size(9, 40), asks="id", then=stays, cost=3),
        Move(size=Size(41, 200), asks="id", then=stays, cost=2),
        Move(size=Size(201, 500), asks="id", then=stays, cost=5),
    )


_CREDENTIALS = (
    # LOGIN user password, also with LITERAL+, whose parts nobody waits for
    *(
        Move(size=Size(_LOGIN + low, _LOGIN + high), asks="login", then=SIGNED_IN, mechanism=_PASSWORD, cost=cost)
        for low, high, cost in ((4, 10, 12), (11, 60, 0), (61, 110, 3), (111, 310, 5))
    ),
    # a token where a password belongs: what it is called then is a matter of taste
    Move(size=Size(_LOGIN + 431, _LOGIN + LONGEST, bits=TOKEN_BITS), asks="login", then=SIGNED_IN, mechanism=Mechanism.UNKNOWN, cost=8),
    # LOGIN {n} and LOGIN user {n}
    Move(size=Size(12, 14), asks="literal", then={Verdict.CONTINUE: "user literal"}, names=_PASSWORD, cost=2),
    Move(size=Size(15, 110), asks="literal", then={Verdict.CONTINUE: "password literal"}, names=_PASSWORD, cost=7),
    # SASL, RFC 4616 PLAIN and the old LOGIN
    Move(size=with_response("AUTHENTICATE PLAIN", 16, 448), asks="plain", then=SIGNED_IN, mechanism=_PASSWORD),
    Move(size=command("AUTHENTICATE PLAIN"), asks="begin", names=_PASSWORD,
         then={Verdict.CONTINUE: "password response", Verdict.REFUSED: REFUSED}),
    Move(size=command("AUTHENTICATE LOGIN"), asks="begin login", names=_PASSWORD, then={Verdict.CONTINUE: "user response"}),
    Move(size=with_response("AUTHENTICATE LOGIN", 4, 100), asks="begin login", names=_PASSWORD, cost=3,
         then={Verdict.CONTINUE: "password response"}),
    # tokens: XOAUTH2 and RFC 7628 OAUTHBEARER
    Move(size=with_response("AUTHENTICATE XOAUTH2", LONG_RESPONSE, LONGEST), asks="token", then=SIGNED_IN, mechanism=_TOKEN),
    Move(size=with_response("AUTHENTICATE XOAUTH2", 64, LONG_RESPONSE - 4), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=10),
    Move(size=command("AUTHENTICATE XOAUTH2"), asks="begin", names=_TOKEN,
         then={Verdict.CONTINUE: "token response", Verdict.REFUSED: REFUSED}),
    Move(size=with_response("AUTHENTICATE OAUTHBEARER", LONG_RESPONSE, LONGEST), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=1),
    Move(size=command("AUTHENTICATE OAUTHBEARER"), asks="begin", names=_TOKEN, cost=1,
         then={Verdict.CONTINUE: "token response", Verdict.REFUSED: REFUSED}),
    # mechanisms with a challenge of the server's: neither a password nor a token passes
    Move(size=command("AUTHENTICATE CRAM-MD5"), asks="begin other", names=_OTHER, cost=5, then={Verdict.CONTINUE: "other response"}),
    Move(size=command("AUTHENTICATE DIGEST-MD5"), asks="begin other", names=_OTHER, cost=6, then={Verdict.CONTINUE: "other response"}),
    Move(size=with_response("AUTHENTICATE SCRAM-SHA-1", 32, 160), asks="begin other", names=_OTHER, cost=5,
         then={Verdict.CONTINUE: "other response"}),
    Move(size=with_response("AUTHENTICATE SCRAM-SHA-256", 32, 160), asks="begin other", names=_OTHER, cost=5,
         then={Verdict.CONTINUE: "other response"}),
)  # fmt: skip

_FAREWELL = Move(size=command("LOGOUT"), asks="logout", then={Verdict.DONE: LEFT}, last=True)


def password_response(asks: str) -> tuple[Move, ...]:
    """A password alone, or all of PLAIN; of less than 8 bytes it is hardly one."""
    return (
        Move(size=response(12, 448), asks=asks, then=SIGNED_IN, mechanism=_PASSWORD),
        Move(size=response(4, 8), asks=asks, then=SIGNED_IN, mechanism=_PASSWORD, cost=8),
    )


def in_session(
    then: str, *, long: float, last: bool = True, shortest: int = 3, tagged: bool = False
) -> tuple[Move, ...]:
    """Any command; `long`: how surprising one is that is as long as a token. `last`: it may be the client's last."""
    return tuple(
        Move(size=Size(low, high, tagged=tagged, bits=bits), asks="session", then={Verdict.DONE: then}, not_last=not last)
        for low, high, bits in ((shortest, 60, 4), (61, 430, 7), (431, 10_000_000, long))
    )


_KNOWN_IN_SESSION = (
    Move(size=command("CAPABILITY"), asks="capability in session", then={Verdict.DONE: SESSION}, cost=2),
    Move(size=command("NOOP"), asks="noop", then={Verdict.DONE: SESSION}, cost=3),
    Move(size=Size(41, 200), asks="id", then={Verdict.DONE: SESSION}, cost=4),
)


def again(moves: tuple[Move, ...]) -> tuple[Move, ...]:
    """Moves of who was refused before: not everybody tries once more."""
    return tuple(replace(move, cost=move.cost + 2) for move in moves)


def _illegal(cost: float) -> tuple[Move, ...]:
    """Commands of a session where there is none."""
    return tuple(
        Move(size=Size(low, high, bits=bits), asks="illegal", then={Verdict.DONE: STUBBORN}, cost=cost)
        for low, high, bits in ((6, 60, 4), (61, 400, 9))
    )


#: CAPABILITY and LOGIN and SELECT, USER and PASS and STAT.
_TOGETHER = together((30, LONG_RESPONSE, _PASSWORD), (LONG_RESPONSE + 24, LONGEST, _TOKEN))

MOVES: dict[str, tuple[Move, ...]] = {
    _START: (*_housekeeping(_LISTED, 0), *_CREDENTIALS, *_TOGETHER, _FAREWELL),
    _LISTED: (*_housekeeping(_LISTED, 5), *_CREDENTIALS, *_TOGETHER, replace(_FAREWELL, cost=3),
              Move(size=Size(6, 400, bits=4), asks="illegal", then={Verdict.DONE: _LISTED}, cost=14)),
    "user literal": (Move(size=line(5, 110), asks="literal", then={Verdict.CONTINUE: "password literal"}, names=_PASSWORD),
                     Move(size=line(14, 330), asks="login", then=SIGNED_IN, mechanism=_PASSWORD, cost=3)),
    "password literal": (Move(size=line(3, 210), asks="login", then=SIGNED_IN, mechanism=_PASSWORD),),
    "user response": (Move(size=response(4, 60), asks="begin login", then={Verdict.CONTINUE: "password response"}, names=_PASSWORD),),
    "password response": password_response("plain"),
    "token response": (Move(size=response(24, LONG_RESPONSE - 4), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=6),
                       Move(size=LONG_TOKEN, asks="token", then=SIGNED_IN, mechanism=_TOKEN),
                       Move(size=line(LONG_RESPONSE, LONGEST), asks="token", then=SIGNED_IN, mechanism=_TOKEN, cost=4)),
    "other response": (Move(size=response(16, 600), asks="plain", then=SIGNED_IN, mechanism=_OTHER),
                       Move(size=response(16, 600), asks="begin other", names=_OTHER, then={Verdict.CONTINUE: "other response"}),
                       Move(size=line(2, 2), asks="plain", then=SIGNED_IN, mechanism=_OTHER, cost=2)),
    CHALLENGED: (Move(size=line(1, 8), asks="after challenge", then={Verdict.REFUSED: REFUSED}),
                 Move(size=line(9, LONGEST), asks="after challenge", then={Verdict.REFUSED: REFUSED}, cost=3)),
    REFUSED: (*_housekeeping(REFUSED, 5), *again(_CREDENTIALS), _FAREWELL, *_illegal(4)),
    STUBBORN: (*again(_CREDENTIALS), _FAREWELL, *_illegal(1)),
    FRESH: (*in_session(SESSION, long=15, last=False, shortest=_SHORTEST, tagged=True), *_KNOWN_IN_SESSION,
            Move(size=Size(_SHORTEST, 430, bits=8), asks="session", then={Verdict.DONE: SESSION}, last=True),
            Move(size=command("LOGOUT"), asks="logout", then={Verdict.DONE: LEFT}, last=True, cost=5)),
    SESSION: (*in_session(SESSION, long=11), *_KNOWN_IN_SESSION, _FAREWELL),
    LEFT: (),
    TOGETHER: in_session(TOGETHER, long=11),
}  # fmt: skip

_CHALLENGE = challenges("+ ")
#: A refusal says what failed ("NO LOGIN failed", RFC 3501 6.2.3): it is hardly shorter than that.
_REFUSED = ranges(
    Verdict.REFUSED,
    (9, 15, 13), (16, 17, 9), (18, 19, 0), (20, 70, 1), (71, 99, 5), (100, 180, 10), (181, 400, 14),
)  # fmt: skip
#: An acceptance is short ("OK Logged in."), or it brings the capabilities with it (RFC 9051 6.2.3).
_ACCEPTED = ranges(
    Verdict.ACCEPTED,
    (6, 8, 8), (9, 12, 4), (13, 17, 0), (18, 20, 4), (21, 22, 0), (23, 40, 4), (41, 99, 6),
    (100, 600, 0), (601, 1_500, 1), (1_501, 4_000, 5),
)  # fmt: skip

GENERIC: Words = {
    "together": ANSWERS_TOGETHER,
    "capability": (done(40, 1_500),),
    "capability in session": (done(40, 1_500),),
    "noop": (done(8, 80),),
    "id": (done(12, 30, 2), done(31, 160), done(161, 700, 4)),
    "logout": (done(15, 250),),
    "illegal": (done(8, 60), done(61, 90, 6)),
    "literal": (goes_on(3, 40), goes_on(41, 70, 3)),
    "begin": (goes_on(3, 4), goes_on(5, 6, 4), *ranges(Verdict.REFUSED, (10, 120, 5))),
    "begin login": (goes_on(16, 16), goes_on(3, 30, 5)),
    "begin other": (goes_on(24, 400), goes_on(3, 4, 3)),
    "login": (*_ACCEPTED, *_REFUSED),
    "plain": (*_ACCEPTED, *_REFUSED),
    "token": (*_ACCEPTED, *_REFUSED, *_CHALLENGE),
    "after challenge": ranges(Verdict.REFUSED, (9, 24, 2), (25, 80, 0), (81, 200, 3)),
    "session": (mail(0, 39, 9), mail(40, 69, 9), mail(70, 10_000_000, 6)),
}

IMAP = Grammar(
    start=_START,
    moves=MOVES,
    generic=GENERIC,
    microsoft=MICROSOFT,
    tags={1: 0, 2: 0, 3: 1, 4: 0, 5: 0, 6: 1, 7: 3, 8: 2, 9: 1, 10: 3},
)
