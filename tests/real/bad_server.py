"""A scripted server that misbehaves in one way a port; everything it says is written here, nothing is parsed."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

Peer = socket.socket
Script = Callable[[Peer, threading.Event], None]

_PATIENCE = 30.0  # seconds after which a connection is given up, whatever the client does
_CHUNK = b"A" * 65_536
GREETING = b"* OK IMAP4rev1 ready\r\n"
HTTP_PAGE = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 40\r\n\r\n"
    b"<html><body>Not a mail server</body></ht"
)
#: A handshake record that announces 1,000 bytes and brings 40.
HALF_RECORD = struct.pack("!BHH", 22, 0x0303, 1000) + b"\x02" + b"\x00" * 39
#: A fatal alert record: handshake_failure.
ALERT_RECORD = struct.pack("!BHHBB", 21, 0x0303, 2, 2, 40)


def say(*parts: bytes) -> Script:
    """Sends these parts, one after each line the client sends, and then waits for it to leave."""

    def script(peer: Peer, stop: threading.Event) -> None:
        peer.sendall(parts[0])
        for part in parts[1:]:
            if not peer.recv(4096):
                return
            peer.sendall(part)
        drain(peer, stop)

    return script


def answer(text: bytes) -> Script:
    """Says nothing until the client has, then says this and closes."""

    def script(peer: Peer, stop: threading.Event) -> None:
        peer.recv(4096)
        peer.sendall(text)

    return script


def farewell(text: bytes) -> Script:
    """Says this at once and closes in order."""

    def script(peer: Peer, stop: threading.Event) -> None:
        peer.sendall(text)
        peer.shutdown(socket.SHUT_WR)
        drain(peer, stop)

    return script


def repeated(line: bytes, total: int = 2**31, *, head: bytes = b"") -> Script:
    """`head`, and after the client's first command (at once without a head) this line up to `total` bytes."""

    def script(peer: Peer, stop: threading.Event) -> None:
        if head:
            peer.sendall(head)
            peer.recv(4096)
        many = line * (65_536 // len(line))
        for _ in range(total // len(many)):
            if stop.is_set():
                return
            peer.sendall(many)

    return script


def imap_answering(greeting: bytes, capabilities: bytes, refusal: bytes | None = b"no") -> Script:
    """A little IMAP: these capabilities, and every other command refused so; without `refusal`, challenged for ever."""

    def script(peer: Peer, stop: threading.Event) -> None:
        peer.sendall(greeting)
        with peer.makefile("rb") as lines:
            for line in lines:
                tag, _, command = line.strip().partition(b" ")
                if command.upper().startswith(b"CAPABILITY"):
                    peer.sendall(b"* CAPABILITY " + capabilities + b"\r\n" + tag + b" OK done\r\n")
                elif refusal is None:
                    peer.sendall(b"+ \r\n")
                else:
                    peer.sendall(tag + b" NO " + refusal + b"\r\n")

    return script


def imap_starttls_then(text: bytes) -> Script:
    """A proper go-ahead for TLS, and after the client's first bytes this instead of a handshake, then the end."""

    def script(peer: Peer, stop: threading.Event) -> None:
        peer.sendall(GREETING)
        tag = peer.recv(4096).split()[0]
        peer.sendall(b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + tag + b" OK done\r\n")
        tag = peer.recv(4096).split()[0]
        peer.sendall(tag + b" OK begin\r\n")
        peer.recv(4096)
        peer.sendall(text)

    return script


def endless(head: bytes = b"", total: int = 2**31, *, after: bytes | None = None) -> Script:
    """`head`, perhaps the client's command and `after`, then one line of `total` bytes that hasn't an end."""

    def script(peer: Peer, stop: threading.Event) -> None:
        peer.sendall(head)
        if after is not None:
            peer.recv(4096)
            peer.sendall(after)
        sent = 0
        while sent < total and not stop.is_set():
            peer.sendall(_CHUNK)
            sent += len(_CHUNK)

    return script


def dripping(text: bytes, seconds: float = 1.0, *, head: bytes = b"") -> Script:
    """`head`, and after the client's command (at once without a head) a byte a second."""

    def script(peer: Peer, stop: threading.Event) -> None:
        if head:
            peer.sendall(head)
            peer.recv(4096)
        for byte in text:
            peer.sendall(bytes([byte]))
            if stop.wait(seconds):
                return

    return script


def close(peer: Peer, stop: threading.Event) -> None:
    """Closes at once, in order (FIN)."""


def reset(peer: Peer, stop: threading.Event) -> None:
    """Closes at once with RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_after_greeting(peer: Peer, stop: threading.Event) -> None:
    """A greeting, then RST as soon as the client says anything."""
    peer.sendall(GREETING)
    peer.recv(4096)
    reset(peer, stop)


def drain(peer: Peer, stop: threading.Event) -> None:
    """Silence: reads whatever comes, until the client leaves."""
    while not stop.is_set() and peer.recv(65_536):
        pass


def within_tls(context: ssl.SSLContext, script: Script) -> Script:
    """The same behind a proper handshake."""

    def secured(peer: Peer, stop: threading.Event) -> None:
        with context.wrap_socket(peer, server_side=True, suppress_ragged_eofs=True) as stream:
            script(stream, stop)

    return secured


@contextmanager
def bad_servers(scripts: Mapping[str, Script]) -> Iterator[dict[str, int]]:
    """A loopback port for each script, while they serve; threads are joined at the end."""
    stop = threading.Event()
    listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in scripts}
    threads = [
        threading.Thread(target=_serve, args=(listener, scripts[name], stop), name=f"bad-{name}", daemon=True)
        for name, listener in listeners.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield {name: listener.getsockname()[1] for name, listener in listeners.items()}
    finally:
        stop.set()
        for listener in listeners.values():
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            listener.close()
        for thread in threads:
            thread.join(_PATIENCE)


def _serve(listener: socket.socket, script: Script, stop: threading.Event) -> None:
    """One connection after the other: a prober comes once a round."""
    while not stop.is_set():
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        peer.settimeout(_PATIENCE)
        try:
            script(peer, stop)
        except OSError:
            pass  # the client left, which is its right
        finally:
            peer.close()
