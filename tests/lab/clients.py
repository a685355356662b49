"""Plain clients of the lab: the standard library's, never our own prober. Blocking: run them by `asyncio.to_thread`."""

import http.client
import imaplib
import os
import poplib
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from exporter.lab.lab import Lab

TIMEOUT = 2.0

Client = TypeVar("Client", imaplib.IMAP4, poplib.POP3, "_Smtp")


class _Imap(imaplib.IMAP4):
    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._reach = connect
        super().__init__("lab", 0)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._reach()


class _Pop(poplib.POP3):
    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._reach = connect
        super().__init__("lab", 0)

    def _create_socket(self, timeout: float) -> socket.socket:
        return self._reach()


class _Smtp(smtplib.SMTP):
    def __init__(self, connect: Callable[[], socket.socket], name: str) -> None:
        self._open = connect
        super().__init__(local_hostname="client.example")
        self.timeout = TIMEOUT
        try:
            code, banner = self.connect(name, 1)
        except BaseException:
            self.close()
            raise
        self.banner = code, banner
        self._host = name

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._open()


@dataclass(frozen=True, slots=True)
class Clients:
    """Clients that reach the lab's hosts from one side: inside (through the gateway) or outside (directly).

    Whatever they opened is released by `close`, also where a conversation broke off.
    """

    lab: Lab
    side: str = "inside"
    index: int = 0
    opened: list[socket.socket | imaplib.IMAP4 | poplib.POP3 | smtplib.SMTP] = field(default_factory=list)

    def on(self, side: str, index: int = 0) -> "Clients":
        """The same on another side, or at another address of each host."""
        return Clients(self.lab, side, index, self.opened)

    def close(self) -> None:
        for opened in self.opened:
            sock = opened if isinstance(opened, socket.socket) else opened.sock
            if sock is not None and sock.fileno() >= 0:
                os.close(sock.detach())

    def connect(self, host: str, port: int) -> socket.socket:
        addresses = self.lab.inside if self.side == "inside" else self.lab.outside
        sock = socket.create_connection((addresses[host][self.index], port + self.lab.shift), TIMEOUT)
        self.opened.append(sock)
        return sock

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.lab.trust_store()))

    def tls(
        self, host: str, port: int, *, name: str | None = "", context: ssl.SSLContext | None = None
    ) -> ssl.SSLSocket:
        """`name`: in the ClientHello; None: none. Without a context of its own the certificate is verified."""
        used = context or self.context()
        if name is None:
            used.check_hostname = False
        sock = used.wrap_socket(self.connect(host, port), server_hostname=host if name == "" else name)
        self.opened.append(sock)
        return sock

    def imap(self, host: str = "imap-mail.outlook.com") -> imaplib.IMAP4:
        return self._opened(_Imap(lambda: self.tls(host, 993)))

    def imap_in_clear(self, host: str = "imap-mail.outlook.com") -> imaplib.IMAP4:
        return self._opened(_Imap(lambda: self.connect(host, 143)))

    def pop(self, host: str = "pop-mail.outlook.com") -> poplib.POP3:
        return self._opened(_Pop(lambda: self.tls(host, 995)))

    def smtp(self, host: str = "smtp-mail.outlook.com") -> "_Smtp":
        return self._opened(_Smtp(lambda: self.connect(host, 587), host))

    def _opened(self, client: Client) -> Client:
        self.opened.append(client)
        return client

    def https(
        self, host: str, method: str = "GET", path: str = "/", *, port: int = 443, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(host, port)
        connection.sock = self.connect(host, port) if port == 80 else self.tls(host, port)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()


def raw(sock: ssl.SSLSocket) -> socket.socket:
    """The TCP connection below: Python's ssl reports a reset in the middle as an end (CPython 3.11, SSL_read_ex)."""
    below = socket.socket(fileno=os.dup(sock.fileno()))
    below.settimeout(TIMEOUT)
    return below


def issuer(certificate: object) -> str:
    """The issuer's organization in `getpeercert()`."""
    assert isinstance(certificate, dict)
    names = {name: value for relative in certificate["issuer"] for name, value in relative}
    return str(names["organizationName"])
