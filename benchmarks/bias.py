"""How far the clocks of `connect` and `tls` are from the packets of the same connections.

nginx (TLS 1.3, RSA-2048) and the client in a network namespace each; tcpdump on the client's interface is the truth.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.capture import Wire, captured
from benchmarks.certificates import make_certificates
from benchmarks.children import PYTHON, await_words, program, running, spinners
from benchmarks.clients import BLACKBOX_PORT, TOOLS, Measured
from benchmarks.figures import QUANTILES, microseconds, quantile, quantiles, table
from benchmarks.machine import NotPossible
from benchmarks.network import PORT, SERVER, Namespaces, namespaces
from benchmarks.servers import NGINX_READY, blackbox_configuration, exporter_configuration, nginx_configuration

AT_ONCE, QUICK_AT_ONCE = (1, 10, 50), (1, 50)
SAMPLES, QUICK_SAMPLES = 200, 50
#: Seconds for all of one tool's connections.
PATIENCE = 60.0

#: The goal, idle, at every concurrency: seconds of the median and of p90.
GOAL = (100e-6, 250e-6)

_NOTES = """\
Errors in µs against kernel timestamps of the same connections: connect = SYN → SYN-ACK, tls = first byte of the \
ClientHello → the client's Finished flight. ours and curl: median / p90 / p99 of |clock − wire|, matched by local \
port; blackbox_exporter doesn't tell its port: its quantile − the wire's. curl's connect includes its own start and \
lookup. ours is the product's whole walk, page and certificate included. wire: medians; the client's share of tls \
runs from the server's last segment to Finished: the tool's own work and queue, which no clock at the client shows."""


@dataclass(frozen=True, slots=True)
class Run:
    """One tool's connections under one load; `began` and `ended` in Unix seconds."""

    load: str
    at_once: int
    tool: str
    began: float
    ended: float
    measured: list[Measured]


@dataclass(frozen=True, slots=True)
class Errors:
    """A run beside the wire: quantiles in seconds of both clocks' errors.

    `wire`: its medians of connect, tls and the client's share of tls.
    """

    run: Run
    count: int
    connect: tuple[float, ...]
    tls: tuple[float, ...]
    wire: tuple[float, ...]

    def row(self) -> list[str]:
        run, wire = self.run, microseconds(self.wire)
        errors = (microseconds(self.connect), microseconds(self.tls))
        return [run.load, str(run.at_once), run.tool, str(self.count), *errors, wire]


def measure(quick: bool) -> str:
    """The table. Raises NotPossible where we aren't root, or a program is missing."""
    count, side_by_side = (QUICK_SAMPLES, QUICK_AT_ONCE) if quick else (SAMPLES, AT_ONCE)
    runs = []
    with TemporaryDirectory(prefix="bench-bias-", dir="/tmp") as name:
        directory = Path(name)
        with _laboratory(directory) as spaces, captured(spaces, PORT, directory) as wires:
            for load in ("idle", "a spinner per core"):
                with spinners(directory / "spinners.log") if load != "idle" else nullcontext():
                    for at_once in side_by_side:
                        runs += [_run(spaces, directory, load, at_once, tool, count) for tool in TOOLS]
    found = [_errors(run, wires) for run in runs]
    head = ["load", "at once", "tool", "n", "connect error", "tls error", "wire: connect / tls / client's share"]
    return f"{table(head, [each.row() for each in found])}\n\n{_NOTES}\n\n{_verdict(found)}"


def _errors(run: Run, wires: list[Wire]) -> Errors:
    """Raises NotPossible where more than a few connections weren't seen whole."""
    seen = [wire for wire in wires if run.began <= wire.began <= run.ended]
    by_port = {wire.port: wire for wire in seen}
    if run.tool == "blackbox":
        connect = _apart([each[1] for each in run.measured], [wire.connect for wire in seen])
        tls = _apart([each[2] for each in run.measured], [wire.tls for wire in seen])
        count = min(len(seen), len(run.measured))
    else:
        pairs = [(each, by_port[each[0]]) for each in run.measured if each[0] in by_port]
        connect = quantiles([abs(each[1] - wire.connect) for each, wire in pairs])
        tls = quantiles([abs(each[2] - wire.tls) for each, wire in pairs])
        count = len(pairs)
    if count < 0.95 * len(run.measured):
        raise NotPossible(f"{run.tool}, {run.at_once} at once: only {count} of {len(run.measured)} seen on the wire")
    columns = ([wire.connect for wire in seen], [wire.tls for wire in seen], [wire.own for wire in seen])
    return Errors(run, count, connect, tls, tuple(quantile(column, 0.5) for column in columns))


def _apart(clock: list[float], wire: list[float]) -> tuple[float, ...]:
    return tuple(quantile(clock, share) - quantile(wire, share) for share in QUANTILES)


def _verdict(found: list[Errors]) -> str:
    """Whether ours meets the goal, idle, at each concurrency."""
    said = []
    for each in found:
        if each.run.tool == "ours" and each.run.load == "idle":
            reached = [each.connect[:2], each.tls[:2]]
            met = all(error <= goal for phase in reached for error, goal in zip(phase, GOAL, strict=True))
            said.append(f"{each.run.at_once} at once {'met' if met else 'MISSED'}")
    return f"Goal idle, both clocks: median ≤ {GOAL[0] * 1e6:.0f} µs, p90 ≤ {GOAL[1] * 1e6:.0f} µs: {', '.join(said)}."


@contextmanager
def _laboratory(directory: Path) -> Iterator[Namespaces]:
    """Namespaces with nginx in one, and blackbox_exporter in the client's."""
    programs = program("nginx", "nginx-light"), program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
    program("curl", "curl"), program("tcpdump", "tcpdump")
    files = make_certificates(directory, SERVER)
    target = {"name": "server", "protocol": "https", "host": SERVER, "port": PORT}
    exporter_configuration(directory / "exporter.yml", files.root, [target])
    with namespaces() as spaces, ExitStack() as stack:
        configuration = nginx_configuration(directory, files, SERVER, PORT)
        nginx = [programs[0], "-c", str(configuration), "-p", str(directory)]
        _start(stack, spaces, spaces.server, nginx, directory / "nginx.log", NGINX_READY)
        peer = [f"--config.file={blackbox_configuration(directory, files.root)}"]
        peer += [f"--web.listen-address=127.0.0.1:{BLACKBOX_PORT}"]
        _start(stack, spaces, spaces.client, [programs[1], *peer], directory / "blackbox.log", "Listening on")
        yield spaces


def _start(stack: ExitStack, spaces: Namespaces, namespace: str, command: list[str], log: Path, words: str) -> None:
    child = stack.enter_context(running([*spaces.command(namespace), *command], log))
    await_words(child, log, words)


def _run(spaces: Namespaces, directory: Path, load: str, at_once: int, tool: str, count: int) -> Run:
    """Raises NotPossible where the tool fails, or isn't done in time."""
    arguments = [tool, str(at_once), str(count), str(directory)]
    command = [*spaces.command(spaces.client), PYTHON, "-m", "benchmarks.clients", *arguments]
    output, log = directory / "clients.json", directory / "clients.log"
    output.unlink(missing_ok=True)
    began = time.time()
    with running(command, log, {"SSL_CERT_FILE": str(directory / "root.pem")}, output) as child:
        try:
            status = child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise NotPossible(f"{tool}, {at_once} at once: not done within {PATIENCE:g} s") from None
    if status:
        raise NotPossible(f"{tool}, {at_once} at once: {log.read_text(errors='replace')[-1000:]}")
    measured: list[Measured] = [(port, connect, tls) for port, connect, tls in json.loads(output.read_text())]
    return Run(load, at_once, tool, began, time.time(), measured)
