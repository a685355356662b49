"""Makes handshakes from within the client's namespace, and says what each clock showed.

`python -m benchmarks.clients TOOL AT_ONCE COUNT DIRECTORY`, TOOL one of ours, curl, blackbox; JSON on stdout: an array
of [local port or null, connect seconds, tls seconds].
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.network import CLIENT, PORT, SERVER
from exporter.catalogue import Target
from exporter.prepare import make_prober
from exporter.probe.resolve import NameService
from exporter.probe.walk import Tools, Vantage, walk
from exporter.probe.way import Deadline
from exporter.settings_file import load
from exporter.vocabulary import Phase

#: Where blackbox_exporter listens, on the namespace's own loopback.
BLACKBOX_PORT = 9115
#: Seconds for one walk.
PATIENCE = 20.0

URL = f"https://{SERVER}:{PORT}/"

Measured = tuple[int | None, float, float]

_GAUGE = re.compile(r'^probe_http_duration_seconds\{phase="(connect|tls)"\} (\S+)$', re.MULTILINE)


class NotedSockets:
    """A vantage's sockets, bound before they connect, so that the local port is known."""

    def __init__(self) -> None:
        self.port = 0

    def socket(self, family: int, kind: int) -> socket.socket:
        """See exporter.probe.vantage.SocketMaker."""
        sock = socket.socket(family, kind)
        sock.setblocking(False)
        sock.bind((CLIENT, 0))
        self.port = sock.getsockname()[1]
        return sock


def ours(at_once: int, count: int, directory: Path) -> list[Measured]:
    """The product's own walk, from name to page, so many side by side."""
    settings = load(directory / "exporter.yml", os.environ)
    tools = make_prober(settings, once=True).tools
    [target] = settings.targets().values()
    return asyncio.run(_walks(target, tools, at_once, count))


async def _walks(target: Target, tools: Tools, at_once: int, count: int) -> list[Measured]:
    await asyncio.gather(*(_walk(target, tools) for _ in range(at_once)))  # the first of all loads and allocates
    found: list[Measured] = []
    while len(found) < count:
        found += await asyncio.gather(*(_walk(target, tools) for _ in range(at_once)))
    return found


async def _walk(target: Target, tools: Tools) -> Measured:
    sockets = NotedSockets()
    vantage = Vantage(name="client", names=NameService(hosts={}, resolvers=[], sockets=sockets))
    deadline = Deadline(tools.clock() + PATIENCE)
    found = await walk(target, target.host, vantage, tools, deadline=deadline, offer_canary=lambda _: None)
    if found.failed is not None:
        raise RuntimeError(f"a walk failed: {found.failed}")
    seconds = {result.phase: result.seconds or 0.0 for result in found.phases}
    return sockets.port, seconds[Phase.CONNECT], seconds[Phase.TLS]


def curl(at_once: int, count: int, directory: Path) -> list[Measured]:
    """A curl for each connection: time_connect, and time_appconnect less time_connect."""
    said = "%{local_port} %{time_connect} %{time_appconnect}"
    command = ["curl", "-sS", "-o", "/dev/null", "--http1.1", "--tlsv1.3", "--cacert", str(directory / "root.pem")]
    found: list[Measured] = []
    while len(found) < count:
        children = [
            subprocess.Popen([*command, "-w", said, URL], stdout=subprocess.PIPE, text=True) for _ in range(at_once)
        ]
        for output in [child.communicate()[0] for child in children]:
            port, connect, application = output.split()
            found.append((int(port), float(connect), float(application) - float(connect)))
    return found


def blackbox(at_once: int, count: int, _directory: Path) -> list[Measured]:
    """blackbox_exporter's phase gauges; it doesn't tell the port."""
    with ThreadPoolExecutor(at_once) as threads:
        found: list[Measured] = []
        while len(found) < count:
            found += threads.map(lambda _: _blackbox_probe(), range(at_once))
    return found


def _blackbox_probe() -> Measured:
    connection = HTTPConnection("127.0.0.1", BLACKBOX_PORT, timeout=PATIENCE)
    try:
        connection.request("GET", f"/probe?{urlencode({'module': 'http', 'target': URL})}")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    if "\nprobe_success 1\n" not in text:
        raise RuntimeError("a probe of blackbox_exporter failed")
    seconds = {phase: float(value) for phase, value in _GAUGE.findall(text)}
    return None, seconds["connect"], seconds["tls"]


TOOLS: dict[str, Callable[[int, int, Path], list[Measured]]] = {"ours": ours, "blackbox": blackbox, "curl": curl}


def main() -> None:
    """See the module."""
    tool, at_once, count, directory = sys.argv[1:]
    print(json.dumps(TOOLS[tool](int(at_once), int(count), Path(directory))))


if __name__ == "__main__":
    main()
