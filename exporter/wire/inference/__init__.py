"""Who signed in how, and with what result, told from the lengths, directions and times of TLS records alone.

`overhead` gives a record's plain text its length, `bursts` makes turns of records, a grammar for each protocol (`imap`,
`pop`, `smtp`, with `sasl` and `microsoft`'s words) says what a turn can be, `readings` keeps all that is possible, and
`verdict` says what they agree on.
"""

import functools

from exporter.observations import WireAuth
from exporter.vocabulary import Protocol
from exporter.wire.inference.bursts import Turn, conversation
from exporter.wire.inference.grammar import Grammar
from exporter.wire.inference.imap import IMAP
from exporter.wire.inference.pop import POP
from exporter.wire.inference.readings import Reading, at_end, follow
from exporter.wire.inference.smtp import smtp
from exporter.wire.inference.verdict import agreed
from exporter.wire.trace import Trace, TraceEnd

#: Conversations whose readings are remembered: who comes back every minute says the same every time.
MAX_REMEMBERED = 1_024
_MAIL = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP})


def infer(trace: Trace) -> tuple[WireAuth, ...]:
    """The attempts to sign in, in order; () where there was no conversation to judge.

    Where the client read what is offered and left, it is one of mechanism unknown, outcome abandoned. What can't be
    told is `unknown`, mechanism and outcome apart.
    """
    heard = conversation(trace) if trace.protocol in _MAIL else None
    if heard is None:
        return ()
    timeless = tuple(turn._replace(sent_at=0.0, answered_at=None) for turn in heard.turns)
    readings = _readings(trace.protocol, trace.banner_length, timeless, trace.microsoft, trace.end)
    return agreed(readings, heard.turns, trace.end)


def _grammar(protocol: Protocol, banner_length: int | None) -> Grammar:
    match protocol:
        case Protocol.IMAP:
            return IMAP
        case Protocol.POP:
            return POP
        case _:
            return smtp(banner_length)


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _readings(
    protocol: Protocol, banner_length: int | None, turns: tuple[Turn, ...], microsoft: bool, end: TraceEnd
) -> tuple[Reading, ...]:
    """Those to be reckoned with at the end; `turns` without their times, which decide nothing here."""
    return tuple(at_end(follow(_grammar(protocol, banner_length), turns, end, microsoft=microsoft), end))
