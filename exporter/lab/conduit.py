"""One TCP connection of the lab, with TLS laid over it when a server or the gateway says so.

TLS is driven through memory BIOs, so that it can begin at an exact byte (STARTTLS), end in an alert, or be preceded by
bytes already read. The handshake is driven by whoever reads; who writes waits for it.
"""

import asyncio
import contextlib
import socket
import ssl
import struct

#: Bytes read from a socket at once.
CHUNK = 65_536
#: After our FIN the peer's last bytes are read for so long (seconds): closing over unread bytes would send an RST.
LINGER = 0.5


class Conduit:
    """A connected, non-blocking socket. Raises OSError when the peer resets, ssl.SSLError when TLS fails."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ready = asyncio.Event()
        self._writing = asyncio.Lock()

    @classmethod
    async def connect(cls, address: str, port: int) -> "Conduit":
        """Raises OSError where nothing listens."""
        sock = socket.socket()
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    @property
    def encrypted(self) -> bool:
        return self._tls is not None

    @property
    def peer(self) -> str:
        """The other end's address, as text."""
        return str(self._sock.getpeername()[0])

    def begin_tls(self, context: ssl.SSLContext, *, server_name: str | None = None, received: bytes = b"") -> None:
        """From now on TLS: as a client where `server_name` is given, else as a server that already read `received`."""
        self._incoming.write(received)
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )

    async def handshake(self) -> None:
        """Drives a handshake to its end; what comes behind it is read by `receive`. Raises EOFError at an early end."""
        await self.drive()
        while not self._ready.is_set():
            data = await self._loop.sock_recv(self._sock, CHUNK)
            if not data:
                raise EOFError
            self._incoming.write(data)
            await self.drive()

    async def receive(self) -> bytes:
        """The next bytes, decrypted where TLS has begun; b"" at the end."""
        while True:
            if self._tls is not None:
                await self.drive()
                plain = self._decrypt()
                if plain is not None:
                    return plain
            data = await self._loop.sock_recv(self._sock, CHUNK)
            if self._tls is None or not data:  # TLS may have begun while we waited
                return data
            self._incoming.write(data)

    async def send(self, data: bytes, split: int = 0) -> None:
        """Writes all; `split` bytes at a time, each in its own record and segment, where it isn't 0."""
        for start in range(0, len(data), split or max(len(data), 1)):
            piece = data[start : start + split] if split else data
            if self._tls is not None:
                await self._ready.wait()
                self._tls.write(piece)
                await self._flush()
            else:
                async with self._writing:
                    await self._loop.sock_sendall(self._sock, piece)
            if split:
                await asyncio.sleep(0)

    async def drive(self) -> None:
        """Takes the handshake as far as the bytes at hand allow; a client's first call sends its hello."""
        if self._tls is None or self._ready.is_set():
            return
        try:
            self._tls.do_handshake()
            self._ready.set()
        except ssl.SSLWantReadError:
            pass
        finally:
            await self._flush()  # also the alert of a handshake that failed

    def _decrypt(self) -> bytes | None:
        """Plain bytes at hand; None: more must be read; b"" after close_notify."""
        assert self._tls is not None
        if not self._ready.is_set():
            return None
        try:
            return self._tls.read(CHUNK)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""

    async def _flush(self) -> None:
        async with self._writing:
            if data := self._outgoing.read():
                await self._loop.sock_sendall(self._sock, data)

    async def finish(self) -> None:
        """Says goodbye (close_notify, FIN) without closing: the peer may still send."""
        with contextlib.suppress(OSError, ValueError):
            if self._tls is not None and self._ready.is_set():
                with contextlib.suppress(ssl.SSLError):
                    self._tls.unwrap()
                await self._flush()
            self._sock.shutdown(socket.SHUT_WR)

    async def end(self) -> None:
        """An orderly end: goodbye, the peer's last bytes, close."""
        await self.finish()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER):
                while await self._loop.sock_recv(self._sock, CHUNK):
                    pass
        self.close()

    def close(self) -> None:
        """At once. Idempotent."""
        self._sock.close()

    def reset(self) -> None:
        """Closes with an RST (SO_LINGER 0)."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()
