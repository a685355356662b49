"""TLS in front of a server that speaks none: what clients say is carried on in clear, and kept."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.real.certificates import Files

_PATIENCE = 30.0


@contextmanager
def tls_relay(port: int, certificate: Files) -> Iterator[tuple[int, bytearray]]:
    """A port that answers with that certificate and relays to `port`, and all that clients said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    said = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, context, port, said), daemon=True).start()
        try:
            yield listener.getsockname()[1], said
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()


def _serve(listener: socket.socket, context: ssl.SSLContext, port: int, said: bytearray) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(client, context, port, said), daemon=True).start()


def _relay(client: socket.socket, context: ssl.SSLContext, port: int, said: bytearray) -> None:
    client.settimeout(_PATIENCE)
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), _PATIENCE) as server,
        context.wrap_socket(client, server_side=True, suppress_ragged_eofs=True) as near,
    ):
        back = threading.Thread(target=_copy, args=(server, near), daemon=True)
        back.start()
        _copy(near, server, said)
        back.join(_PATIENCE)


def _copy(source: socket.socket, sink: socket.socket, seen: bytearray | None = None) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            if seen is not None:
                seen += data
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
