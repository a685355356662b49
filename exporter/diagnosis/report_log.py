"""What to look for in the gateway's own log: when, from where, to where, under which name, and how it ended."""

from dataclasses import dataclass
from datetime import datetime

from exporter.diagnosis.packets import Shown
from exporter.language import Words, _
from exporter.observations import Connection, Probe
from exporter.vocabulary import ClosedBy, ConnectionOutcome, Outcome, Phase
from exporter.wire.pseudonyms import Pseudonyms

_ENDED = Words(
    {
        ConnectionOutcome.NO_ANSWER: "SYN without an answer",
        ConnectionOutcome.REFUSED: "RST to the SYN",
        ConnectionOutcome.UNREACHABLE: "ICMP unreachable to the SYN",
        ConnectionOutcome.HELLO_RESET: "ended by the server's side right behind the ClientHello",
        ConnectionOutcome.HELLO_UNANSWERED: "ClientHello without an answer",
        ConnectionOutcome.HANDSHAKE_FAILED: "TLS handshake not completed",
        ConnectionOutcome.NOT_TLS: "never came to TLS",
        ConnectionOutcome.ESTABLISHED: "established",
        ConnectionOutcome.INCOMPLETE: "seen in part",
    }
)
_CLOSED = Words(
    {
        ClosedBy.CLIENT: "closed by the client",
        ClosedBy.SERVER: "closed by the server's side",
        ClosedBy.RESET_CLIENT: "reset by the client",
        ClosedBy.RESET_SERVER: "reset by the server's side",
        ClosedBy.TIMEOUT: "then silence",
    }
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the table; `source` has pseudonyms where addresses weren't asked for."""

    time: datetime
    source: str
    to: str
    name: str
    ended: str
    done: tuple[str, ...] = ()


def of_connection(shown: Shown, names: Pseudonyms) -> LogLine:
    """A client's connection."""
    own = shown.connection
    inside = _source(own, "outside" if own.interface == "outside" else "inside", names)
    if shown.outside is not None:
        inside += ", " + _("outside {address}", address=_source(shown.outside.connection, "outside", names))
    ended = _ENDED[own.outcome] + (f", {_CLOSED[own.closed_by]}" if own.closed_by is not None else "")
    if own.alert is not None and own.alert.name:
        ended += ", " + _("alert {name} of the {sender}", name=own.alert.name, sender=_(own.alert.sender))
    done = tuple(f"{each.kind}: {each.detail or ''}".rstrip(": ") for each in own.tampering)
    return LogLine(own.start, inside, _place(own.server, own.server_port), own.sni or "", ended, done)


def _source(own: Connection, side: str, names: Pseudonyms) -> str:
    if own.client is None:
        return _("a client")
    if own.client_port is None:
        return _("a client")  # the service's own pseudonym: there is nothing to look for by it
    address = names.address(side, own.client)
    return _place(address, names.port(side, own.client, own.client_port))


def of_probe(probe: Probe) -> LogLine:
    """Our own walk."""
    failed = probe.phase(probe.failed_phase) if probe.failed_phase is not None else None
    name = "" if probe.failed_phase in (Phase.DNS, Phase.CONNECT) else probe.host
    to = (
        _place(probe.address, probe.port)
        if probe.address
        else _("{host} port {port}", host=probe.host, port=probe.port)
    )
    outcome = failed.outcome if failed is not None else Outcome.OK
    return LogLine(
        probe.time, _("our vantage {name}", name=probe.vantage), to, name, f"{probe.failed_phase}{_(': ')}{outcome}"
    )


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
