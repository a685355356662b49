"""Follows every TCP connection that is TLS or mail, from frames to a `Connection`. Time is the packets' own.

Feed packets in the order of capture; `expire` tells how late it is where no packets come; `finish` ends it.
"""

from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator
from typing import Final

from exporter.catalogue import STARTTLS_PORTS
from exporter.wire.beginnings import comes_from_client, is_another, is_interesting
from exporter.wire.capture_file import Buffer, PacketTuple
from exporter.wire.decode import LinkType, decode
from exporter.wire.dns_answers import read_answer
from exporter.wire.fast_path import Frame
from exporter.wire.flow import SEQUENCE_MASK, SKIMMED, Flow, Half, Held
from exporter.wire.link_headers import cooked_place
from exporter.wire.observe import server_name
from exporter.wire.outcome import NO_ANSWER, SECOND, deadline
from exporter.wire.quic import QUIC_HEADER, begins_quic
from exporter.wire.reading import begin_text, skim
from exporter.wire.reporting import WANTED_PORTS, Callback, Reporter
from exporter.wire.segments import Datagram, IcmpError, NotRead, Segment
from exporter.wire.servers import Servers, mail_protocol
from exporter.wire.sighting import Sighting, SightingCallback
from exporter.wire.skim import Skimmer
from exporter.wire.slow_path import SlowPath
from exporter.wire.table import Table, key_of
from exporter.wire.tcp import ACK, RST, SYN, flush, is_over, make_room, take
from exporter.wire.tcp_options import mss_of, options_of
from exporter.wire.timers import Clock, Timers
from exporter.wire.trace import MAX_RECORDS
from exporter.wire.tracker_config import Counts, TrackerConfig

_DNS: Final = 53
_HTTPS: Final = 443
_ETHERNET: Final = int(LinkType.ETHERNET)
#: Records kept of a connection to a sign-in host: the time of a token request is told from them.
SIGN_IN_RECORDS: Final = 24
#: A direction that wasn't seen for so long at one interface may be followed at another, nanoseconds.
MOVED: Final = SECOND
#: Flows of QUIC that are told apart.
MAX_QUIC: Final = 16_384


__all__ = ["Counts", "Tracker", "TrackerConfig"]


class Tracker:
    """`finished` is called once for each connection, when it is over or given up.

    `decided`, where given, is called as soon as its outcome is known (established: at the handshake's end), and
    `signed_in` when its sign-in was read: moments for counters, with what is known by then. All three get a connection
    of the same `client`, `client_port`, `server`, `server_port` and `start`. `sighted`: called before `finished`, with
    what a comparison of two captures needs besides.
    """

    def __init__(
        self,
        config: TrackerConfig,
        finished: Callback,
        *,
        decided: Callback | None = None,
        signed_in: Callback | None = None,
        sighted: SightingCallback | None = None,
        servers: Servers | None = None,
    ) -> None:
        """`servers`: shared with another tracker, so that what one learns of addresses the other knows."""
        self.config = config
        self._counts = Counts()
        self._servers = servers or Servers(config.targets, config.servers)
        self._reporter = Reporter(
            self._servers, config, finished, decided=decided, signed_in=signed_in, sighted=sighted
        )
        self._table = Table(config.max_connections)
        self._halves = self._table.halves
        self._clock = Clock()
        self._timers = Timers(self._clock)
        self._frame = Frame()
        self.skimmer = Skimmer(self._halves, self._clock, self._frame)
        self._slow_path = SlowPath()
        self._held = Held()
        self._look_after = config.max_held // 4
        self._patience = int(config.patience * SECOND)
        self._quic: OrderedDict[bytes, None] = OrderedDict()

    def packet(
        self,
        time: int,
        link_type: int,
        buffer: Buffer,
        start: int,
        end: int,
        original: int,
        interface: str | None = None,
        vlan: int | None = None,
    ) -> None:
        """One frame, in the shape of `capture_file.Packet`. Never raises for what the bytes are."""
        clock = self._clock
        clock.packets += 1
        if time > clock.now:
            clock.now = time
        if time >= clock.next_due:
            self.expire(time)
        frame = self._frame
        if link_type == _ETHERNET and (frame.start == start or frame.read(buffer, start, end)):
            frame.start = -1
            half = self._halves.get(frame.key)
            flags, length = frame.flags, frame.length
            if half is not None and flags & (SYN | ACK) != SYN:
                if interface is not None and self._is_elsewhere(half, time, interface):
                    return
                if flags & (SYN | RST):
                    careful = decode(link_type, buffer, start, end, original)
                    if isinstance(careful, Segment):
                        _note(half, careful, buffer)
                take(half, time, frame.sequence, frame.acknowledgment, flags, buffer, frame.begin, frame.end, length)
                self._follow(half, flags, length)
            else:
                self._segment(time, frame.segment(), buffer, interface, vlan, interface)
            return
        decoded = decode(link_type, buffer, start, end, original)
        if isinstance(decoded, Segment):
            place = cooked_place(link_type, buffer, start) or interface
            self._segment(time, decoded, buffer, interface, vlan, place)
        elif decoded is NotRead.UNKNOWN:
            self._slowly(time, link_type, bytes(buffer[start:end]), interface, vlan)
        else:
            self._other(decoded, buffer)

    def packets(self, packets: Iterable[PacketTuple]) -> None:
        """Many frames, one behind the other."""
        for time, link_type, buffer, start, end, original, interface, vlan in packets:
            self.packet(time, link_type, buffer, start, end, original, interface, vlan)

    def expire(self, now: int) -> None:
        """It is `now` (nanoseconds): what rests on silence is decided. Packets call it themselves."""
        clock = self._clock
        clock.now = max(clock.now, now)
        if now >= clock.next_due:
            for flow in self._timers.due():
                self._look_at(flow)

    def finish(self) -> None:
        """The capture ends: what is open is reported as far as it got."""
        for flow in self._table.flows():
            self._end(flow)

    def __len__(self) -> int:
        """Connections tracked at the moment."""
        return len(self._table)

    @property
    def held(self) -> int:
        """Bytes kept at the moment while others are waited for."""
        return sum([flow.held for flow in self._table.flows()])

    @property
    def counts(self) -> Counts:
        """What was seen so far."""
        self._counts.packets = self._clock.packets
        return self._counts

    @property
    def now(self) -> int:
        """The latest time seen, nanoseconds."""
        return self._clock.now

    @property
    def reported(self) -> int:
        """Connections that were told so far."""
        return self._reporter.reported

    def open_connections(self) -> dict[str, int]:
        """Established and unfinished ones by target."""
        found: dict[str, int] = {}
        for flow in self._table.active():
            if flow.tls is not None and flow.tls.established is not None and (target := self._reporter.target(flow)):
                found[target] = found.get(target, 0) + 1
        return found

    def settle_quiet(self, quiet: int, every: int) -> None:
        """Live, connections stay open for hours: tells the sign-ins of those that have said nothing for `quiet`.

        Call it `every` so many nanoseconds; each silence is looked at once. Only an acceptance ends the matter: behind
        anything else the client may try again.
        """
        for flow in self._table.active():
            silent = self._clock.now - flow.last
            if flow.settled or flow.tls is None or flow.tls.established is None or not quiet <= silent < quiet + every:
                continue
            self._reporter.settle_if_accepted(flow, self._clock.now)

    def still_open(self, servers: Container[tuple[bytes, int]]) -> Iterator[Sighting]:
        """What is known by now of connections to these servers (packed address, port) that go on."""
        for flow in self._table.flows():
            if (flow.server_address, flow.server_port) in servers:
                sighting = self._reporter.sight(flow, self._clock.now)
                if sighting is not None:
                    yield sighting

    def known_addresses(self, count: int) -> list[bytes]:
        """The servers' addresses that names were seen to have, packed, the latest first."""
        return self._servers.latest_addresses(count)

    # ---- what isn't TCP ----------------------------------------------------------------------------------------------

    def _slowly(self, time: int, link_type: int, frame: bytes, interface: str | None, vlan: int | None) -> None:
        inside = self._slow_path.unwrap(time, link_type, frame)
        if inside is None:
            self._counts.undecoded += 1
            return
        self._counts.slow += 1
        decoded = decode(LinkType.RAW, inside, 0, len(inside), len(inside))
        if isinstance(decoded, Segment):
            self._segment(time, decoded, inside, interface, vlan, interface)
        else:
            self._other(decoded, inside)

    def _other(self, decoded: Datagram | IcmpError | NotRead, buffer: Buffer) -> None:
        if isinstance(decoded, Datagram):
            self._datagram(decoded, buffer)
        elif isinstance(decoded, IcmpError):
            self._icmp_error(decoded)
        elif decoded is NotRead.FRAGMENT:
            self._counts.fragments += 1
        elif decoded is NotRead.CUT:
            self._counts.cut += 1

    def _datagram(self, datagram: Datagram, buffer: Buffer) -> None:
        if datagram.source_port == _DNS:
            answer = read_answer(buffer[datagram.start : datagram.end])
            if answer is not None:
                for address in answer.addresses:
                    self._servers.learn(answer.name, address)
        elif datagram.destination_port == _HTTPS and datagram.end > datagram.start:
            key = key_of(datagram.source, datagram.destination, datagram.source_port, _HTTPS)
            if key not in self._quic and begins_quic(bytes(buffer[datagram.start : datagram.start + QUIC_HEADER])):
                self._counts.quic += 1
                self._quic[key] = None
                if len(self._quic) > MAX_QUIC:
                    self._quic.popitem(last=False)

    def _icmp_error(self, error: IcmpError) -> None:
        """A SYN didn't arrive. (What happens to later segments shows in the connection itself.)"""
        key = key_of(error.source, error.destination, error.source_port, error.destination_port)
        half = self._table.halves.get(key)
        if half is None or half.first is None or not half.from_client:
            return
        if half.flow.syn_ack is None and error.sequence == half.first - 1 & SEQUENCE_MASK:
            half.flow.unreachable = True

    # ---- TCP ---------------------------------------------------------------------------------------------------------

    def _segment(
        self, time: int, segment: Segment, buffer: Buffer, interface: str | None, vlan: int | None, place: str | None
    ) -> None:
        key = key_of(segment.source, segment.destination, segment.source_port, segment.destination_port)
        half, flags = self._halves.get(key), segment.flags
        if half is not None and flags & (SYN | ACK) == SYN and is_another(half, segment):
            self._end(half.flow)
            half = None
        if half is None:
            half = self._begin(time, key, segment, buffer, interface, vlan)
            if half is None:
                return
        if place is not None and self._is_elsewhere(half, time, place):
            return
        if segment.ttl and flags & (SYN | RST):
            _note(half, segment, buffer)
        take(
            half, time, segment.sequence, segment.acknowledgment, flags,
            buffer, segment.start, segment.end, segment.length,
        )  # fmt: skip
        self._follow(half, flags, segment.length)

    def _is_elsewhere(self, half: Half, time: int, place: str) -> bool:
        """Whether a segment was seen before, where its direction is watched: it is being forwarded."""
        if half.place is None or time - half.last > MOVED:
            half.place = place
        if half.place == place:
            return False
        self._counts.elsewhere += 1
        return True

    def _follow(self, half: Half, flags: int, length: int) -> None:
        """What a segment came to."""
        flow = half.flow
        if not flow.answered and (flags & ACK or not half.from_client):
            flow.answered = True
            flow.may_pass(1)
            self._table.answered(flow)
        if flow.closed is not None:
            self._closing(flow)
        elif flow.odd_reset is not None:
            flow.may_pass(0)
            self._timers.set(flow, deadline(flow, 0))
        elif length and half.stage != SKIMMED:
            self._progress(flow, half)
            if self._held.added > self._look_after:
                self._bound_held()
        elif flow.other and not flow.named:
            flow.named = True
            self._pass_over(flow)

    def _bound_held(self) -> None:
        """Many connections may each wait for a little, but not for all that each may have: the oldest go on without."""
        self._held.added = 0
        total, most = self.held, self.config.max_held
        if total <= most:
            return
        for flow in self._table.flows():
            held = flow.held
            if held:
                make_room(flow)
                self._counts.let_go += 1
                total += flow.held - held
                if total <= most // 2:
                    return

    def _begin(
        self, time: int, key: bytes, segment: Segment, buffer: Buffer, interface: str | None, vlan: int | None
    ) -> Half | None:
        """The first segment of a connection; None where there is nothing to follow."""
        flags = segment.flags
        begins = flags & (SYN | RST) == SYN
        if begins:
            if not flags & ACK and self._table.was_begun_by(key, segment.sequence + 1 & SEQUENCE_MASK):
                return None
        elif flags & RST or self._table.is_over(key) or not is_interesting(segment, buffer, WANTED_PORTS):
            return None
        from_client = not flags & ACK if begins else comes_from_client(segment, buffer, WANTED_PORTS)
        here, there = (segment.source, segment.source_port), (segment.destination, segment.destination_port)
        client, server = (here, there) if from_client else (there, here)
        if not begins and not self.config.everything and not self._servers.is_ours(None, server[0]):
            return None
        if self._table.full():
            self._give_up()
        vlans = segment.vlan if vlan is None else (vlan, *segment.vlan)
        flow = Flow(client, server, time, vlans, interface, self._held)
        flow.filtered = self.config.filtered
        if begins and from_client:
            flow.syn = time
        if not begins:
            flow.client.synchronized = flow.server.synchronized = False
        if server[1] in STARTTLS_PORTS and (protocol := mail_protocol(server[1])):
            begin_text(flow, protocol)
        other = key_of(segment.destination, segment.source, segment.destination_port, segment.source_port)
        self._table.add(flow, *((key, other) if from_client else (other, key)))
        self._timers.set(flow, time + NO_ANSWER + self._patience)
        return flow.client if from_client else flow.server

    def _progress(self, flow: Flow, half: Half) -> None:
        """What a segment's bytes told."""
        tls = flow.tls
        if tls is None:
            return
        if tls.established is not None:
            self._reporter.established(flow)
            if tls.enough:
                self._reporter.settle(flow, self._clock.now)
                tls.log = []
                skim(flow)
        elif half.from_client and tls.client_hello is not None and not flow.named:
            flow.named = True
            name = server_name(flow)
            if name is not None and flow.tunnel is None:  # a proxy's address is nobody's
                self._servers.learn(name, flow.server_address)
                if self._servers.is_sign_in(name):
                    tls.brief, tls.log_limit = False, SIGN_IN_RECORDS
            if tls.brief and self._reporter.is_mail(flow):  # at a port of the administrator's
                tls.brief, tls.log_limit = False, MAX_RECORDS
            if not self.config.everything and not self._servers.is_ours(name, flow.server_address):
                self._forget(flow)
                flow.release()

    def _pass_over(self, flow: Flow) -> None:
        """Something else than TLS is spoken; it is told where TLS or mail was to be expected."""
        if flow.server_port not in WANTED_PORTS and self._reporter.target(flow) is None:
            self._forget(flow)
            flow.release()

    def _closing(self, flow: Flow) -> None:
        if is_over(flow):
            self._end(flow)
        elif not flow.closing:
            flow.closing = True
            flow.may_pass(0)
            self._table.closing(flow)
            self._timers.set(flow, deadline(flow, 0))

    def _look_at(self, flow: Flow) -> None:
        """Its time has come, unless something happened since."""
        due = deadline(flow, self._patience)
        if due > self._clock.now:
            self._timers.set(flow, due)
            return
        self._end(flow)

    def _end(self, flow: Flow) -> None:
        self._forget(flow)
        flush(flow)
        self._reporter.over(flow, self._clock.now)
        flow.release()

    def _forget(self, flow: Flow, *, remembered: bool = True) -> None:
        self._timers.cancel(flow)
        self._table.remove(flow, remembered=remembered)

    def _give_up(self) -> None:
        """Makes room. A SYN without answer, as in a flood, isn't told: nothing is known of it."""
        flow = self._table.to_give_up(self._clock.now)
        self._counts.evicted += 1
        if flow.syn_ack is None and flow.closed is None and self._clock.now - flow.start < NO_ANSWER:
            self._forget(flow, remembered=False)
            flow.release()
        else:
            self._end(flow)


def _note(half: Half, segment: Segment, buffer: Buffer) -> None:
    """How far its sender seems to be: a reset from elsewhere than the answer to the SYN is somebody else's. Of that
    answer the segment size that it asks for."""
    if segment.flags & RST:
        half.reset_ttl = half.reset_ttl or segment.ttl
    else:
        half.ttl = segment.ttl
        if segment.flags & ACK:
            half.mss = mss_of(options_of(segment, buffer)) or 0
