"""A ladder without packets: drawn from what is known of a connection, as a service keeps it."""

from exporter.diagnosis.ladder import Ladder, ladder
from exporter.diagnosis.ladder_steps import Step
from exporter.observations import Connection
from exporter.vocabulary import ClosedBy, ConnectionOutcome, Tampering
from exporter.wire.outcome import SECOND
from exporter.wire.sides import TO_CLIENT

_UNBORN = frozenset({ConnectionOutcome.NO_ANSWER, ConnectionOutcome.REFUSED, ConnectionOutcome.UNREACHABLE})
_UNHEARD = frozenset({ConnectionOutcome.HELLO_RESET, ConnectionOutcome.HELLO_UNANSWERED})
_ENDS = {
    ClosedBy.CLIENT: (True, "fin", "FIN"),
    ClosedBy.SERVER: (False, "fin", "FIN"),
    ClosedBy.RESET_CLIENT: (True, "rst", "RST"),
    ClosedBy.RESET_SERVER: (False, "rst", "RST"),
}


def known_ladder(connection: Connection) -> Ladder:
    """The rows that its times tell; two columns where both sides were compared and the gateway was seen to act."""
    inside = list(_steps(connection))
    done = {each.kind for each in connection.tampering}
    if not done or Tampering.TERMINATED in done:
        return ladder(inside, None, of_packets=False)
    if any(each.kind is Tampering.SYN_NOT_FORWARDED and each.direction == TO_CLIENT for each in connection.tampering):
        now = round(connection.start.timestamp() * SECOND)
        return ladder(inside, [*inside, _step(now, False, "syn-ack", "SYN-ACK")], of_packets=False)
    outside = [each for each in inside if not _missing_outside(each, done)]
    return ladder(inside, outside, of_packets=False)


def _missing_outside(step: Step, done: set[Tampering]) -> bool:
    if Tampering.SYN_NOT_FORWARDED in done:
        return True
    if Tampering.HELLO_NOT_FORWARDED in done and step.kind == "data":
        return True
    forged = Tampering.RESET_FORGED in done or Tampering.IDLE_CUT in done
    return forged and step.kind == "rst" and not step.from_client


def _steps(connection: Connection) -> list[Step]:
    start, end = (round(each.timestamp() * SECOND) for each in (connection.start, connection.end))
    steps = [_step(start, True, "syn", "SYN")]
    if connection.outcome in _UNBORN:
        steps += _answer_to_syn(connection, end)
        return steps
    now = start + round((connection.tcp_handshake_seconds or 0.0) * SECOND)
    steps += [_step(now, False, "syn-ack", "SYN-ACK"), _step(now, True, "ack", "ACK")]
    if connection.sni or connection.tls_version or connection.outcome in _UNHEARD:
        steps.append(_step(now, True, "data", f"ClientHello {connection.sni or 'without a name'}", 1))
    if connection.tls_version and connection.outcome not in _UNHEARD:
        now += round((connection.tls_handshake_seconds or 0.0) * SECOND)
        issuer = f", certificate by {connection.certificate_issuer}" if connection.certificate_issuer else ""
        steps.append(_step(now, False, "data", f"{connection.tls_version}{issuer}", 1))
    if connection.alert is not None:
        name = connection.alert.name or "encrypted"
        steps.append(_step(end, connection.alert.sender == "client", "data", f"alert {name}", 2))
    if connection.closed_by in _ENDS:
        steps.append(_step(end, *_ENDS[connection.closed_by]))
    return steps


def _answer_to_syn(connection: Connection, end: int) -> list[Step]:
    if connection.outcome is ConnectionOutcome.REFUSED:
        return [_step(end, False, "rst", "RST")]
    if connection.outcome is ConnectionOutcome.UNREACHABLE:
        return [_step(end, False, "icmp", "ICMP unreachable")]
    return []


def _step(time: int, from_client: bool, kind: str, label: str, position: int = 0) -> Step:
    return Step(time=time, until=time, from_client=from_client, kind=kind, label=label, position=position, length=0)
