"""A vantage's sockets with an option set: a small MSS, or a TTL that runs out on the way. No privilege is needed."""

import socket
import struct
from dataclasses import dataclass

from exporter.probe.vantage import Socket, SocketMaker

#: linux/in.h and in6.h: report ICMP errors to the socket.
_IP_RECVERR, _IPV6_RECVERR = 11, 25
#: struct tcp_info (linux/tcp.h): tcpi_unacked, tcpi_total_retrans, tcpi_rcv_ooopack (Linux 5.4).
_UNACKED, _TOTAL_RETRANS, _OUT_OF_ORDER = 24, 100, 224
_TCP_INFO_SIZE = 256


@dataclass(frozen=True, slots=True)
class KernelAccount:
    """What the kernel knows of a connection: whether all we sent was acknowledged, and segments."""

    acknowledged: bool | None = None
    retransmissions: int | None = None
    out_of_order: int | None = None


class AdjustedSockets:
    """Sockets of `below`. `mss`: bytes of a segment, both ways. `ttl`: of every packet from the first."""

    def __init__(self, below: SocketMaker, *, mss: int | None = None, ttl: int | None = None) -> None:
        self._below, self._mss, self._ttl = below, mss, ttl
        self._last: Socket | None = None

    def socket(self, family: int, kind: int) -> Socket:
        """See SocketMaker."""
        sock = self._below.socket(family, kind)
        try:
            if self._mss is not None and kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, self._mss)
            if self._ttl is not None:
                _set_ttl(sock, self._ttl)
        except OSError:
            sock.close()
            raise
        self._last = sock
        return sock

    def limit(self, ttl: int) -> None:
        """From now on the connection's packets die after so many hops, and whoever says so is heard."""
        if self._last is not None and self._last.fileno() >= 0:
            _set_ttl(self._last, ttl)

    def account(self) -> KernelAccount:
        """Of the latest connection."""
        return account_of(self._last) if self._last is not None else KernelAccount()


def account_of(sock: Socket) -> KernelAccount:
    """The kernel's account of a TCP connection; empty where it gives none."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return KernelAccount()
    unacked, retransmissions, out_of_order = (_u32(info, at) for at in (_UNACKED, _TOTAL_RETRANS, _OUT_OF_ORDER))
    return KernelAccount(None if unacked is None else unacked == 0, retransmissions, out_of_order)


def _u32(info: bytes, at: int) -> int | None:
    return int(struct.unpack_from("=I", info, at)[0]) if len(info) >= at + 4 else None


def _set_ttl(sock: Socket, ttl: int) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
