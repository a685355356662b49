"""SASL exchanges (RFC 4616, 7628; LOGIN, XOAUTH2) as sizes: the same in IMAP, POP and SMTP but for the verb."""

from dataclasses import replace

from exporter.vocabulary import Mechanism
from exporter.wire.inference.grammar import (
    CHALLENGED,
    REFUSED,
    SIGNED_IN,
    Answer,
    Move,
    Size,
    Verdict,
    done,
    goes_on,
    line,
    ranges,
)

#: A token of 300 bytes makes an XOAUTH2 response of so many as base64; passwords of up to 200 stay below.
LONG_RESPONSE = 436
#: The longest that is looked at: a token of 4,000 bytes, with room to spare.
LONGEST = 12_000
#: How much the length of a token's response tells, in bits: nearly all have 1,500 to 4,000.
_TOKEN_BITS = 8.0
#: Who was refused before doesn't always try once more.
_AGAIN = 2

#: States of an exchange that has begun.
_USER, _PASSWORD, _TOKEN = "user response", "password response", "token response"
_OTHER, _OTHER_AGAIN = "other response", "other response again"


def exchanges(verb: str, *, tagged: bool) -> tuple[Move, ...]:
    """What begins with AUTH or AUTHENTICATE: a mechanism alone, or with an initial response (RFC 4959)."""

    def alone(mechanism: str) -> Size:
        length = tagged + len(f"{verb} {mechanism}") + 2
        return Size(length, length, tagged=tagged)

    def initial(mechanism: str, low: int, high: int) -> Size:
        base = tagged + len(f"{verb} {mechanism} ") + 2
        bits = _TOKEN_BITS if low == LONG_RESPONSE else None
        return Size(base + low, base + high, base64=True, tagged=tagged, bits=bits)

    return (
        announces(alone("PLAIN"), "begin", Mechanism.PASSWORD, _PASSWORD, refusable=True),
        presents(initial("PLAIN", 16, 448), "password at once", Mechanism.PASSWORD),
        announces(alone("LOGIN"), "prompt", Mechanism.PASSWORD, _USER, refusable=True),
        announces(initial("LOGIN", 4, 56), "prompt", Mechanism.PASSWORD, _PASSWORD, cost=2),
        announces(initial("LOGIN", 60, 100), "prompt", Mechanism.PASSWORD, _PASSWORD, cost=6),
        announces(alone("XOAUTH2"), "begin", Mechanism.TOKEN, _TOKEN, refusable=True),
        presents(initial("XOAUTH2", LONG_RESPONSE, LONGEST), "token at once", Mechanism.TOKEN),
        presents(initial("XOAUTH2", 64, LONG_RESPONSE - 4), "token at once", Mechanism.TOKEN, cost=10),
        announces(alone("OAUTHBEARER"), "begin", Mechanism.TOKEN, _TOKEN, cost=1, refusable=True),
        presents(initial("OAUTHBEARER", LONG_RESPONSE, LONGEST), "token at once", Mechanism.TOKEN, cost=1),
        # neither a password nor a token passes: the server challenges
        announces(alone("CRAM-MD5"), "challenge", Mechanism.OTHER, _OTHER, cost=5),
        announces(alone("DIGEST-MD5"), "challenge", Mechanism.OTHER, _OTHER, cost=6),
        announces(initial("SCRAM-SHA-1", 32, 160), "challenge", Mechanism.OTHER, _OTHER, cost=9),
        announces(initial("SCRAM-SHA-256", 32, 160), "challenge", Mechanism.OTHER, _OTHER, cost=9),
    )


def presents(size: Size, question: str, mechanism: Mechanism, *, cost: float = 0) -> Move:
    """With this the credential is complete."""
    return Move(size=size, asks=question, then=SIGNED_IN, mechanism=mechanism, cost=cost)


def announces(
    size: Size, question: str, mechanism: Mechanism, state: str, *, cost: float = 0, refusable: bool = False
) -> Move:
    """The credential, or its next part, comes when the server wants it; `refusable`: it may not even want that."""
    then = {Verdict.CONTINUE: state} | ({Verdict.REFUSED: REFUSED} if refusable else {})
    return Move(size=size, asks=question, then=then, names=mechanism, cost=cost)


def again(moves: tuple[Move, ...]) -> tuple[Move, ...]:
    """The moves of who was refused before, or hasn't asked what is offered."""
    return tuple(replace(move, cost=move.cost + _AGAIN) for move in moves)


def _response(low: int, high: int, bits: float | None = None) -> Size:
    """A response on a line of its own."""
    return Size(2 + low, 2 + high, base64=True, tagged=False, bits=bits)


#: mutt says `AQ==` behind every refusal of a token, announced or not.
JUNK = Move(size=line(1, 8), asks="junk", then={Verdict.DONE: REFUSED}, cost=3)
#: What it is answered by: anything short.
ANSWERS_TO_JUNK = (done(5, 80, tagged=False),)

_AFTER_CHALLENGE = {Verdict.REFUSED: REFUSED}

#: What answers a challenge proves something or carries a nonce (RFC 2195, 2831, 5802): 30 bytes make 40. Only a second
#: challenge may be met by an empty line, where it is the server's own proof.
_OTHER_RESPONSES = (
    presents(_response(40, 600), "password", Mechanism.OTHER),
    announces(_response(40, 600), "challenge", Mechanism.OTHER, _OTHER_AGAIN),
)

#: The moves in the states of an exchange.
STATES: dict[str, tuple[Move, ...]] = {
    _USER: (announces(_response(4, 60), "prompt", Mechanism.PASSWORD, _PASSWORD),),
    _PASSWORD: (
        presents(_response(12, 448), "password", Mechanism.PASSWORD),
        presents(_response(4, 8), "password", Mechanism.PASSWORD, cost=12),
    ),
    _TOKEN: (
        presents(_response(LONG_RESPONSE, LONGEST, _TOKEN_BITS), "token", Mechanism.TOKEN),
        presents(line(LONG_RESPONSE, LONGEST), "token", Mechanism.TOKEN, cost=4),
        presents(_response(24, LONG_RESPONSE - 4), "token", Mechanism.TOKEN, cost=8),
    ),
    _OTHER: _OTHER_RESPONSES,
    _OTHER_AGAIN: (*_OTHER_RESPONSES, presents(line(2, 2), "password", Mechanism.OTHER, cost=2)),
    # an empty line, AQ== or a star; some send their token once more
    CHALLENGED: (
        Move(size=line(1, 8), asks="after challenge", then=_AFTER_CHALLENGE),
        Move(size=line(9, LONGEST), asks="after challenge", then=_AFTER_CHALLENGE, cost=3),
    ),
}


def challenges(prefix: str) -> tuple[Answer, ...]:
    """JSON that announces a token's refusal, as base64 (RFC 7628 3.2.2)."""
    base = len(prefix) + 2
    rows = ((24, 28, 9), (32, 160, 0), (164, 400, 3))
    return tuple(
        Answer(base + low, base + high, Verdict.CHALLENGE, cost, tagged=False, base64=True) for low, high, cost in rows
    )


def continuations(prefix: str, refusal: tuple[Answer, ...]) -> dict[str, tuple[Answer, ...]]:
    """How servers ask for a response: `+ ` or `334 `, with nothing behind it, with a prompt, or with a challenge."""
    empty = len(prefix) + 2
    prompt = empty + len("VXNlcm5hbWU6")
    return {
        "begin": (goes_on(empty - 1, empty), goes_on(empty + 1, empty + 2, 8), *refusal),
        "prompt": (goes_on(prompt, prompt), goes_on(empty - 1, empty + 30, 5), *refusal),
        "challenge": (goes_on(empty + 20, 400), goes_on(empty - 1, empty, 3), *refusal),
    }


def after_challenge(*, tagged: bool) -> tuple[Answer, ...]:
    """The refusal itself, behind its announcement."""
    return ranges(Verdict.REFUSED, (9, 17, 8), (18, 24, 2), (25, 90, 0), (91, 300, 3), tagged=tagged)
