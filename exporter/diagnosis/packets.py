"""The decisive packets of a round judged from captures: read once more for the report's ladders and for `--packets`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exporter import __version__
from exporter.diagnosis.decisive import decisive
from exporter.diagnosis.ladder import Ladder, ladder
from exporter.diagnosis.ladder_known import known_ladder
from exporter.diagnosis.ladder_steps import steps_of
from exporter.diagnosis.seen import Seen
from exporter.observations import Connection, Verdict
from exporter.vocabulary import Cause, ClosedBy, ConnectionOutcome
from exporter.wire.excerpt import MAX_CONNECTIONS, Excerpt, kind_of
from exporter.wire.excerpt import excerpts as read_excerpts
from exporter.wire.excerpt_file import Entry, pcapng
from exporter.wire.pseudonyms import Pseudonyms
from exporter.wire.reading_files import BothSides, way_of

Way = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A connection behind a verdict, with its packets. `inside` is what one capture, or the inside one, has of it;
    `files`: the captures' names; `role`: `decisive`, or `better` for one to compare with."""

    connection: Connection
    role: str
    inside: Excerpt | None
    outside: Excerpt | None
    ladder: Ladder
    files: str


@dataclass(slots=True)
class Packets:
    """Where packets are, and which were chosen for which verdict. `both`: two captures of one gateway."""

    captures: Sequence[Path] = ()
    inside: Path | None = None
    outside: Path | None = None
    both: BothSides | None = None
    by_verdict: list[list[Shown]] = field(default_factory=list)

    def choose(self, seen: Seen, verdicts: Sequence[Verdict]) -> None:
        """Reads what the verdicts rest on; healthy ones rest on nothing in particular."""
        found = [decisive(seen, v) if v.cause is not Cause.HEALTHY else None for v in verdicts]
        wanted: dict[Way, Connection] = {}
        for one in found:
            for each in (*one.connections, *([one.better] if one.better else [])) if one is not None else ():
                wanted.setdefault((each.interface, *way_of(each)), each)
        ways = list(wanted)[:MAX_CONNECTIONS]
        inside, outside = self._read({way: wanted[way] for way in ways})
        for one in found:
            shown = []
            if one is not None:
                shown = [self._shown(each, "decisive", inside, outside) for each in one.connections]
                shown += [self._shown(one.better, "better", inside, outside)] if one.better else []
            self.by_verdict.append(shown)

    def _read(self, wanted: dict[Way, Connection]) -> tuple[dict[Way, list[tuple[Path, Excerpt]]], dict[Way, Excerpt]]:
        ways, connections = list(wanted), list(wanted.values())
        inside: dict[Way, list[tuple[Path, Excerpt]]] = {}
        outside: dict[Way, Excerpt] = {}
        if self.both is not None and self.inside is not None and self.outside is not None:
            own = [each for each in connections if each.interface == "inside"]
            for each, found in zip(own, read_excerpts(self.inside, own, interface="inside"), strict=False):
                inside[each.interface, *way_of(each)] = [(self.inside, found)]
            theirs = [self.both.counterparts.get(way_of(each)) for each in own]
            known = [(each, other) for each, other in zip(own, theirs, strict=True) if other is not None]
            read = read_excerpts(self.outside, [other for _, other in known], interface="outside")
            for (each, _), found in zip(known, read, strict=False):
                outside[each.interface, *way_of(each)] = found
            alone = [each for each in connections if each.interface == "outside"]
            for each, found in zip(alone, read_excerpts(self.outside, alone, interface="outside"), strict=False):
                inside.setdefault((each.interface, *way_of(each)), [(self.outside, found)])
        for path in self.captures:
            for way, found in zip(ways, read_excerpts(path, connections), strict=False):
                if found.head:
                    inside.setdefault(way, []).append((path, found))
        return inside, outside

    def _shown(
        self, connection: Connection, role: str, inside: dict[Way, list[tuple[Path, Excerpt]]],
        outside: dict[Way, Excerpt],
    ) -> Shown:  # fmt: skip
        way = (connection.interface, *way_of(connection))
        found = inside.get(way, [])
        path, own = max(found, key=lambda pair: len(pair[1].head), default=(None, None))
        if own is None or not own.head or path is None:
            return Shown(connection, role, None, None, known_ladder(connection), "")
        two_sided = self.both is not None and connection.interface == "inside"
        other = outside.get(way)
        there = steps_of(other, other.connection) if other is not None else []
        drawn = ladder(
            steps_of(own, connection),
            there if two_sided else None,
            same=other is None or (self.both is not None and way_of(connection) in self.both.same),
            covered=self.both is not None and self.both.covered,
            left_out=own.left_out,
            notes=_notes(connection, own, other),
        )
        names = [path.name, *([self.outside.name] if two_sided and self.outside is not None else [])]
        return Shown(connection, role, own, other, drawn, " and ".join(names))

    def file(self, names: Pseudonyms) -> bytes:
        """The decisive packets as pcapng, by time; empty of packets where there are none."""
        entries: list[Entry] = []
        written: set[int] = set()
        for shown in (each for listed in self.by_verdict for each in listed):
            for side, excerpt in (("inside", shown.inside), ("outside", shown.outside)):
                if excerpt is None or id(excerpt) in written:
                    continue
                written.add(id(excerpt))
                name = side if self.both is not None else "capture"
                if self.both is not None and shown.connection.interface == "outside":
                    name = "outside"
                entries += [(name, excerpt, packet, "") for packet in excerpt]
        entries.sort(key=lambda entry: entry[2].time)
        remarked = [(*entry[:3], self._remark(entry)) for entry in entries]
        return pcapng(remarked, names, program=f"outlook-auth-exporter {__version__}")

    def _remark(self, entry: Entry) -> str:
        """What stands beside a packet: its frame in the capture, and that the other side lacks it."""
        side, excerpt, packet, _ = entry
        remark = f"frame {packet.number} of the {side} capture" if side != "capture" else f"frame {packet.number}"
        for shown in (each for listed in self.by_verdict for each in listed):
            for row in shown.ladder.rows:
                here = row.inside if excerpt is shown.inside else row.outside if excerpt is shown.outside else None
                if here is not None and row.missing and packet.number in here.numbers and kind_of(packet) == here.kind:
                    return f"{remark}; not seen {row.missing}"
        return remark


def _notes(connection: Connection, own: Excerpt, other: Excerpt | None) -> list[str]:
    notes = []
    if other is not None:
        there = other.connection
        if (connection.client, connection.client_port) != (there.client, there.client_port):
            notes.append("Outside it has another source address or port (NAT).")
        syns = [next((each.sequence for each in side if kind_of(each) == "syn"), None) for side in (own, other)]
        if None not in syns and syns[0] != syns[1]:
            notes.append(
                "Its sequence numbers are others outside: the gateway rewrites them, or makes its own connection."
            )
    if connection.closed_by is ClosedBy.TIMEOUT:
        silent = connection.outcome is not ConnectionOutcome.ESTABLISHED
        notes.append("It ends in silence: no answer, no RST, no FIN." if silent else "It ends in silence.")
    return notes


def real_addresses(shown: Iterable[Shown]) -> list[str]:
    """The servers' addresses, which mean themselves."""
    return list(dict.fromkeys(each.connection.server for each in shown))
