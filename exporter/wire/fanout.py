"""PACKET_FANOUT: several workers share an interface, each with all packets of its share of the clients.

The kernel asks a program of ours which worker gets a packet. It looks at the client's address, so that both directions
of a connection, a client's retries, and the DNS answers it got stay together.
"""

import socket
import struct
from collections.abc import Callable, Iterable

from exporter.wire.bpf import Fprog, Instruction, assemble

_SOL_PACKET, _FANOUT, _FANOUT_DATA, _CBPF = 263, 18, 22, 6
#: Loads from here on count from the IP header, whatever stands before it (linux/filter.h, SKF_NET_OFF).
_NET = 0xFFF0_0000


def join_group(number: int, workers: int, ports: Iterable[int]) -> Callable[[socket.socket], None]:
    """What `Capture` calls: joins the group of that number (16 bits, of this network namespace)."""
    program = fanout_program(workers, ports)

    def join(sock: socket.socket) -> None:
        sock.setsockopt(_SOL_PACKET, _FANOUT, struct.pack("@i", number & 0xFFFF | _CBPF << 16))
        fprog = Fprog(program)
        sock.setsockopt(_SOL_PACKET, _FANOUT_DATA, fprog.content)

    return join


def fanout_program(workers: int, ports: Iterable[int]) -> tuple[Instruction, ...]:
    """The number of the worker for a packet. `ports`: servers'; the other end is the client.

    What has no ports (ICMP errors, DNS answers) goes to the one it is sent to: the client too.
    """
    to_server = "".join(f" jeq #{port}, from_source{{version}}\n" for port in sorted(ports))
    return assemble(f"""
        ldb [{_NET}]
        rsh #4
        jeq #4, ipv4
        jeq #6, ipv6, none
ipv4:   ldb [{_NET + 9}]
        jeq #6, , to4
        ldb [{_NET}]
        and #0x0f
        lsh #2
        tax
        ldh [x + {_NET + 2}]
{to_server.format(version=4)}
to4:    ld [{_NET + 16}]
        ja mix
from_source4: ld [{_NET + 12}]
        ja mix
ipv6:   ldb [{_NET + 6}]
        jeq #6, , to6
        ldh [{_NET + 42}]
{to_server.format(version=6)}
to6:    ld [{_NET + 28}]
        st M[0]
        ld [{_NET + 36}]
        ja fold
from_source6: ld [{_NET + 12}]
        st M[0]
        ld [{_NET + 20}]
fold:   ldx M[0]
        xor x
mix:    tax
        rsh #16
        xor x
        tax
        rsh #8
        xor x
        and #0xff
        mod #{workers}
        ret a
none:   ret #0
""")
