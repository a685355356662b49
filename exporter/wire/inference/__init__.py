"""Who signed in how, and with what result, told from the lengths, directions and times of TLS records alone."""

from exporter.compiled import load_from

load_from(__name__, __path__)

from exporter.observations import WireAuth  # noqa: E402 - the rest may be compiled
from exporter.vocabulary import Protocol  # noqa: E402
from exporter.wire.inference.alike import readings_of  # noqa: E402
from exporter.wire.inference.bursts import conversation  # noqa: E402
from exporter.wire.inference.grammar import Grammar  # noqa: E402
from exporter.wire.inference.imap import IMAP  # noqa: E402
from exporter.wire.inference.pop import POP  # noqa: E402
from exporter.wire.inference.smtp import smtp  # noqa: E402
from exporter.wire.inference.verdict import agreed  # noqa: E402
from exporter.wire.trace import Trace  # noqa: E402


def _grammar(trace: Trace) -> Grammar | None:
    match trace.protocol:
        case Protocol.IMAP:
            return IMAP
        case Protocol.POP:
            return POP
        case Protocol.SMTP:
            return smtp(trace.banner_length)
        case _:
            return None


def infer(trace: Trace) -> tuple[WireAuth, ...]:
    """The attempts to sign in, in order; () where there was no conversation to judge.

    Where the client read what is offered and left, it is one of mechanism unknown, outcome abandoned. What can't be
    told is `unknown`, mechanism and outcome apart.
    """
    grammar = _grammar(trace)
    heard = conversation(trace) if grammar is not None else None
    if grammar is None or heard is None:
        return ()
    readings = readings_of(grammar, heard.turns, trace.end, microsoft=trace.microsoft)
    return agreed(readings, heard.turns, trace.end)
