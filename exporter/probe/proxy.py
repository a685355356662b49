"""Phase `proxy`: HTTP CONNECT (RFC 9110 9.3.6) or SOCKS5 (RFC 1928, 1929) to a name through a proxy.

Sans-IO apart from the stream it is given: what the proxy says of the target becomes the phase's outcome.
"""

import base64
import ipaddress
import struct
from dataclasses import dataclass

import h11

from exporter.probe.failures import PhaseFailure
from exporter.probe.stream import Stream
from exporter.vocabulary import Outcome

#: Bytes of a proxy's answer that are read, at most.
MAX_ANSWER = 65_536

_SOCKS_REPLIES = {  # RFC 1928 section 6
    1: (Outcome.UNAVAILABLE, "general SOCKS server failure"),
    2: (Outcome.REJECTED, "connection not allowed by ruleset"),
    3: (Outcome.UNREACHABLE, "network unreachable"),
    4: (Outcome.UNREACHABLE, "host unreachable"),
    5: (Outcome.REFUSED, "connection refused"),
    6: (Outcome.TIMEOUT, "TTL expired"),
    7: (Outcome.REJECTED, "command not supported"),
    8: (Outcome.REJECTED, "address type not supported"),
}


@dataclass(frozen=True, slots=True, repr=False)
class ProxyCredentials:
    """A user and password for the proxy itself. Never shown."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "ProxyCredentials(<hidden>)"


async def http_connect(stream: Stream, host: str, port: int, credentials: ProxyCredentials | None) -> bytes:
    """Asks for a tunnel; returns what the proxy sent behind its answer. Raises PhaseFailure by the proxy's status."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = [("Host", where), ("User-Agent", "outlook-auth-exporter")]
    if credentials is not None:
        token = base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {token}"))
    connection = h11.Connection(h11.CLIENT)
    request = connection.send(h11.Request(method="CONNECT", target=where, headers=headers))
    await stream.send(request or b"")
    response = await _response(connection, stream)
    if response.status_code // 100 == 2:
        return connection.trailing_data[0]
    raise _refusal(response)


async def _response(connection: h11.Connection, stream: Stream) -> h11.Response:
    received, beginning = 0, b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, f"not an HTTP proxy: {error}") from error
        if isinstance(event, h11.Response):
            return event
        if event is h11.NEED_DATA:
            data = await stream.receive()
            received += len(data)
            if not data:
                raise PhaseFailure(Outcome.CLOSED, "the proxy closed the connection without an answer")
            beginning = (beginning + data)[:512] if len(beginning) < 512 else beginning
            if not beginning.startswith(b"HTTP/"[: len(beginning)]):
                raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, f"not an HTTP proxy: {beginning.decode('latin-1')}")
            if received > MAX_ANSWER:
                raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, "the proxy's answer is too long")
            connection.receive_data(data)


def _refusal(response: h11.Response) -> PhaseFailure:
    status = response.status_code
    said = f"{status} {response.reason.decode('latin-1')}".strip()
    if status == 407:
        methods = [value.decode("latin-1") for name, value in response.headers if name == b"proxy-authenticate"]
        return PhaseFailure(Outcome.REJECTED, f"{said}: proxy authentication required ({', '.join(methods)})")
    if status == 504:
        return PhaseFailure(Outcome.TIMEOUT, f"{said}, says the proxy of the target")
    if status >= 500:
        return PhaseFailure(Outcome.UNAVAILABLE, f"{said}, says the proxy of the target")
    if status == 429:
        return PhaseFailure(Outcome.THROTTLED, f"{said}, says the proxy")
    return PhaseFailure(Outcome.REJECTED, f"{said}, says the proxy")


async def socks5(stream: Stream, host: str, port: int, credentials: ProxyCredentials | None) -> bytes:
    """Asks a SOCKS5 proxy for a connection by name; returns what came behind its answer (nothing, as a rule)."""
    answer = _SocksAnswer(stream)
    methods = b"\x00\x02" if credentials else b"\x00"
    await stream.send(bytes([5, len(methods)]) + methods)
    version, method = await answer.take(2)
    if version != 5:
        raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, f"not a SOCKS5 proxy: first byte {version:#04x}")
    if method == 2 and credentials is not None:
        await _socks_sign_in(stream, answer, credentials)
    elif method == 0xFF:
        what = "rejects our credentials' method" if credentials else "demands authentication"
        raise PhaseFailure(Outcome.REJECTED, f"the SOCKS5 proxy {what}: proxy authentication required")
    elif method != 0:
        raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, f"the SOCKS5 proxy chose method {method}, not offered")
    await stream.send(b"\x05\x01\x00" + _socks_address(host) + struct.pack(">H", port))
    _, code, _, kind = await answer.take(4)
    length = {1: 4, 4: 16}.get(kind) or (await answer.take(1))[0]
    await answer.take(length + 2)
    if code:
        outcome, words = _SOCKS_REPLIES.get(code, (Outcome.UNRECOGNIZED, f"reply {code}"))
        raise PhaseFailure(outcome, f"{words}, says the SOCKS5 proxy")
    return answer.rest


async def _socks_sign_in(stream: Stream, answer: "_SocksAnswer", credentials: ProxyCredentials) -> None:
    user, password = credentials.user.encode()[:255], credentials.password.encode()[:255]
    await stream.send(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
    _, status = await answer.take(2)
    if status:
        raise PhaseFailure(Outcome.REJECTED, "the SOCKS5 proxy refused our credentials: proxy authentication required")


def _socks_address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            name = host.encode("idna")
        except UnicodeError as error:
            raise PhaseFailure(Outcome.NAME_NOT_FOUND, f"not a host name: {host}") from error
        return b"\x03" + bytes([len(name)]) + name
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed


class _SocksAnswer:
    """Bytes of the proxy, taken by count."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.rest = b""

    async def take(self, count: int) -> bytes:
        while len(self.rest) < count:
            data = await self._stream.receive()
            if not data:
                raise PhaseFailure(Outcome.CLOSED, "the SOCKS5 proxy closed the connection")
            self.rest += data
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken
