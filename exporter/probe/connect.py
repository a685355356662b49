"""Phase `connect`: TCP to every address of a name, each timed, and the one to talk over.

All attempts start together. The conversation goes over the first in order (IPv6 first, the start rotating from round
to round) that connects within the head start of RFC 8305; the others are judged beside it and closed.
"""

import asyncio
import errno
import ipaddress
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from exporter.observations import AddressResult
from exporter.probe.failures import PhaseFailure, of_errno
from exporter.probe.stream import TcpStream, writable
from exporter.probe.vantage import SocketMaker
from exporter.vocabulary import Outcome

#: How long a more preferred address may lag behind the first that connected (RFC 8305 section 5), seconds.
HEAD_START = 0.25

#: struct tcp_info: tcpi_rtt in µs, and tcpi_total_retrans (linux/tcp.h).
_TCPI_RTT, _TCPI_TOTAL_RETRANS = 68, 100

#: linux/in.h and in6.h: have the kernel queue ICMP errors with their sender.
_IP_RECVERR, _IPV6_RECVERR = 11, 25
#: struct sock_extended_err: errno, origin, type, code, pad, info, data; the offender's address follows.
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3

#: No route for this family, or no address of it, on this machine: nothing was sent.
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


@dataclass(slots=True)
class Attempt:
    """One address being tried. `sock` is set once connected."""

    address: str
    ended: asyncio.Event
    result: AddressResult | None = None
    sock: socket.socket | None = None
    sender: str | None = None  # of the ICMP error
    error: int = 0  # the connection stood, and was reset before we looked

    def end(self, outcome: Outcome, seconds: float | None = None, detail: str | None = None) -> None:
        rounded = None if seconds is None else round(seconds, 6)
        self.result = AddressResult(address=self.address, outcome=outcome, seconds=rounded, detail=detail)
        self.ended.set()


def in_order(addresses: Sequence[str], start: int) -> list[str]:
    """IPv6 first, then IPv4; within each family the start moves on with every round."""
    families: dict[int, list[str]] = {6: [], 4: []}
    for address in addresses:
        families[ipaddress.ip_address(address).version].append(address)
    rotated = [family[start % len(family) :] + family[: start % len(family)] for family in families.values() if family]
    return [address for family in rotated for address in family]


class Connecting:
    """TCP to all addresses at once: `first` gives the one to talk over, `results` what became of each."""

    def __init__(
        self, addresses: Sequence[str], port: int, sockets: SocketMaker, clock: Callable[[], float], timeout: float
    ) -> None:
        self._ended = asyncio.Event()  # set anew by each attempt that ends
        self._attempts = [Attempt(address, self._ended) for address in addresses]
        self._clock = clock
        self._chosen: Attempt | None = None
        self._tasks = [
            asyncio.create_task(self._try(attempt, port, sockets, timeout), name=f"connect {attempt.address}")
            for attempt in self._attempts
        ]

    async def first(self) -> tuple[TcpStream, str, float]:
        """The stream, its address, and its seconds. Raises PhaseFailure with the outcome most addresses had."""
        while not self._connected() and self._pending():
            await self._next_end()
        with suppress(TimeoutError):
            async with asyncio.timeout(HEAD_START):
                while self._pending(before_the_first=True):
                    await self._next_end()
        for attempt in self._connected():
            assert attempt.sock is not None
            assert attempt.result is not None
            self._chosen = attempt
            stream = TcpStream(attempt.sock, self._clock, error=attempt.error)
            return stream, attempt.address, attempt.result.seconds or 0.0
        raise self._failure()

    def _connected(self) -> list[Attempt]:
        return [attempt for attempt in self._attempts if attempt.sock is not None]

    def _pending(self, *, before_the_first: bool = False) -> bool:
        """Whether attempts still run; or such as are preferred to the first that connected (a head start is theirs)."""
        for attempt in self._attempts:
            if before_the_first and attempt.sock is not None:
                return False
            if attempt.result is None:
                return True
        return False

    async def _next_end(self) -> None:
        self._ended.clear()
        await self._ended.wait()

    def _failure(self) -> PhaseFailure:
        results = [attempt.result for attempt in self._attempts if attempt.result]
        judged = [result for result in results if result.outcome is not Outcome.SKIPPED]
        if not judged:
            return PhaseFailure(Outcome.UNREACHABLE, "this machine has no route for any address of the name")
        outcomes = [result.outcome for result in judged]
        # As often met, an error says more than silence: routers send only so many (RFC 1812, 4.3.2.8).
        most = max(outcomes, key=lambda each: (outcomes.count(each), each is not Outcome.TIMEOUT))
        return PhaseFailure(most, "; ".join(f"{r.address}: {r.detail or r.outcome}" for r in judged))

    def senders(self) -> list[str]:
        """Who sent the ICMP errors that ended attempts."""
        return [attempt.sender for attempt in self._attempts if attempt.sender is not None]

    async def results(self) -> tuple[AddressResult, ...]:
        """What became of each address, once all have ended (each has its own time-out)."""
        if any(attempt.result is None for attempt in self._attempts):
            await asyncio.gather(*self._tasks, return_exceptions=True)
        return tuple(attempt.result for attempt in self._attempts if attempt.result is not None)

    def close(self) -> None:
        """Ends what still runs, and closes every connection but the one talked over."""
        for task in self._tasks:
            task.cancel()
        for attempt in self._attempts:
            if attempt.sock is not None and attempt is not self._chosen:
                attempt.sock.close()

    async def _try(self, attempt: Attempt, port: int, sockets: SocketMaker, timeout: float) -> None:
        family = socket.AF_INET6 if ":" in attempt.address else socket.AF_INET
        began = self._clock()
        try:
            sock = sockets.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            outcome = Outcome.SKIPPED if error.errno in _NO_ROUTE else of_errno(error.errno or 0)
            attempt.end(outcome, detail=error.strerror)
            return
        try:
            async with asyncio.timeout(timeout):
                connected = await self._connect(attempt, sock, port)
        except TimeoutError:
            attempt.end(Outcome.TIMEOUT, self._clock() - began, f"no answer within {timeout:g} s")
            connected = False
        except asyncio.CancelledError:
            sock.close()
            raise
        if not connected:
            sock.close()

    async def _connect(self, attempt: Attempt, sock: socket.socket, port: int) -> bool:
        """Ends the attempt by what the kernel says; True where it connected."""
        _keep_icmp_errors(sock, attempt.address, True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = self._clock()
        number = sock.connect_ex((attempt.address, port))
        if number in _NO_ROUTE:
            attempt.end(Outcome.SKIPPED, detail="no route on this machine")
            return False
        if number == errno.EINPROGRESS:
            await writable(asyncio.get_running_loop(), sock)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        seconds = self._clock() - began
        if number and number != errno.ECONNRESET:  # that one only a connection has: a SYN's RST is ECONNREFUSED
            attempt.sender, words = _icmp_error(sock)
            # A port unreachable, which filters reject with by default, gets RST's own error number from the kernel.
            by_icmp = number == errno.ECONNREFUSED and words is not None
            attempt.end(Outcome.UNREACHABLE if by_icmp else of_errno(number), seconds, words or _words(number))
            return False
        _keep_icmp_errors(sock, attempt.address, False)  # on a connection they'd end what TCP would survive
        attempt.sock, attempt.error = sock, number
        attempt.end(Outcome.OK, _kernel_seconds(sock, seconds))
        return True


def _words(number: int) -> str:
    return "RST" if number == errno.ECONNREFUSED else errno.errorcode.get(number, str(number))


def _kernel_seconds(sock: socket.socket, ours: float) -> float:
    """SYN to SYN-ACK as the kernel timed it: our event loop may have been busy when the socket became writable.

    Only where nothing was sent again; the kernel's clock starts anew then, the client's wait doesn't.
    """
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    if len(info) < _TCPI_TOTAL_RETRANS + 4:
        return ours
    (rtt,) = struct.unpack_from("=I", info, _TCPI_RTT)
    (retransmitted,) = struct.unpack_from("=I", info, _TCPI_TOTAL_RETRANS)
    return min(ours, rtt / 1e6) if rtt and not retransmitted else ours


def _keep_icmp_errors(sock: socket.socket, address: str, enabled: bool) -> None:
    if ":" in address:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, int(enabled))
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, int(enabled))


def _icmp_error(sock: socket.socket) -> tuple[str | None, str | None]:
    """The ICMP error's sender and its words, from the socket's error queue, where the kernel keeps it for TCP."""
    try:
        _, ancillary, _, _ = sock.recvmsg(0, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None, None
    for _, _, data in ancillary:
        if len(data) < _EXTENDED_ERROR.size + 8:
            continue
        number, origin, kind, code, _, _, _ = _EXTENDED_ERROR.unpack_from(data)
        offender = data[_EXTENDED_ERROR.size :]
        words = errno.errorcode.get(number, str(number))
        if origin == _ORIGIN_ICMP:
            sender = socket.inet_ntop(socket.AF_INET, offender[4:8])
            return sender, f"ICMP type {kind} code {code} from {sender} ({words})"
        if origin == _ORIGIN_ICMP6 and len(offender) >= 24:
            sender = socket.inet_ntop(socket.AF_INET6, offender[8:24])
            return sender, f"ICMPv6 type {kind} code {code} from {sender} ({words})"
    return None, None
