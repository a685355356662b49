"""Packets of real interfaces: a veth pair in namespaces of our own, both ways of reading, and what goes wrong."""

import fcntl
import select
import socket
import struct
import time
from contextlib import closing, contextmanager
from typing import Any

import pytest

from exporter.wire.bpf import assemble
from exporter.wire.decode import LinkType
from exporter.wire.fanout import fanout_program, join_group
from exporter.wire.kernel_filter import FilterSpec, packet_filter
from exporter.wire.ring import BLOCK, BLOCKS, Capture, CaptureForbidden, InterfaceMissing, _made_ring
from tests.probe.namespaces import inside, ip, linked, namespace, root
from tests.wire.bpf_machine import run
from tests.wire.packets_by_hand import ACK, PSH, SYN, ethernet, record, segment, udp, vlan
from tests.wire.packets_by_hand import ip as packet

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
BOTH_WAYS = pytest.mark.parametrize("ring", [True, False], ids=["ring", "recvmsg"])


def the_filter(link, loopback):
    return packet_filter(FilterSpec(link=link, skip_outgoing=loopback))


def everything(link, loopback):
    return assemble("ld #pkttype\njeq #4, out\nret #65535\nout: ret #0" if loopback else "ret #65535")


def ipv4(length):
    """Passes so much of IPv4's frames: the kernel's own are IPv6's multicast."""
    return assemble(f"ldh [12]\njeq #0x800, , no\nret #{length}\nno: ret #0")


@contextmanager
def pair():
    with namespace() as left, namespace() as right, linked(left, right):
        yield left, right


def sent(frames, interface="eth0"):
    """Sends frames on an interface, as they are."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        for frame in frames:
            sock.send(frame)


def read(capture, count, seconds=5.0):
    """That many packets, copied: (bytes, what else the tuple has)."""
    poll = select.poll()
    poll.register(capture, select.POLLIN)
    found: list[Any] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        poll.poll(100)
        for moment, link, buffer, start, end, original, name, tag in capture.packets():
            found.append((bytes(buffer[start:end]), (moment, link, original, name, tag)))
    return found


def capture_while(left, right, frames, count, make_filter=the_filter, **options):
    """What a capture on the left sees of frames that the right sends."""

    def both():
        with closing(Capture("eth0", make_filter, **options)) as capture:
            inside(right, sent, frames)
            return read(capture, count), tuple(capture.statistics()), capture.has_ring

    return inside(left, both)


HELLO = record(22, b"\1" + bytes(200))
FRAMES = [
    ethernet(segment(SYN)),
    ethernet(segment(ACK)),
    ethernet(segment(ACK | PSH, HELLO)),
    ethernet(segment(ACK, bytes([200]) * 1_400, to_server=False)),
    ethernet(segment(SYN, version=6)),
    ethernet(segment(SYN), tags=vlan(42)),
    ethernet(segment(SYN), tags=vlan(42, 0x88A8) + vlan(7)),
    ethernet(packet("192.0.2.53", "192.0.2.1", 17, udp(53, 999, bytes(40)))),
]


@root
class TestReading:
    @BOTH_WAYS
    def test_what_passes_the_filter_and_nothing_else(self, ring):
        with pair() as (left, right):
            before = time.time()
            found, statistics, has_ring = capture_while(left, right, FRAMES, 6, ring=ring)
        assert has_ring is ring
        assert [frame for frame, _ in found] == [
            FRAMES[0], FRAMES[2], FRAMES[4], FRAMES[0][:56], ethernet(segment(SYN), tags=vlan(7), pad=58), FRAMES[7],
        ]  # fmt: skip
        assert [tag for _, (*_, tag) in found] == [None, None, None, 42, 42, None]  # the outer one, taken off
        assert statistics == (6, 0)
        for frame, (moment, link, original, name, _) in found:
            assert (link, name, original) == (LinkType.ETHERNET, "eth0", len(frame))
            assert before - 1 < moment / 1e9 < time.time() + 1

    @BOTH_WAYS
    def test_long_segments_are_cut_and_say_so(self, ring):
        def both():
            with closing(Capture("eth0", lambda *_: ipv4(100), ring=ring)) as capture:
                inside(right, sent, [FRAMES[3]])
                return read(capture, 1)

        with pair() as (left, right):
            ((frame, (_, _, original, _, _)),) = inside(left, both)
        assert (frame, original) == (FRAMES[3][:100], len(FRAMES[3]))

    @BOTH_WAYS
    def test_each_packet_once_on_loopback(self, ring):
        def both():
            with closing(Capture("lo", everything, ring=ring)) as capture:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    for number in range(5):
                        sock.sendto(b"number %d" % number, ("127.0.0.1", 9_999))
                return [frame[42:] for frame, _ in read(capture, 50, 0.5) if b"number" in frame and frame[23] == 17]

        with namespace() as where:
            assert inside(where, both) == [b"number %d" % number for number in range(5)]

    @BOTH_WAYS
    def test_an_interface_without_link_header(self, ring):
        """A tunnel's packets begin with IP."""

        def both():
            with open("/dev/net/tun", "r+b", buffering=0) as tunnel:
                fcntl.ioctl(tunnel, TUNSETIFF, struct.pack("@16sH22x", b"tun7", IFF_TUN | IFF_NO_PI))
                ip("link", "set", "tun7", "up")
                with closing(Capture("tun7", the_filter, ring=ring)) as capture:
                    for version in (4, 6):
                        tunnel.write(segment(ACK, version=version))
                        tunnel.write(segment(SYN, version=version))
                    return read(capture, 2)

        with namespace() as where:
            found = inside(where, both)
        assert [frame for frame, _ in found] == [segment(SYN), segment(SYN, version=6)]
        assert {link for _, (_, link, *_) in found} == {LinkType.RAW}

    def test_nothing_is_left_in_memory(self):
        secret = b"AUTH PLAIN AGFsaWNlAGh1bnRlcjI=\r\n"

        def both():
            with closing(Capture("eth0", the_filter)) as capture:
                inside(right, sent, [ethernet(segment(ACK | PSH, secret, server_port=587))] * 3)
                found = read(capture, 3)
                assert capture._ring is not None
                return [secret in frame for frame, _ in found], capture._ring[:].count(b"AGFsaWNl")

        with pair() as (left, right):
            assert inside(left, both) == ([True] * 3, 0)

    @pytest.mark.parametrize("blocks", [3, BLOCKS])
    def test_many_packets_through_all_blocks(self, blocks):
        """More than the ring holds at once, read as they come."""
        frames = [ethernet(segment(SYN, sequence=number)) for number in range(1_000)]

        def both():
            with closing(Capture("eth0", the_filter, blocks=blocks)) as capture:
                seen = []
                for at in list(range(0, len(frames), 500)) * 30:  # so few that a busy machine's ring has room for them
                    inside(right, sent, frames[at : at + 500])
                    seen += read(capture, 500)
                return [struct.unpack_from(">I", frame, 38)[0] for frame, _ in seen], tuple(capture.statistics())

        with pair() as (left, right):
            numbers, statistics = inside(left, both)
        assert numbers == list(range(1_000)) * 30
        assert statistics == (30_000, 0)

    @BOTH_WAYS
    def test_what_the_kernel_drops_is_counted(self, ring):
        """Nobody reads while more is sent than there is room for."""
        frames = [ethernet(segment(ACK | PSH, HELLO + bytes(1_200), server_port=443))] * 12_000

        def both():
            with closing(Capture("eth0", the_filter, ring=ring)) as capture:
                inside(right, sent, frames)
                passed, dropped = capture.statistics()
                return passed, dropped, len(read(capture, passed - dropped))

        with pair() as (left, right):
            passed, dropped, found = inside(left, both)
        assert passed == 12_000
        assert dropped > 1_000
        assert found == passed - dropped

    def test_a_new_filter_takes_the_olds_place(self):
        programs = [assemble("ret #0")]

        def both():
            with closing(Capture("eth0", lambda *_: programs[-1])) as capture:
                inside(right, sent, FRAMES[:1])
                programs.append(ipv4(60))
                capture.refilter()
                inside(right, sent, FRAMES[:2])
                return [frame for frame, _ in read(capture, 2)]

        with pair() as (left, right):
            assert inside(left, both) == FRAMES[:2]

    def test_promiscuous_only_where_asked(self):
        def flags():
            return ip("-d", "link", "show", "eth0")

        def both():
            with closing(Capture("eth0", the_filter)):
                without = flags()
            with closing(Capture("eth0", the_filter, promiscuous=True)):
                return without, flags()

        with pair() as (left, _):
            without, with_it = inside(left, both)
        assert "promiscuity 0" in without
        assert "promiscuity 1" in with_it


@root
class TestInterfacesGoAndCome:
    def test_down_and_up_again_it_goes_on(self):
        def both():
            with closing(Capture("eth0", the_filter)) as capture:
                ip("link", "set", "eth0", "down")
                while_down = capture.is_there()
                ip("link", "set", "eth0", "up")
                time.sleep(0.05)
                assert capture.is_there()
                deadline = time.monotonic() + 5
                found: list[Any] = []
                while not found and time.monotonic() < deadline:  # the pair's other end needs a moment too
                    inside(right, sent, FRAMES[:1])
                    found = read(capture, 1, 0.3)
                return while_down, [frame for frame, _ in found]

        with pair() as (left, right):
            while_down, found = inside(left, both)
        assert while_down is True
        assert set(found) == {FRAMES[0]}

    def test_another_interface_of_the_same_name_is_another(self):
        def both():
            with closing(Capture("eth0", the_filter)) as capture:
                ip("link", "del", "eth0")
                gone = not capture.is_there()
                ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth9")
                return gone, capture.is_there(), list(capture.packets())

        with pair() as (left, _):
            assert inside(left, both) == (True, False, [])

    def test_what_is_not_there(self):
        def tries():
            for name in ("eth7", "", "a name much too long", "\udcff"):
                with pytest.raises(InterfaceMissing, match="no such interface"):
                    Capture(name, the_filter)

        with namespace() as where:
            inside(where, tries)

    def test_without_the_right(self):
        def tries():
            from exporter.capabilities import drop_capabilities

            drop_capabilities()
            with pytest.raises(CaptureForbidden, match="lo: reading packets needs CAP_NET_RAW"):
                Capture("lo", the_filter)

        with namespace() as where:
            inside(where, tries)

    def test_no_room_for_a_ring(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as no_packet_socket:
            assert _made_ring(no_packet_socket, BLOCKS) is None
        assert BLOCK * BLOCKS == 8 << 20


class TestFanoutProgram:
    """Which worker a packet goes to, by the machine in Python: offsets from the IP header are stood in for."""

    def worker(self, ip_packet: bytes, workers: int = 4) -> int:
        program = [
            (code, jt, jf, k - 0xFFF00000 if k >= 0xFFF00000 else k)
            for code, jt, jf, k in fanout_program(workers, (443, 993))
        ]
        return run(program, ip_packet)

    @pytest.mark.parametrize("version", [4, 6])
    def test_both_directions_of_a_client_and_its_other_packets(self, version):
        found = set()
        for number in range(40):
            client = f"192.0.2.{number}" if version == 4 else f"2001:db8::{number:x}"
            name_server = "203.0.113.53" if version == 4 else "2001:db8:5::53"
            workers = {
                self.worker(segment(SYN, client=client, version=version, server_port=port, to_server=direction))
                for port in (443, 993)
                for direction in (True, False)
            }
            workers.add(self.worker(packet(name_server, client, 17, udp(53, 999, b""))))
            assert len(workers) == 1
            found |= workers
        assert found == {0, 1, 2, 3}

    def test_options_in_front(self):
        plain = self.worker(segment(SYN))
        assert self.worker(segment(SYN, ip_options=bytes(12))) == plain


@root
def test_two_workers_share_an_interface():
    frames = [ethernet(segment(SYN, client=f"192.0.2.{number}", to_server=direction))
              for number in range(100) for direction in (True, False)]  # fmt: skip

    def both():
        join = join_group(77, 2, (443, 993))
        with (
            closing(Capture("eth0", the_filter, join=join)) as one,
            closing(Capture("eth0", the_filter, join=join)) as two,
        ):
            inside(right, sent, frames)
            return [frame for frame, _ in read(one, 200, 1.0)], [frame for frame, _ in read(two, 200, 1.0)]

    with pair() as (left, right):
        one, two = inside(left, both)
    assert len(one) + len(two) == 200
    assert len(one) > 40 < len(two)

    def clients(found):
        return {min(frame[26:30], frame[30:34]) for frame in found}

    assert not clients(one) & clients(two)
