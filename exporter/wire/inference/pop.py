"""POP3 (RFC 1939, 2449, 5034) as sizes. Nothing carries a tag, so that all sizes are absolute."""

from dataclasses import replace

from exporter.vocabulary import Mechanism
from exporter.wire.inference.grammar import (
    FRESH,
    LEFT,
    LISTED,
    REFUSED,
    SESSION,
    START,
    STUBBORN,
    TOGETHER,
    Grammar,
    Move,
    Size,
    Verdict,
    Words,
    answers_together,
    done,
    farewell,
    goes_on,
    line,
    mail,
    ranges,
    stays,
    together,
)
from exporter.wire.inference.microsoft import POP as MICROSOFT
from exporter.wire.inference.sasl import (
    ANSWERS_TO_JUNK,
    JUNK,
    LONG_RESPONSE,
    LONGEST,
    STATES,
    after_challenge,
    again,
    announces,
    challenges,
    continuations,
    exchanges,
    presents,
)

_NAMED = "named"  # the user was


def _command(text: str) -> Size:
    return line(len(text) + 2, len(text) + 2)


_USER, _PASS = _command("USER ").low, _command("PASS ").low

_CREDENTIALS = (
    announces(line(_USER + 1, _USER + 43), "user", Mechanism.PASSWORD, _NAMED),
    announces(line(_USER + 44, _USER + 103), "user", Mechanism.PASSWORD, _NAMED, cost=8),
    *exchanges("AUTH", tagged=False),
    # APOP user digest
    presents(line(_command("APOP  ").low + 33, 120), "login", Mechanism.OTHER, cost=13),
)
#: USER and PASS and STAT in one go.
_AT_ONCE = ((30, LONG_RESPONSE, Mechanism.PASSWORD), (LONG_RESPONSE + 24, LONGEST, Mechanism.TOKEN))
_FAREWELL = farewell(_command("QUIT"))


def _housekeeping(state: str, *, again: float) -> tuple[Move, ...]:
    """What is asked without signing in; `again`: how surprising it is to ask now for the capabilities."""
    return (
        stays(state, _command("CAPA"), "capability", cost=again),
        stays(state, _command("AUTH"), "mechanisms", cost=again + 3),
    )


def _in_session(state: str) -> tuple[Move, ...]:
    """STAT, LIST, RETR 12, TOP 12 0: nothing is long, and only TOP with two long numbers has more than ten bytes."""
    return tuple(
        stays(state, Size(low, high, tagged=False, bits=bits), "session")
        for low, high, bits in ((4, 10, 3), (11, 14, 5), (15, 80, 9), (81, 1_000_000, 16))
    )


_FIRST = (
    *(replace(move, not_last=True) for move in _in_session(SESSION)),
    stays(SESSION, line(7, 60), "session", last=True, cost=2),
    replace(_FAREWELL, cost=5),
)


def _illegal(*, cost: float, not_last: bool = False) -> tuple[Move, ...]:
    """Commands of a session where there is none."""
    return tuple(
        stays(STUBBORN, Size(low, high, tagged=False, bits=bits), "illegal", cost=cost, not_last=not_last)
        for low, high, bits in ((6, 10, 3), (11, 14, 5), (15, 60, 9))
    )


MOVES: dict[str, tuple[Move, ...]] = {
    START: (*_housekeeping(LISTED, again=0), *_CREDENTIALS, *together(*_AT_ONCE), _FAREWELL),
    LISTED: (*_housekeeping(LISTED, again=5), *_CREDENTIALS, *together(*_AT_ONCE, late=8), replace(_FAREWELL, cost=2)),
    _NAMED: (
        presents(line(_PASS + 8, _PASS + 203), "login", Mechanism.PASSWORD),
        presents(line(_PASS + 1, _PASS + 7), "login", Mechanism.PASSWORD, cost=4),
        # a token where a password belongs: what it is called then is a matter of taste
        presents(Size(431, LONGEST, tagged=False, bits=8), "login", Mechanism.UNKNOWN, cost=6),
    ),
    **STATES,
    REFUSED: (
        JUNK,
        *_housekeeping(REFUSED, again=5),
        *again(_CREDENTIALS),
        *_illegal(cost=5, not_last=True),
        _FAREWELL,
    ),
    STUBBORN: (*again(_CREDENTIALS), *_illegal(cost=1), _FAREWELL),
    FRESH: _FIRST,
    SESSION: (*_in_session(SESSION), _FAREWELL),
    TOGETHER: _in_session(TOGETHER),
    LEFT: (),
}

_REFUSED = ranges(
    Verdict.REFUSED,
    *((6, 18, 14), (19, 21, 1), (22, 45, 0), (46, 70, 1), (71, 80, 5), (81, 120, 8), (121, 250, 10)),
    tagged=False,
)
#: "+OK Logged in.", or what is in the mailbox: RFC 1939's own example has 49 bytes, Cyrus' 87.
_ACCEPTED = ranges(Verdict.ACCEPTED, (5, 8, 4), (9, 18, 0), (19, 29, 6), (30, 60, 5), (61, 140, 4), tagged=False)

GENERIC: Words = {
    "junk": ANSWERS_TO_JUNK,
    "capability": (done(20, 600, tagged=False),),
    "mechanisms": (done(12, 150, tagged=False),),
    "logout": (done(5, 120, tagged=False),),
    "illegal": (done(6, 14, 6, tagged=False), done(15, 90, tagged=False)),
    "user": (goes_on(5, 5, 1), goes_on(6, 90)),  # "+OK", or with what the server thinks of the name
    **continuations("+ ", ranges(Verdict.REFUSED, (10, 120, 8), tagged=False)),
    "login": (*_ACCEPTED, *_REFUSED),
    **dict.fromkeys(("password", "password at once"), (*_ACCEPTED, *_REFUSED)),
    **dict.fromkeys(("token", "token at once"), (*_ACCEPTED, *_REFUSED, *challenges("+ "))),
    "after challenge": after_challenge(tagged=False),
    "together": answers_together(5),
    "session": (mail(0, 8, 6), mail(9, 24, 4), mail(25, 60, 6), mail(61, 10_000_000, 6)),
}

POP = Grammar(moves=MOVES, generic=GENERIC, microsoft=MICROSOFT)
