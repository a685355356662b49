"""IMAP (RFC 9051, 3501) as sizes: what clients say until they are signed in, and the shapes of servers' replies."""

from dataclasses import replace

from exporter.vocabulary import Mechanism
from exporter.wire.inference.grammar import (
    FRESH,
    IDENTIFIED,
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
from exporter.wire.inference.microsoft import IMAP as MICROSOFT
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

#: A tag's length, and how surprising it is: numbers have one or two, `A0001` five, MailKit's nine.
_TAGS = {1: 0, 2: 0, 3: 1, 4: 0, 5: 0, 6: 1, 7: 3, 8: 2, 9: 1, 10: 3}


def _command(text: str) -> Size:
    """Exactly these words, behind the tag: a space, the words, CRLF."""
    return Size(1 + len(text) + 2, 1 + len(text) + 2)


#: NOOP and IDLE: no command is shorter.
_SHORTEST = _command("NOOP").low
_LOGIN = _command("LOGIN  ").low
_USER_LITERAL, _PASSWORD_LITERAL, _SAVING = "user literal", "password literal", "saving"


def _housekeeping(state: str, *, again: float, identified: str = IDENTIFIED) -> tuple[Move, ...]:
    """What is asked without signing in; `again`: how surprising it is to ask now for the capabilities."""
    return (
        stays(state, _command("CAPABILITY"), "capability", cost=again),
        stays(state, _command("NOOP"), "noop", cost=3),
        stays(identified, Size(9, 40), "id", cost=3),
        stays(identified, Size(41, 200), "id", cost=1),
        stays(identified, Size(201, 500), "id", cost=5),
    )


_CREDENTIALS = (
    # LOGIN user password, also with LITERAL+ (RFC 7888), whose parts nobody waits for
    *(
        presents(Size(_LOGIN + low, _LOGIN + high), "login", Mechanism.PASSWORD, cost=cost)
        for low, high, cost in ((4, 10, 12), (11, 18, 5), (19, 60, 0), (61, 110, 5), (111, 310, 6))
    ),
    # a token where a password belongs: what it is called then is a matter of taste
    presents(Size(_LOGIN + 431, _LOGIN + LONGEST, bits=8), "login", Mechanism.UNKNOWN, cost=12),
    # LOGIN {n}, LOGIN user {n}
    announces(Size(_LOGIN + 2, _LOGIN + 4), "literal", Mechanism.PASSWORD, _USER_LITERAL, cost=2),
    announces(Size(_LOGIN + 5, _LOGIN + 100), "literal", Mechanism.PASSWORD, _PASSWORD_LITERAL, cost=7),
    *exchanges("AUTHENTICATE", tagged=True),
)
#: CAPABILITY and LOGIN and SELECT in one go.
_AT_ONCE = ((30, LONG_RESPONSE, Mechanism.PASSWORD), (LONG_RESPONSE + 24, LONGEST, Mechanism.TOKEN))
_FAREWELL = farewell(_command("LOGOUT"))


def _illegal(state: str, *, cost: float) -> tuple[Move, ...]:
    """Commands of a session where there is none."""
    return (
        stays(state, Size(6, 60, bits=4), "illegal", cost=cost),
        stays(state, Size(61, 400, bits=9), "illegal", cost=cost),
    )


def _in_session(state: str, *, long: float) -> tuple[Move, ...]:
    """Any command; `long`: how surprising one is that is as long as a token."""
    return (
        stays(state, Size(3, 35, tagged=False, bits=4), "session"),
        stays(state, Size(36, 60, tagged=False, bits=5), "session"),
        stays(state, Size(61, 430, tagged=False, bits=7), "session"),
        stays(state, Size(431, 10_000_000, tagged=False, bits=long), "session"),
        stays(state, _command("CAPABILITY"), "capability in session", cost=2),
        stays(state, _command("NOOP"), "noop", cost=3),
        stays(state, Size(41, 200), "id", cost=4),
        # APPEND folder {1500}, and the mail when the server wants it
        Move(size=Size(18, 100), asks="literal", then={Verdict.CONTINUE: _SAVING}, cost=2),
    )


#: The first command of a session: nobody sends mail before having chosen a folder.
_FIRST = (
    *(replace(move, not_last=True) for move in _in_session(SESSION, long=15)),
    stays(SESSION, Size(_SHORTEST, 430, bits=8), "session", last=True),
    replace(_FAREWELL, cost=5),
)

MOVES: dict[str, tuple[Move, ...]] = {
    START: (*_housekeeping(LISTED, again=0), *again(_CREDENTIALS), *together(*_AT_ONCE), _FAREWELL),
    LISTED: (
        *_housekeeping(LISTED, again=5),
        *_CREDENTIALS,
        *together(*_AT_ONCE, late=8),
        *_illegal(LISTED, cost=14),
        replace(_FAREWELL, cost=3),
    ),
    IDENTIFIED: (
        *_housekeeping(IDENTIFIED, again=3),
        *_CREDENTIALS,
        replace(_FAREWELL, cost=9),
    ),
    _USER_LITERAL: (
        announces(line(5, 110), "literal", Mechanism.PASSWORD, _PASSWORD_LITERAL),
        presents(line(14, 330), "login", Mechanism.PASSWORD, cost=3),
    ),
    _PASSWORD_LITERAL: (presents(line(3, 210), "login", Mechanism.PASSWORD),),
    **STATES,
    REFUSED: (
        JUNK,
        *_housekeeping(REFUSED, again=5, identified=REFUSED),
        *again(_CREDENTIALS),
        *_illegal(STUBBORN, cost=4),
        _FAREWELL,
    ),
    STUBBORN: (*again(_CREDENTIALS), *_illegal(STUBBORN, cost=1), _FAREWELL),
    FRESH: _FIRST,
    SESSION: (*_in_session(SESSION, long=11), _FAREWELL),
    TOGETHER: _in_session(TOGETHER, long=11),
    _SAVING: (stays(SESSION, Size(3, 10_000_000, tagged=False, bits=8), "saved"),),
    LEFT: (),
}

#: A refusal says what failed ("NO LOGIN failed", RFC 3501 6.2.3): it is hardly shorter than that.
_REFUSED = ranges(
    Verdict.REFUSED,
    *((9, 15, 13), (16, 17, 9), (18, 19, 0), (20, 70, 1), (71, 99, 5), (100, 140, 10), (141, 400, 15)),
)
#: An acceptance is short ("OK Logged in."), or it brings the capabilities with it (RFC 9051 6.2.3).
_ACCEPTED = ranges(
    Verdict.ACCEPTED,
    *((6, 8, 8), (9, 12, 4), (13, 17, 0), (18, 20, 4), (21, 22, 1), (23, 40, 4), (41, 99, 7)),
    *((100, 600, 0), (601, 1_500, 1), (1_501, 4_000, 5)),
)

GENERIC: Words = {
    "junk": ANSWERS_TO_JUNK,
    "capability": (done(40, 1_500),),
    "capability in session": (done(40, 1_500),),
    "noop": (done(8, 80),),
    "id": (done(12, 30, 2), done(31, 160), done(161, 700, 2)),
    "logout": (done(15, 250),),
    "illegal": (done(8, 60), done(61, 90, 6)),
    "literal": (goes_on(3, 40), goes_on(41, 70, 3)),
    "saved": (done(10, 120),),
    **continuations("+ ", ranges(Verdict.REFUSED, (10, 120, 8))),
    "login": (*_ACCEPTED, *_REFUSED),
    **dict.fromkeys(("password", "password at once"), (*_ACCEPTED, *_REFUSED)),
    **dict.fromkeys(("token", "token at once"), (*_ACCEPTED, *_REFUSED, *challenges("+ "))),
    "after challenge": after_challenge(tagged=True),
    "together": answers_together(60),
    "session": (mail(0, 69, 9), mail(70, 10_000_000, 6)),
}

IMAP = Grammar(moves=MOVES, generic=GENERIC, microsoft=MICROSOFT, tags=_TAGS)
