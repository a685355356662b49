"""What the packets of one side were, as the rungs of a ladder; and what is told beside them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from exporter.observations import Connection
from exporter.wire.distance import hops_of, is_elsewhere
from exporter.wire.excerpt import Packet, kind_of
from exporter.wire.observe import address_text
from exporter.wire.tcp_options import has_timestamps, mss_of

_CODES: Final = {
    (3, 1): ", host unreachable", (3, 3): ", port unreachable", (3, 4): ", fragmentation needed",
    (3, 9): ", administratively prohibited", (3, 10): ", administratively prohibited",
    (3, 13): ", administratively prohibited",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one packet, or several of a kind one behind the other, were. `numbers`: in their capture, from 1.

    `time`: nanoseconds since 1970 of the first, `until` of the last; `position`, `length`: in the stream.
    """

    time: int
    until: int
    from_client: bool
    kind: str
    label: str
    ttl: int | None = None
    position: int | None = None
    length: int = 0
    count: int = 1
    again: bool = False
    numbers: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    mss: int | None = None
    stamps: bool | None = None


def steps_of(packets: Iterable[Packet], connection: Connection) -> list[Step]:
    """What the packets were; acknowledgments but the handshake's own are left out."""
    found: list[Step] = []
    reached = {True: 0, False: 0}
    named = {True: False, False: False}
    opened = syn = False
    for packet in packets:
        kind = kind_of(packet)
        if kind == "ack":
            if not packet.from_client or not syn or opened:
                continue
            opened = True
        end = (packet.position or 0) + packet.length
        if kind == "data" and packet.length <= 1 and packet.position is not None and end <= reached[packet.from_client]:
            continue  # a keep-alive
        again = kind == "data" and packet.position is not None and end <= reached[packet.from_client]
        again = again or (kind == "syn" and any(each.kind == "syn" for each in found))
        syn = syn or kind == "syn-ack"
        named[packet.from_client] |= bool(packet.what)
        if kind == "data":
            reached[packet.from_client] = max(reached[packet.from_client], end)
        found.append(
            Step(
                time=packet.time, until=packet.time, from_client=packet.from_client, kind=kind,
                label=_label(packet, kind, connection, named=named[packet.from_client]), ttl=packet.ttl or None,
                position=packet.position, length=packet.length, again=again, numbers=(packet.number,),
                names=packet.what, mss=mss_of(packet.options) if packet.flags & 2 else None,
                stamps=has_timestamps(packet.options) if packet.flags & 2 else None,
            )
        )  # fmt: skip
        if packet.flags & 1 and kind == "data":
            last = found[-1]
            found.append(replace(last, kind="fin", label="FIN", length=0, position=end, again=False, names=()))
    return found


def _label(packet: Packet, kind: str, connection: Connection, *, named: bool) -> str:
    if packet.icmp is not None:
        error = packet.icmp
        reporter = address_text(error.reporter)
        return f"ICMP type {error.type} code {error.code} from {reporter}{_CODES.get((error.type, error.code), '')}"
    if kind != "data":
        mss = mss_of(packet.options) if kind in ("syn", "syn-ack") else None
        return {"syn": "SYN", "syn-ack": "SYN-ACK", "rst": "RST", "fin": "FIN", "ack": "ACK"}[kind] + (
            f", MSS {mss}" if mss is not None else ""
        )
    if packet.what:
        names = ", ".join(packet.what)
        if packet.what[0].startswith("ClientHello"):
            names = names.replace("ClientHello", f"ClientHello {connection.sni or 'without a name'}", 1)
        return names
    return "more of it" if named else "text in clear, not shown"


def lacking(steps: Sequence[Step]) -> set[bool]:
    """Directions of which a capture has nothing, though it has the other: what goes another way isn't missing."""
    return {True, False} - {step.from_client for step in steps} if steps else set()


# --- what stands under it


def one_way(sides: Iterable[tuple[str, Sequence[Step]]]) -> Iterator[str]:
    """A direction that one capture lacks altogether."""
    for side, steps in sides:
        for from_client in lacking(steps):
            whose = "client" if from_client else "server"
            yield f"The {side} capture has no packet from the {whose}: they go another way, or weren't captured."


def resets(steps: Sequence[Step], side: str) -> Iterator[str]:
    """A reset from another distance than the server's other packets."""
    own = [each.ttl for each in steps if not each.from_client and each.kind in ("syn-ack", "data") and each.ttl]
    resets = [each.ttl for each in steps if not each.from_client and each.kind == "rst" and each.ttl]
    if not own or not resets:
        return
    near, far = hops_of(resets[0]), hops_of(own[0])
    where = f" {side}" if side else ""
    said = f"Seen{where}, the RST has TTL {resets[0]} ({near} hops), the server's own packets {own[0]} ({far} hops)"
    if is_elsewhere(resets[0], own[0]):
        yield f"{said}: another machine sent it."
    elif near != far:
        yield f"{said}: nearer than the server, perhaps, but ways differ by so little; it proves nothing alone."
    else:
        yield f"{said}: by its distance it may be the server's own."


def rewritten(inside: Sequence[Step], outside: Sequence[Step]) -> Iterator[str]:
    """What the gateway changed in the handshakes of TCP."""
    for own, other in _both_syns(inside, outside):
        if None not in (own.mss, other.mss) and own.mss != other.mss:
            whose = "SYN" if own.kind == "syn" else "SYN-ACK"
            yield f"MSS of the {whose}: {own.mss} inside, {other.mss} outside."
        if own.stamps != other.stamps and None not in (own.stamps, other.stamps):
            side = "outside" if own.stamps else "inside"
            yield f"TCP timestamps of the {own.label.partition(',')[0]} are dropped: there are none {side}."


def _both_syns(inside: Sequence[Step], outside: Sequence[Step]) -> Iterator[tuple[Step, Step]]:
    """The two views of SYN and of SYN-ACK."""
    for kind in ("syn", "syn-ack"):
        own = next((each for each in inside if each.kind == kind), None)
        other = next((each for each in outside if each.kind == kind), None)
        if own is not None and other is not None:
            yield own, other
