"""The kernel's filter with a memory: what it lets pass that one without can't, and that it is what its parts say."""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.capabilities import drop_capabilities, held_capabilities
from exporter.wire import ebpf
from exporter.wire.bpf import assemble
from exporter.wire.interface_state import Interface
from exporter.wire.kernel_filter import (
    GOES_ON,
    HANDSHAKE_SNAP,
    IP_WORD,
    LENGTH_WORD,
    MAX_MESSAGES,
    MISSING_WORD,
    SNAP_WORD,
    STRANGER,
    TCP_WORD,
    UNKNOWN_REST,
    UNTOLD,
    VERSION_WORD,
    FilterSpec,
    Link,
    packet_filter,
)
from exporter.wire.kernel_memory import MAX_SERVERS, KernelMemory, bucket_of, kernel_memory
from exporter.wire.messages import Kind
from exporter.wire.sandbox import CAP_NET_RAW, keep_only_raw
from exporter.wire.worker import warm_up
from tests.in_child import in_child
from tests.probe.namespaces import inside, root
from tests.wire.bpf_machine import run
from tests.wire.packets_by_hand import ACK, PSH, RST, SYN, ethernet, record, segment, vlan
from tests.wire.test_kernel_filter import BULK, DATA, frames
from tests.wire.test_process import children, is_open, keeper
from tests.wire.test_ring import pair, sent

pytestmark = root

FULL = 1_400
#: A message of four full segments.
HELLO = record(22, b"\1" + os.urandom(4 * FULL - 6))
SPEC = FilterSpec(plain=frozenset({80}))


@contextmanager
def asking(memory: KernelMemory, link: Link = Link.ETHERNET) -> Iterator["Asked"]:
    """The kernel with that program, asked through a Unix socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.setblocking(False)
        ebpf.attach(theirs, memory.program(link, False))
        yield Asked(ours, theirs, link)


class Asked:
    def __init__(self, ours: socket.socket, theirs: socket.socket, link: Link) -> None:
        self._ours, self._theirs, self._link = ours, theirs, link

    def frame(self, frame: bytes) -> int:
        """How much of it passes, bytes."""
        self._ours.send(frame)
        try:
            return len(self._theirs.recv(65_536))
        except BlockingIOError:
            return 0

    def passes(self, packet: bytes, tags: bytes = b"") -> bool:
        return self.frame(packet if self._link is Link.RAW else ethernet(packet, tags=tags)) > 0


@pytest.fixture
def memory() -> Iterator[KernelMemory]:
    with closing(KernelMemory(SPEC)) as made:
        yield made


@pytest.fixture
def asked(memory: KernelMemory) -> Iterator[Asked]:
    with asking(memory) as made:
        yield made


def pieces(message: bytes, size: int = FULL) -> list[bytes]:
    return [message[place : place + size] for place in range(0, len(message), size)]


class TestHandshakes:
    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("to_server", [True, False])
    @pytest.mark.parametrize("tags", [b"", vlan(7), vlan(7) + vlan(8)])
    def test_a_message_of_many_segments_passes_whole_and_then_bulk_does_not(self, asked, version, to_server, tags):
        for piece in pieces(HELLO):
            assert asked.passes(segment(ACK, piece, version=version, to_server=to_server), tags)
        bulk = segment(ACK, BULK, version=version, to_server=to_server)
        assert [asked.passes(bulk, tags) for _ in range(3)] == [False, False, False]

    def test_without_a_memory_its_middle_does_not(self):
        program = packet_filter(SPEC)
        assert [run(program, ethernet(segment(ACK, piece))) > 0 for piece in pieces(HELLO)] == [
            True, False, False, False,
        ]  # fmt: skip

    def test_bulk_that_no_message_announced_does_not_pass(self, asked):
        for to_server in (True, False):
            assert not asked.passes(segment(ACK, BULK, to_server=to_server))

    def test_it_is_of_one_direction_of_one_connection(self, asked):
        assert asked.passes(segment(ACK, HELLO[:FULL]))
        middle = HELLO[FULL : 2 * FULL]
        assert not asked.passes(segment(ACK, middle, to_server=False))
        assert not asked.passes(segment(ACK, middle, client_port=50_001))
        assert not asked.passes(segment(ACK, middle, server_port=443))
        assert not asked.passes(segment(ACK, middle, client="192.0.2.11"))
        assert not asked.passes(segment(ACK, middle, server="198.51.100.21"))
        assert asked.passes(segment(ACK, middle))

    def test_no_more_than_the_message_has_left(self, asked):
        assert asked.passes(segment(ACK, HELLO[:FULL]))
        left = len(HELLO) - FULL
        passed = 0
        while asked.passes(segment(ACK, BULK)):
            passed += len(BULK)
        assert left <= passed < left + len(BULK)

    def test_a_segment_sent_again_begins_it_again(self, asked):
        for piece in (*pieces(HELLO), *pieces(HELLO)):
            assert asked.passes(segment(ACK, piece))

    def test_a_servers_flight_of_several_messages(self, asked):
        """ServerHello whole, then a certificate that goes on: the second one's rest is known."""
        flight = record(22, bytes(90)) + record(22, b"\x0b" + os.urandom(4_000)) + record(22, b"\x0e\0\0\0")
        for piece in pieces(flight):
            assert asked.passes(segment(ACK, piece, to_server=False))
        assert not asked.passes(segment(ACK, BULK, to_server=False))

    def test_whole_messages_announce_nothing(self, asked):
        assert asked.passes(segment(ACK, record(22, bytes(90)) + record(22, bytes(4)) + record(23, bytes(2_000))))
        assert not asked.passes(segment(ACK, BULK))

    @pytest.mark.parametrize("cut", [1, 2, 3, 4])
    def test_where_the_next_messages_length_is_not_here_yet(self, asked, cut):
        begin = record(22, bytes(90)) + record(22, bytes(3_000))[:cut]
        assert asked.passes(segment(ACK, begin, to_server=False))
        passed = 0
        while asked.passes(segment(ACK, BULK, to_server=False)):
            passed += len(BULK)
        assert UNKNOWN_REST <= passed < UNKNOWN_REST + len(BULK)

    def test_more_messages_than_are_stepped_over(self, asked):
        flight = record(22, bytes(9)) * MAX_MESSAGES + record(22, bytes(5_000))
        assert asked.passes(segment(ACK, flight[:FULL], to_server=False))
        assert not asked.passes(segment(ACK, BULK, to_server=False))

    def test_without_a_link_header(self, memory):
        with asking(memory, Link.RAW) as asked:
            for version in (4, 6):
                for piece in pieces(HELLO):
                    assert asked.passes(segment(ACK, piece, version=version))
                assert not asked.passes(segment(ACK, BULK, version=version))

    def test_at_a_port_that_nobody_knows(self):
        with closing(KernelMemory(FilterSpec(anywhere=True, known=()))) as memory, asking(memory) as asked:
            for piece in pieces(HELLO):
                assert asked.passes(segment(ACK, piece, server_port=2_222))
            assert not asked.passes(segment(ACK | PSH, BULK, server_port=2_222))

    def test_old_directions_make_room(self, memory):
        """More than the table holds: the latest is there, and nothing was refused."""
        with asking(memory) as asked:
            for number in range(20_000):
                packet = segment(ACK, HELLO[:FULL], client=str(ip_address(0x0A00_0000 + number)))
                assert asked.passes(packet)
            assert asked.passes(segment(ACK, HELLO[FULL : 2 * FULL], client=str(ip_address(0x0A00_0000 + number))))


class TestServers:
    PACKETS = pytest.mark.parametrize(
        ("server", "version"), [("203.0.113.7", 4), ("2001:db8:7::7", 6)]
    )  # fmt: skip

    @PACKETS
    @pytest.mark.parametrize("to_server", [True, False])
    def test_any_servers_records_pass_until_only_known_ones_do(self, memory, asked, server, version, to_server):
        packet = segment(ACK | PSH, DATA, server=server, server_port=443, version=version, to_server=to_server)
        assert asked.passes(packet)
        memory.narrow(0, only_known=True)
        assert not asked.passes(packet)
        memory.know([ip_address(server).packed])
        assert asked.passes(packet)
        memory.know([])
        assert not asked.passes(packet)
        memory.narrow(0, only_known=False)
        assert asked.passes(packet)

    @PACKETS
    def test_the_clients_address_does_not_count(self, memory, asked, server, version):
        memory.narrow(0, only_known=True)
        memory.know([ip_address(server).packed])
        swapped = {"client": server, "server": "198.51.100.99" if version == 4 else "2001:db8:ffff::99"}
        for to_server in (True, False):
            assert not asked.passes(
                segment(ACK, DATA, server_port=443, version=version, to_server=to_server, **swapped)
            )

    def test_networks_of_the_program_need_not_be_learned(self):
        spec = FilterSpec(known=(ip_network("203.0.113.0/24"),))
        with closing(KernelMemory(spec)) as memory, asking(memory) as asked:
            memory.narrow(0, only_known=True)
            assert asked.passes(segment(ACK, DATA, server="203.0.113.9", server_port=443))
            assert not asked.passes(segment(ACK, DATA, server="203.0.112.9", server_port=443))

    def test_only_so_many_and_the_first(self, memory, asked):
        memory.narrow(0, only_known=True)
        servers = [ip_address(0xCB00_7100 + number) for number in range(2 * MAX_SERVERS)]
        memory.know(server.packed for server in servers)
        buckets = {bucket_of(server.packed) for server in servers[:MAX_SERVERS]}
        for server in servers:
            expected = bucket_of(server.packed) in buckets
            assert asked.passes(segment(ACK, DATA, server=str(server), server_port=443)) is expected

    def test_strangers_are_seldom_taken_for_them(self):
        known = {bucket_of(ip_address(0x3461_0000 + 7 * number).packed) for number in range(MAX_SERVERS)}
        strangers = [bucket_of(ip_address(0x0808_0000 + 3 * number).packed) for number in range(10_000)]
        assert len(known) > 0.9 * MAX_SERVERS
        assert sum(bucket in known for bucket in strangers) < 1_000


class Model:
    """What the program is to do, told by its classic part and what was before."""

    def __init__(self, link: Link) -> None:
        self._at, self._missing = link.value, dict[bytes, int]()

    def passed(self, program, frame: bytes, *, narrow: bool, known: set[int]) -> int:
        words = [0] * 16
        said = run(program, frame, memory=words)
        if said == STRANGER:
            return words[SNAP_WORD] if not narrow or bucket_of(self._server(frame, words)) in known else 0
        if said == GOES_ON:
            self._missing[self._key(frame, words)] = words[MISSING_WORD]
            return HANDSHAKE_SNAP
        if said == UNTOLD:
            key = self._key(frame, words)
            missing = self._missing.get(key, 0)
            self._missing[key] = max(missing - words[LENGTH_WORD], 0)
            return HANDSHAKE_SNAP if missing else 0
        return said

    def _addresses(self, frame: bytes, words: list[int]) -> tuple[bytes, int]:
        first, size = (12, 4) if words[VERSION_WORD] == 4 else (8, 16)
        begin = self._at + words[IP_WORD] + first
        return frame[begin : begin + 2 * size], size

    def _key(self, frame: bytes, words: list[int]) -> bytes:
        begin = self._at + words[TCP_WORD]
        return self._addresses(frame, words)[0] + frame[begin : begin + 4]

    def _server(self, frame: bytes, words: list[int]) -> bytes:
        both, size = self._addresses(frame, words)
        return both[size:] if words[3] & 1 else both[:size]


SPECS = (
    SPEC,
    FilterSpec(known=(ip_network("198.51.100.0/25"),), web=frozenset({443, 8_443})),
    FilterSpec(anywhere=True, known=()),
)


@st.composite
def handshakes(draw):
    """Parts of messages, in any order and of a few connections, among other frames."""
    message = draw(st.sampled_from([HELLO, record(22, bytes(90)) + record(22, bytes(6_000)), BULK, DATA]))
    begin = draw(st.integers(0, 3_000)) if draw(st.booleans()) else 0
    packet = segment(
        draw(st.sampled_from([ACK, ACK | PSH])), message[begin : begin + draw(st.integers(0, FULL))],
        to_server=draw(st.booleans()), version=draw(st.sampled_from([4, 6])),
        client_port=draw(st.integers(50_000, 50_001)), server_port=draw(st.sampled_from([443, 993, 2_222])),
    )  # fmt: skip
    return ethernet(packet, tags=draw(st.sampled_from([b"", vlan(3)])))


@settings(max_examples=60, deadline=None)
@given(
    listed=st.lists(handshakes() | frames(), min_size=1, max_size=30),
    spec=st.sampled_from(SPECS),
    narrow=st.booleans(),
    link=st.sampled_from(Link),
)
def test_the_kernel_does_what_the_program_says(listed, spec, narrow, link):
    program = packet_filter(spec.remembering_at(link, skip_outgoing=False))
    known = [ip_address("198.51.100.20").packed]
    model = Model(link)
    with closing(KernelMemory(spec)) as memory, asking(memory, link) as asked:
        memory.narrow(0, only_known=narrow)
        memory.know(known)
        for frame in listed:
            content = frame[14:] if link is Link.RAW else frame
            expected = model.passed(program, content, narrow=narrow, known={bucket_of(each) for each in known})
            if content:
                assert asked.frame(content) == min(expected, len(content))


def test_every_classic_program_is_the_same_translated():
    """Arithmetic and jumps of which the filters have few."""
    program = assemble("""
        ldb [0]
        tax
        ldb [x + 1]
        st M[3]
        mod #7
        xor x
        or #0x100
        stx M[15]
        ldx M[3]
        sub x
        ldx M[15]
        lsh #3
        rsh #1
        jgt #2000, more
        and #0xffff
        ret a
more:   ld len
        ret a
    """)
    code = ebpf.translated(program, {}, {})
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.setblocking(False)
        loaded = ebpf.loaded(code)
        ebpf.attach(theirs, loaded)
        os.close(loaded)  # the socket keeps it
        for first in range(6):
            for second in range(0, 256, 5):
                packet = bytes([first]) + bytes([second]) * 900
                ours.send(packet)
                try:
                    got = len(theirs.recv(4_096))
                except BlockingIOError:
                    got = 0
                assert got == min(run(program, packet), len(packet)), (first, second)


def without_rights():
    """Gives them up: whether there is a memory, and how many descriptors were left behind."""
    drop_capabilities()
    before = len(os.listdir("/proc/self/fd"))
    found = kernel_memory(SPEC)
    return found is None, len(os.listdir("/proc/self/fd")) - before


def test_without_the_right_there_is_none_and_nothing_is_left_open():
    assert in_child(without_rights) == (True, 0)


def test_where_the_system_call_is_not_known(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(OSError, match="riscv64"):
        KernelMemory(SPEC)


def test_a_program_that_the_kernel_refuses_leaves_nothing_open(monkeypatch):
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(ebpf, "translated", lambda *_: b"\x95" + bytes(7))  # R0 is never set
    with pytest.raises(OSError, match=r"Permission denied|Invalid argument"):
        KernelMemory(SPEC)
    assert len(os.listdir("/proc/self/fd")) == before


def client_hello(name: str, length: int) -> bytes:
    """A record with a ClientHello of that length whose server_name stands at its end, behind padding (RFC 7685)."""
    host = name.encode()
    server_name = struct.pack(">HHHBH", 0, len(host) + 5, len(host) + 3, 0, len(host)) + host
    fixed = b"\x03\x03" + bytes(range(32)) + b"\0" + b"\0\x02\xc0\x2f" + b"\x01\0"
    padding = length - 5 - 4 - len(fixed) - 2 - 4 - len(server_name)
    extensions = struct.pack(">HH", 21, padding) + bytes(padding) + server_name
    body = fixed + struct.pack(">H", len(extensions)) + extensions
    return record(22, b"\1" + len(body).to_bytes(3) + body)


def conversation() -> list[bytes]:
    """A connection whose hello goes in four full segments, none with PSH; the server resets it."""
    found = [ethernet(segment(SYN, sequence=0)),
             ethernet(segment(SYN | ACK, to_server=False, sequence=0, acknowledgment=1))]  # fmt: skip
    hello = client_hello("imap-mail.outlook.com", 4 * FULL)
    assert len(hello) == 4 * FULL
    found += [ethernet(segment(ACK, piece, sequence=1 + number * FULL, acknowledgment=1))
              for number, piece in enumerate(pieces(hello))]  # fmt: skip
    found.append(ethernet(segment(RST | ACK, to_server=False, sequence=1, acknowledgment=1 + len(hello))))
    return found


@contextmanager
def sender(right: str) -> Iterator[Callable[[], object]]:
    """A process that sends the conversation when it is told to, whatever rights the one that tells has by then."""
    waiting, telling = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(telling)
        if os.read(waiting, 1):
            inside(right, sent, conversation())
        os._exit(0)
    os.close(waiting)
    try:
        yield lambda: os.write(telling, b"x")
    finally:
        os.close(telling)
        os.waitpid(pid, 0)


def seen_by_keeper(right: str, *, only_raw: bool) -> tuple[str, str | None, list[int]]:
    """What the keeper's worker chooses packets by, the name that it read, and what it and its keeper may do.

    `only_raw`: who starts them has CAP_NET_RAW and nothing else.
    """
    with sender(right) as send:
        if only_raw:
            warm_up()
            keep_only_raw()
        with keeper(Interface("eth0", "inside")) as (heard, pid):
            _, _, chosen_by = heard.until(Kind.HELLO)
            heard.until(Kind.INTERFACES, is_open)
            rights = [held_capabilities(each) for each in (pid, *children(pid))]
            send()
            return chosen_by, heard.until(Kind.CONNECTION).sni, rights


class TestInspector:
    @pytest.mark.parametrize(
        ("only_raw", "expected"),
        [(False, ("eBPF", "imap-mail.outlook.com")), (True, ("classic BPF", None))],
    )
    def test_a_hello_of_many_segments_is_read_whole_where_the_right_is_at_hand(self, only_raw, expected):
        """It is needed at the start alone: keeper and worker have CAP_NET_RAW and nothing else."""
        with pair() as (left, right):
            chosen_by, name, rights = inside(left, partial(seen_by_keeper, only_raw=only_raw), right)
        assert (chosen_by, name) == expected
        assert rights == [1 << CAP_NET_RAW] * 2
