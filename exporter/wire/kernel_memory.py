"""The kernel's filter with a memory, where CAP_BPF is at hand; `kernel_filter` alone does without.

A stateless program can't tell the middle of a ClientHello of three segments, or of a server's certificates, from bulk,
and has to be replaced whenever a server is learned. This one remembers

* of each direction of a connection how many bytes of its handshake's messages are still to come: so many pass;
* the servers that were learned, in a page of memory that the inspector shares with it. It goes by a hash of their
  addresses: two of 512 servers and a stranger's may have the same, and then a stranger's records pass too.

Loaded before the inspector gives its rights up; used, and taught, with none.
"""

import mmap
import socket
import struct
from collections.abc import Iterable, Iterator
from itertools import islice

from exporter.wire import ebpf
from exporter.wire.ebpf import FRAME, FREE, R0, R1, R2, R3, R4, R6, R8, Step, word
from exporter.wire.kernel_filter import (
    CLIENT,
    FLAGS_WORD,
    GOES_ON,
    HANDSHAKE_SNAP,
    IP_WORD,
    LENGTH_WORD,
    MISSING_WORD,
    SNAP_WORD,
    STRANGER,
    TCP_WORD,
    UNTOLD,
    VERSION_WORD,
    FilterSpec,
    Link,
    packet_filter,
)

#: Servers that are remembered, the latest; and directions with a message that goes on, the oldest forgotten first.
MAX_SERVERS, MAX_DIRECTIONS = 512, 16_384
#: The shared page: a byte for each hash, then one for each interface (by its number's last byte): whether it is narrow.
_BUCKET_BITS, _INTERFACES = 13, 256
_BUCKETS = 1 << _BUCKET_BITS
_MIX = 0x9E37_79B1

#: A direction: 32 bytes of addresses, 4 of ports, 4 of the interface (a connection passes two of a gateway's).
_KEY_SIZE = 40
_KEY = FREE - _KEY_SIZE
_INDEX = _KEY - 8
#: Offsets in IP's headers: the source's address; each address's size.
_SOURCE = {4: 12, 6: 8}
_ADDRESS = {4: 4, 6: 16}


class KernelMemory:
    """One memory for all interfaces of a process, and a program for each kind of link. `descriptors`: all that is open
    for it."""

    def __init__(self, spec: FilterSpec) -> None:
        """`spec`: its `link`, `skip_outgoing` and `remembering` are chosen here.

        Raises OSError where the right is missing, or the kernel doesn't know such programs or maps.
        """
        self.descriptors: list[int] = []
        self._programs: dict[tuple[Link, bool], int] = {}
        try:
            flights = self._kept(ebpf.made_map(ebpf.LRU_HASH, _KEY_SIZE, 4, MAX_DIRECTIONS))
            size = _BUCKETS + _INTERFACES
            servers = self._kept(ebpf.made_map(ebpf.ARRAY, 4, size, 1, ebpf.MAPPABLE))
            self._page = mmap.mmap(servers, size)
            for link, loopback in ((Link.ETHERNET, False), (Link.ETHERNET, True), (Link.RAW, False)):
                program = packet_filter(spec.remembering_at(link, skip_outgoing=loopback))
                code = ebpf.translated(program, _RETURNS, dict(_steps(link.value, flights, servers)))
                self._programs[link, loopback] = self._kept(ebpf.loaded(code))
            _try_on_a_socket(self._programs.values())
        except OSError:
            self.close()
            raise

    def program(self, link: Link, loopback: bool) -> int:
        """The descriptor of the one for that link."""
        return self._programs[link, loopback]

    def know(self, servers: Iterable[bytes]) -> None:
        """These servers' records pass everywhere, the first MAX_SERVERS', and no others' that were learned before."""
        buckets = bytearray(_BUCKETS)
        for each in islice(servers, MAX_SERVERS):
            buckets[bucket_of(each)] = 1
        self._page[:_BUCKETS] = buckets

    def narrow(self, interface: int, only_known: bool) -> None:
        """Whether at the interface of that number only known servers' records pass, or any's."""
        self._page[_BUCKETS + interface % _INTERFACES] = only_known

    def close(self) -> None:
        """Sockets keep what they have."""
        ebpf.close_all(self.descriptors)
        self.descriptors = []

    def _kept(self, descriptor: int) -> int:
        self.descriptors.append(descriptor)
        return descriptor


def kernel_memory(spec: FilterSpec) -> KernelMemory | None:
    """None where it can't be had: the filter without a memory serves."""
    try:
        return KernelMemory(spec)
    except OSError:
        return None


def _try_on_a_socket(programs: Iterable[int]) -> None:
    """One that is loaded may still be too large for what sockets are granted (net.core.optmem_max). Raises OSError."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        for program in programs:
            ebpf.attach(one, program)


def bucket_of(address: bytes) -> int:
    """Where a server's byte stands. `address`: packed, of 4 or 16 bytes."""
    mixed = 0
    for each in struct.unpack("=4I", address.ljust(16, b"\0")):
        mixed = (mixed * _MIX + each) & 0xFFFF_FFFF
    return (mixed * _MIX & 0xFFFF_FFFF) >> 32 - _BUCKET_BITS


# ---- the steps with a memory ----------------------------------------------------------------------------------------

_RETURNS = {GOES_ON: "goes on", UNTOLD: "untold", STRANGER: "stranger"}
_BY_KEY = [Step(ebpf.MOV64_X, R2, FRAME), Step(ebpf.ADD64_K, R2, constant=_KEY)]


def _steps(link: int, flights: int, servers: int) -> Iterator[tuple[str, list[Step]]]:
    """By label. R8: whether the direction's message goes on, or it is asked whether one did."""
    yield "goes on", [Step(ebpf.MOV_K, R8, constant=1), Step(ebpf.ALWAYS, to="direction")]
    yield "untold", [Step(ebpf.MOV_K, R8)]
    yield from _direction(link, flights)
    yield "remember", [*ebpf.load_map(R1, flights), *_BY_KEY, Step(ebpf.MOV64_X, R3, FRAME),
                       Step(ebpf.ADD64_K, R3, constant=word(MISSING_WORD)), Step(ebpf.MOV_K, R4),
                       Step(ebpf.CALL, constant=ebpf.UPDATE), *_returned(HANDSHAKE_SNAP)]  # fmt: skip
    yield "expected", [*ebpf.load_map(R1, flights), *_BY_KEY, Step(ebpf.CALL, constant=ebpf.LOOK_UP),
                       Step(ebpf.EQUAL64, R0, to="dropped"), Step(ebpf.LOAD, R1, R0),
                       Step(ebpf.EQUAL, R1, to="dropped"), Step(ebpf.LOAD, R2, FRAME, word(LENGTH_WORD)),
                       Step(ebpf.ABOVE_X, R1, R2, to="more"), Step(ebpf.MOV_X, R2, R1)]  # fmt: skip
    yield "more", [Step(ebpf.SUB_X, R1, R2), Step(ebpf.STORE, R0, R1), *_returned(HANDSHAKE_SNAP)]
    yield from _stranger(link, servers)
    yield "passes", [Step(ebpf.LOAD, R0, FRAME, word(SNAP_WORD)), Step(ebpf.EXIT)]
    yield "dropped", _returned(0)


def _direction(link: int, flights: int) -> Iterator[tuple[str, list[Step]]]:
    """The key: whose packet it is."""
    clear = [Step(ebpf.STORE64_K, FRAME, offset=_KEY + place) for place in range(0, _KEY_SIZE, 8)]
    both = {version: 2 * size for version, size in _ADDRESS.items()}
    yield "direction", [*clear, Step(ebpf.LOAD, R1, R6, ebpf.INTERFACE_INDEX), Step(ebpf.STORE, FRAME, R1, _KEY + 36),
                        Step(ebpf.LOAD, R2, FRAME, word(IP_WORD)), Step(ebpf.LOAD, R1, FRAME, word(VERSION_WORD)),
                        Step(ebpf.EQUAL, R1, constant=6, to="addresses 6"),
                        Step(ebpf.ADD_K, R2, constant=link + _SOURCE[4]), *_bytes_of_packet(_KEY, both[4]),
                        Step(ebpf.ALWAYS, to="ports")]  # fmt: skip
    yield "addresses 6", [Step(ebpf.ADD_K, R2, constant=link + _SOURCE[6]), *_bytes_of_packet(_KEY, both[6])]
    yield "ports", [Step(ebpf.LOAD, R2, FRAME, word(TCP_WORD)), Step(ebpf.ADD_K, R2, constant=link),
                    *_bytes_of_packet(_KEY + 32, 4), Step(ebpf.EQUAL, R8, to="expected")]  # fmt: skip


def _stranger(link: int, servers: int) -> Iterator[tuple[str, list[Step]]]:
    """A server that isn't in the program: is the interface narrow, and if so, was it learned?"""
    yield "stranger", [Step(ebpf.STORE64_K, FRAME, offset=_INDEX), *ebpf.load_map(R1, servers),
                       Step(ebpf.MOV64_X, R2, FRAME), Step(ebpf.ADD64_K, R2, constant=_INDEX),
                       Step(ebpf.CALL, constant=ebpf.LOOK_UP), Step(ebpf.EQUAL64, R0, to="dropped"),
                       Step(ebpf.MOV64_X, R8, R0), Step(ebpf.LOAD, R1, R6, ebpf.INTERFACE_INDEX),
                       Step(ebpf.AND_K, R1, constant=_INTERFACES - 1), Step(ebpf.ADD64_X, R0, R1),
                       Step(ebpf.LOAD_BYTE, R1, R0, _BUCKETS), Step(ebpf.EQUAL, R1, to="passes"),
                       *(Step(ebpf.STORE64_K, FRAME, offset=_KEY + place) for place in (0, 8)),
                       Step(ebpf.LOAD, R2, FRAME, word(IP_WORD)), Step(ebpf.LOAD, R1, FRAME, word(VERSION_WORD)),
                       Step(ebpf.LOAD, R3, FRAME, word(FLAGS_WORD)),
                       Step(ebpf.EQUAL, R1, constant=6, to="server 6")]  # fmt: skip
    yield "server 4", [*_server(link, 4), Step(ebpf.ALWAYS, to="hash")]
    yield "server 6", _server(link, 6)
    mixed = [Step(ebpf.MOV_K, R1)]
    for place in range(0, 16, 4):
        mixed += [Step(ebpf.MUL_K, R1, constant=_MIX), Step(ebpf.LOAD, R2, FRAME, _KEY + place),
                  Step(ebpf.ADD_X, R1, R2)]  # fmt: skip
    yield "hash", [*mixed, Step(ebpf.MUL_K, R1, constant=_MIX), Step(ebpf.RSH_K, R1, constant=32 - _BUCKET_BITS),
                   Step(ebpf.ADD64_X, R8, R1), Step(ebpf.LOAD_BYTE, R1, R8),
                   Step(ebpf.EQUAL, R1, to="dropped")]  # fmt: skip


def _server(link: int, version: int) -> list[Step]:
    """The server's address: the destination's, one further, of what a client sent."""
    return [
        Step(ebpf.ADD_K, R2, constant=link + _SOURCE[version]),
        Step(ebpf.ANY_OF, R3, constant=CLIENT, offset=1),  # over the next, to what is added
        Step(ebpf.ALWAYS, offset=1),  # over what is added
        Step(ebpf.ADD_K, R2, constant=_ADDRESS[version]),
        *_bytes_of_packet(_KEY, _ADDRESS[version]),
    ]


def _bytes_of_packet(to: int, count: int) -> list[Step]:
    """bpf_skb_load_bytes(packet, R2, stack + to, count); what isn't there is dropped."""
    return [
        Step(ebpf.MOV64_X, R1, R6), Step(ebpf.MOV64_X, R3, FRAME), Step(ebpf.ADD64_K, R3, constant=to),
        Step(ebpf.MOV_K, R4, constant=count), Step(ebpf.CALL, constant=ebpf.LOAD_BYTES),
        Step(ebpf.NOT_EQUAL, R0, to="dropped"),
    ]  # fmt: skip


def _returned(length: int) -> list[Step]:
    return [Step(ebpf.MOV_K, R0, constant=length), Step(ebpf.EXIT)]
