"""What inspecting live traffic costs: tcpreplay on one end of a veth, one capturer after another on the other end.

Both ends are in network namespaces of their own. The file is a generated one, so that names can be counted; its times
are squeezed into the seconds that replaying takes, so that silence and handshake times mean nothing here. CPU is the
capturer's own, with what its start took beside it; what the kernel's filter costs is the sender's.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measured_child
from benchmarks.children import PYTHON, ROOT, program
from benchmarks.figures import table
from benchmarks.machine import NotPossible
from benchmarks.network import Namespaces, namespaces
from benchmarks.peers import (
    NDPI,
    NFSTREAM,
    OURS,
    TCPDUMP,
    Names,
    Run,
    kernel_filter,
    ndpi_names,
    our_names,
    peers_python,
    tab_names,
)
from benchmarks.traffic.judge import key_of

#: A capturer has begun after so long, and has read what is left in its ring; seconds.
STARTS, DRAINS = 4.0, 3.0
PACKETS_PER_SECOND = 200_000

_NFSTREAM_SCRIPT = """
import signal, sys
from nfstream import NFStreamer
for flow in NFStreamer(source=sys.argv[1], n_dissections=20, statistical_analysis=False, n_meters=1, idle_timeout=1,
                       promiscuous_mode=True):
    print(flow.src_ip, flow.src_port, flow.dst_ip, flow.dst_port, flow.requested_server_name, sep="\\t", flush=True)
"""

_Dropped = Callable[[Run], int | None]


@dataclass(frozen=True, slots=True)
class Capturer:
    """`command` gets the interface; `dropped`: packets that the kernel had to drop, None where it doesn't say."""

    name: str
    command: Callable[[str], Sequence[str]]
    names: Callable[[Path], Names] | None
    dropped: _Dropped


@dataclass(frozen=True, slots=True)
class Seen:
    """One capturer at one speed. `named`: names told right; `started`: CPU seconds before the first packet."""

    run: Run
    started: float
    dropped: int | None
    named: int | None
    rate: float

    @property
    def cpu(self) -> float:
        """Seconds that the traffic took."""
        return self.run.cpu - self.started


def measure(directory: Path, capture: Path, truth: Path) -> str:
    """The table for one file. Raises NotPossible where something is missing."""
    replay = program("tcpreplay", "tcpreplay")
    with truth.open() as lines:
        names = {key_of(each): each["sni"] for each in map(json.loads, lines) if each["sni"]}
    rows = []
    found: dict[tuple[str, str], Seen] = {}
    with namespaces() as made:
        for speed, how in ((f"{PACKETS_PER_SECOND:,} a second", f"--pps={PACKETS_PER_SECOND}"), ("top", "--topspeed")):
            sender = [*made.command(made.client), replay, "--preload-pcap", "-q", how, "-i", made.device, str(capture)]
            for capturer in capturers():
                seen = _watch(capturer, made, sender, directory / "live.out", names)
                found[speed, capturer.name] = seen
                rows.append(_row(capturer.name, speed, seen, len(names)))
    head = ["program", "packets a second", "reached", "CPU s", "start's", "peak MiB", "kernel drops", "names"]
    note = "Peers are stopped as ours is; nfstream hasn't told all of its flows by then."
    return f"{table(head, rows)}\n\n{_said(found)} {note}"


def capturers() -> list[Capturer]:
    """Ours and the peers. Raises NotPossible where one isn't installed."""
    python, ndpi, tcpdump = str(peers_python()), program("ndpiReader", "libndpi-bin"), program("tcpdump", "tcpdump")
    ours = [PYTHON, "-m", "exporter", "inspect", "--all", "--json", "--summary", "--interface"]
    return [
        Capturer(OURS, lambda device: [*ours, device], our_names, _our_drops),
        Capturer(
            TCPDUMP, lambda device: [tcpdump, "-i", device, "-w", "/dev/null", kernel_filter()], None, _tcpdump_drops
        ),
        Capturer(NDPI, lambda device: [ndpi, "-i", device, "-q", "-C", "/dev/stdout"], ndpi_names, _unknown_drops),
        Capturer(NFSTREAM, lambda device: [python, "-c", _NFSTREAM_SCRIPT, device], tab_names, _unknown_drops),
    ]


def _watch(capturer: Capturer, made: Namespaces, sender: Sequence[str], output: Path, names: Names) -> Seen:
    with _running([*made.command(made.server), *capturer.command(made.device)], output) as (child, finish):
        time.sleep(STARTS)
        started = _used_by_session(child)
        said = subprocess.run(sender, cwd=ROOT, capture_output=True, text=True, check=False)
        if said.returncode:
            raise NotPossible(f"tcpreplay failed: {said.stderr[-500:]}")
        time.sleep(DRAINS)
        run = finish()
    if run.status not in (0, 130, -signal.SIGINT):
        raise NotPossible(f"{capturer.name} failed: {output.with_suffix('.err').read_text()[-500:]}")
    told = capturer.names(output) if capturer.names else None
    right = None if told is None else sum(_said_right(told, key, name) for key, name in names.items())
    rate = re.search(r"([\d.]+) pps", said.stdout)
    return Seen(run, started, capturer.dropped(run), right, float(rate[1]) if rate else float("nan"))


@contextmanager
def _running(command: Sequence[str], output: Path) -> Iterator[tuple[int, Callable[[], Run]]]:
    """The capturer's session, and what ends it by SIGINT and tells what it used."""
    small = [PYTHON, "-S", "-E", str(Path(measured_child.__file__)), str(output), str(output.with_suffix(".err"))]
    child = subprocess.Popen(
        [*small, *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )

    def finish() -> Run:
        os.killpg(child.pid, signal.SIGINT)
        said, _ = child.communicate(timeout=60)
        cpu, wall, peak, status = said.split()
        return Run(float(cpu), float(wall), int(peak) / 1024, int(status), output)

    try:
        yield child.pid, finish
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()


def _used_by_session(session: int) -> float:
    """CPU seconds of all processes of a session so far (proc(5))."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _said_right(told: Names, key: tuple[str, int, str, int], name: str) -> bool:
    client, port, server, server_port = key
    return name in (told.get(key), told.get((server, server_port, client, port)))


def _our_drops(run: Run) -> int | None:
    last = run.output.read_text().splitlines()[-1]
    summary = json.loads(last).get("summary", {})
    return int(summary["dropped"]) if "dropped" in summary else None


def _tcpdump_drops(run: Run) -> int | None:
    found = re.search(r"(\d+) packets? dropped by kernel", run.output.with_suffix(".err").read_text())
    return int(found[1]) if found else None


def _unknown_drops(run: Run) -> None:
    return None


def _row(name: str, speed: str, seen: Seen, names: int) -> list[str]:
    return [
        name,
        speed,
        f"{seen.rate:,.0f}",
        f"{seen.cpu:.2f}",
        f"{seen.started:.2f}",
        f"{seen.run.peak:.0f}",
        "?" if seen.dropped is None else f"{seen.dropped:,}",
        "" if seen.named is None else f"{seen.named} ({seen.named / names:.1%})",
    ]


def _said(found: dict[tuple[str, str], Seen]) -> str:
    """Against the targets: no drop, at most a tenth of nfstream's CPU (on bulk)."""
    lines = []
    for speed in {speed for speed, _ in found}:
        ours, nfstream = found[speed, OURS], found[speed, NFSTREAM]
        drops = "none" if ours.dropped == 0 else f"{ours.dropped} MISSED"
        lines.append(f"At {speed}: drops {drops}; nfstream's CPU ÷ ours {nfstream.cpu / ours.cpu:.1f}.")
    return " ".join(sorted(lines))
