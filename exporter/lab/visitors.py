"""Clients of the lab, as people have them: one set up with a password, one with a token, a printer that sends mail.

They know nothing of the prober, and trust what the lab's machines trust. What becomes of them is for who watches.
"""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from exporter.lab.lab import Lab
from exporter.lab.recorder import Take, carried

#: How long a visit may take, seconds.
LIMIT = 8.0
_USER = "someone@outlook.com"
_TOKEN = "EwB" + "v" * 1_400


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a visitor goes, and from which address of its own."""

    host: str
    port: int
    address: str


class Visitors:
    """`take`: gets frames of their connections, made up by who carries them; None: they connect by themselves."""

    def __init__(self, lab: Lab, take: Take | None) -> None:
        self._lab, self._take = lab, take
        self._context = ssl.create_default_context(cafile=str(lab.trust_store()))
        self._number = 40_000
        lab.outlook.behaviour.valid_tokens.add(_TOKEN)

    async def visit(self) -> None:
        """All of them, once, side by side; whatever fails is part of the show."""
        visits = (
            (_Place("imap-mail.outlook.com", 993, "127.77.0.1"), self._with_password),
            (_Place("outlook.office365.com", 993, "127.77.0.2"), self._with_token),
            (_Place("smtp-mail.outlook.com", 587, "127.77.0.3"), self._printer),
            (_Place("login.microsoftonline.com", 443, "127.77.0.2"), self._asks_for_token),
        )
        await asyncio.gather(*(self._one(place, visit) for place, visit in visits))

    async def _one(self, place: _Place, visit: "Callable[[_Dialogue, _Place], Awaitable[None]]") -> None:
        with contextlib.suppress(OSError, TimeoutError, EOFError, ssl.SSLError):
            async with asyncio.timeout(LIMIT):
                dialogue = await self._connect(place)
                try:
                    await visit(dialogue, place)
                finally:
                    dialogue.close()

    async def _connect(self, place: _Place) -> "_Dialogue":
        server = (self._lab.inside[place.host][0], place.port + self._lab.shift)
        secure = None if place.port == 587 else self._context
        name = place.host if secure else None
        if self._take is None:
            streams = await asyncio.open_connection(
                *server, ssl=secure, server_hostname=name, local_addr=(place.address, 0)
            )
        else:
            self._number += 1
            here = await carried((place.address, self._number), server, self._take)
            streams = await asyncio.open_connection(*here, ssl=secure, server_hostname=name)
        return _Dialogue(*streams)

    async def _with_password(self, dialogue: "_Dialogue", _: _Place) -> None:
        await dialogue.hears(b"* ")
        await dialogue.asks(b"a1 CAPABILITY", b"a1 ")
        await dialogue.asks(b"a2 LOGIN someone@outlook.com not-used-any-more", b"a2 ")
        await dialogue.asks(b"a3 LOGOUT", b"a3 ")

    async def _with_token(self, dialogue: "_Dialogue", _: _Place) -> None:
        await dialogue.hears(b"* ")
        await dialogue.asks(b"a1 CAPABILITY", b"a1 ")
        await dialogue.asks(b"a2 AUTHENTICATE XOAUTH2 " + _initial_response(), b"a2 ")
        await dialogue.asks(b"a3 SELECT INBOX", b"a3 ")
        await dialogue.asks(b"a4 LOGOUT", b"a4 ")

    async def _printer(self, dialogue: "_Dialogue", place: _Place) -> None:
        await dialogue.hears(b"220 ")
        capabilities = await dialogue.asks(b"EHLO printer.example", b"250 ")
        if b"STARTTLS" not in capabilities:
            return
        await dialogue.asks(b"STARTTLS", b"220 ")
        await dialogue.secure(self._context, place.host)
        await dialogue.asks(b"EHLO printer.example", b"250 ")
        await dialogue.asks(b"AUTH LOGIN", b"334 ")
        await dialogue.asks(base64.b64encode(_USER.encode()), b"334 ")
        await dialogue.asks(base64.b64encode(b"not-used-any-more"), b"5")
        await dialogue.asks(b"QUIT", b"221 ")

    async def _asks_for_token(self, dialogue: "_Dialogue", place: _Place) -> None:
        body = b"grant_type=refresh_token&client_id=x&refresh_token=" + b"v" * 400
        head = f"POST /common/oauth2/v2.0/token HTTP/1.1\r\nHost: {place.host}\r\nConnection: close\r\n"
        dialogue.writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await dialogue.reader.read()


class _Dialogue:
    """Lines to and fro."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hears(self, last: bytes) -> bytes:
        """Up to the line that begins so. Raises EOFError where the other side ends."""
        heard = b""
        while not heard.rpartition(b"\r\n")[0].rpartition(b"\r\n")[2].startswith(last):
            line = await self.reader.readline()
            if not line:
                raise EOFError
            heard += line
        return heard

    async def asks(self, line: bytes, last: bytes) -> bytes:
        self.writer.write(line + b"\r\n")
        return await self.hears(last)

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        await self.writer.start_tls(context, server_hostname=host)

    def close(self) -> None:
        self.writer.close()


def _initial_response() -> bytes:
    return base64.b64encode(f"user={_USER}\x01auth=Bearer {_TOKEN}\x01\x01".encode())
