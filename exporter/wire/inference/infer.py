"""From a trace to sign-ins: which protocol's grammar, what its records say, and what all readings agree on."""

from exporter.observations import WireAuth
from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from exporter.wire.inference.alike import readings_of
from exporter.wire.inference.bursts import conversation
from exporter.wire.inference.grammar import Grammar
from exporter.wire.inference.imap import IMAP
from exporter.wire.inference.pop import POP
from exporter.wire.inference.smtp import smtp
from exporter.wire.inference.verdict import agreed
from exporter.wire.trace import Trace


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
    if heard.blurred:
        return (WireAuth(mechanism=Mechanism.UNKNOWN, outcome=AuthOutcome.UNKNOWN),)
    readings = readings_of(grammar, heard.turns, trace.end, microsoft=trace.microsoft)
    return agreed(readings, heard.turns, trace.end)
