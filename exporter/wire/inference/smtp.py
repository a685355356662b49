"""SMTP submission (RFC 6409, 4954) as sizes. Behind STARTTLS a client says EHLO again."""

import functools
from dataclasses import replace

from exporter.wire.inference.grammar import (
    FRESH,
    LEFT,
    LISTED,
    REFUSED,
    SESSION,
    START,
    STUBBORN,
    Grammar,
    Move,
    Size,
    Verdict,
    Words,
    done,
    farewell,
    line,
    mail,
    ranges,
    stays,
)
from exporter.wire.inference.microsoft import smtp_words
from exporter.wire.inference.sasl import (
    ANSWERS_TO_JUNK,
    JUNK,
    STATES,
    after_challenge,
    again,
    challenges,
    continuations,
    exchanges,
)

_BEGUN, _ADDRESSED = "begun", "addressed"
_UNAUTHENTICATED = "unauthenticated"


def _command(text: str) -> Size:
    return line(len(text) + 2, len(text) + 2)


#: EHLO with a name, MAIL FROM or RCPT TO, and anything that is said in a session.
_HELLO = line(_command("EHLO ").low, 90)
_SENDER = line(_command("MAIL FROM:<>").low, 300)
_ENVELOPE = Size(_SENDER.low, 300, tagged=False, bits=6)
_LONG_ENVELOPE = Size(301, 100_000, tagged=False, bits=13)
_ANY = Size(1, 10_000_000, tagged=False, bits=6)

_CREDENTIALS = exchanges("AUTH", tagged=False)
_FAREWELL = farewell(_command("QUIT"))
#: NOOP and RSET have QUIT's length.
_QUICK = _command("NOOP")

MOVES: dict[str, tuple[Move, ...]] = {
    START: (stays(LISTED, _HELLO, "hello"), _FAREWELL),
    LISTED: (
        *_CREDENTIALS,
        stays(LISTED, _HELLO, "hello", cost=7),
        stays(LISTED, _QUICK, "noop", cost=4, not_last=True),
        stays(_UNAUTHENTICATED, _SENDER, "mail unauthenticated", cost=10),
        _FAREWELL,
    ),
    _UNAUTHENTICATED: (stays(_UNAUTHENTICATED, _ANY, "session"),),
    **STATES,
    REFUSED: (
        JUNK,
        *again(_CREDENTIALS),
        stays(REFUSED, _HELLO, "hello", cost=3),
        stays(REFUSED, _QUICK, "noop", cost=2, not_last=True),
        stays(STUBBORN, _SENDER, "illegal", cost=2),
        _FAREWELL,
    ),
    STUBBORN: (
        *again(_CREDENTIALS),
        stays(STUBBORN, _QUICK, "noop", cost=1, not_last=True),
        stays(STUBBORN, _SENDER, "illegal", cost=2),
        _FAREWELL,
    ),
    # the envelope, a command at a time or all at once (RFC 2920)
    FRESH: (
        stays(_BEGUN, _ENVELOPE, "mail"),
        stays(_BEGUN, _LONG_ENVELOPE, "mail"),
        stays(FRESH, _QUICK, "noop", cost=1, not_last=True),
        replace(_FAREWELL, cost=5),
    ),
    _BEGUN: (
        stays(_ADDRESSED, _ENVELOPE, "mail"),
        stays(_ADDRESSED, _LONG_ENVELOPE, "mail"),
        stays(SESSION, _command("DATA"), "session", not_last=True),
        replace(_FAREWELL, cost=4),
    ),
    _ADDRESSED: (stays(SESSION, _ANY, "session", not_last=True), replace(_FAREWELL, cost=3)),
    SESSION: (stays(SESSION, _ANY, "session"),),
    LEFT: (),
}

#: RFC 4954's own example is "235 2.7.0 Authentication successful"; Exim says "235 Authentication succeeded".
_ACCEPTED = ranges(
    Verdict.ACCEPTED,
    *((8, 19, 6), (20, 29, 3), (30, 30, 0), (31, 32, 1), (33, 35, 9), (36, 37, 0), (38, 50, 5)),
    *((51, 90, 12), (91, 200, 14)),
    tagged=False,
)
_REFUSED = ranges(
    Verdict.REFUSED,
    *((10, 22, 8), (23, 29, 2), (30, 30, 13), (31, 32, 3), (33, 35, 0), (36, 37, 13), (38, 300, 0), (301, 600, 3)),
    tagged=False,
)

#: Some let anybody begin, and refuse when they hear to whom.
_ANSWERS_TO_MAIL = tuple(
    done(low, high, cost, tagged=False) for low, high, cost in ((6, 30, 0), (31, 45, 1), (46, 110, 4), (111, 999, 5))
)

GENERIC: Words = {
    "junk": ANSWERS_TO_JUNK,
    "hello": (done(60, 900, tagged=False), done(8, 59, 5, tagged=False)),
    "noop": (done(6, 60, tagged=False),),
    "logout": (done(5, 120, tagged=False),),
    "illegal": (done(6, 26, 3, tagged=False), done(27, 300, tagged=False)),
    **dict.fromkeys(("mail", "mail unauthenticated"), _ANSWERS_TO_MAIL),
    **continuations("334 ", ranges(Verdict.REFUSED, (15, 160, 4), tagged=False)),
    **dict.fromkeys(("password", "password at once"), (*_ACCEPTED, *_REFUSED)),
    **dict.fromkeys(("token", "token at once"), (*_ACCEPTED, *_REFUSED, *challenges("334 "))),
    "after challenge": after_challenge(tagged=False),
    "session": (mail(0, 40, 5), mail(41, 10_000_000, 8)),
}


@functools.lru_cache(maxsize=64)
def smtp(banner_length: int | None = None) -> Grammar:
    """The grammar; Microsoft's words depend on the length of the banner."""
    return Grammar(moves=MOVES, generic=GENERIC, microsoft=smtp_words(banner_length))
