"""Makes handshakes from within the client's namespace, and says what each clock showed.

`python -m benchmarks.clients TOOL AT_ONCE COUNT CONFIG`, TOOL one of ours, curl, blackbox; JSON on stdout: an array of
[local port or null, connect seconds, tls seconds].
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from exporter.prepare import make_prober
from exporter.probe.resolve import NameService
from exporter.probe.walk import Tools, Vantage, walk
from exporter.probe.way import Deadline
from exporter.service import SWITCH_INTERVAL
from exporter.settings_file import load
from exporter.vocabulary import Phase

#: Where blackbox_exporter listens, on the namespace's own loopback.
BLACKBOX_PORT = 9115

#: Seconds for one handshake's whole walk.
_PATIENCE = 20.0

Measured = tuple[int | None, float, float]

_GAUGE = re.compile(r'^probe_http_duration_seconds\{phase="(connect|tls)"\} (\S+)$', re.MULTILINE)


class NotedSockets:
    """A vantage's sockets, bound before they connect, so that the local port is known."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.port = 0

    def socket(self, family: int, kind: int) -> socket.socket:
        """See exporter.probe.vantage.SocketMaker."""
        sock = socket.socket(family, kind)
        sock.setblocking(False)
        sock.bind((self._address, 0))
        self.port = sock.getsockname()[1]
        return sock


async def ours(config: Path, at_once: int, count: int) -> list[Measured]:
    """The product's own walk, from name to page, so many side by side."""
    settings = load(config, os.environ)
    tools = make_prober(settings, once=True).tools
    [target] = settings.targets().values()

    async def one() -> Measured:
        sockets = NotedSockets("198.18.0.1")
        vantage = Vantage(name="client", names=NameService(hosts={}, resolvers=[], sockets=sockets))
        return await _walked(target, vantage, tools, sockets)

    await asyncio.gather(*(one() for _ in range(at_once)))  # the first of all loads and allocates
    found: list[Measured] = []
    while len(found) < count:
        found += await asyncio.gather(*(one() for _ in range(at_once)))
    return found


async def _walked(target: object, vantage: Vantage, tools: Tools, sockets: NotedSockets) -> Measured:
    deadline = Deadline(tools.clock() + _PATIENCE)
    found = await walk(target, target.host, vantage, tools, deadline=deadline, offer_canary=lambda _: None)  # type: ignore
    if found.failed is not None:
        raise RuntimeError(f"the walk failed: {found.failed}")
    seconds = {result.phase: result.seconds or 0.0 for result in found.phases}
    return sockets.port, seconds[Phase.CONNECT], seconds[Phase.TLS]
