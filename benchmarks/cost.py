"""What probing costs: 100 targets every 10 seconds, beside blackbox_exporter at the same rate in the same seconds.

Targets are nginx and the lab's IMAP server on loopback, TLS 1.3, RSA-2048. All that is compared runs at the same time.
"""

import re
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from benchmarks.certificates import Files, make_certificates
from benchmarks.children import PYTHON, await_port, await_words, free_port, program, running
from benchmarks.figures import table
from benchmarks.imap_server import READY
from benchmarks.machine import NotPossible, describe_load, used_by
from benchmarks.scraper import Scraper, get
from benchmarks.servers import NGINX_READY, blackbox_configuration, exporter_configuration, nginx_configuration

HOST = "127.0.0.1"
TARGETS, INTERVAL = 100, 10.0
#: Measured so long, seconds; rounds are every INTERVAL.
SECONDS, QUICK_SECONDS = 60.0, 20.0

#: Labels come in any order.
_COUNTED = r'^outlook_probe_results_total\{{(?=[^}}]*phase="{phase}")(?=[^}}]*outcome="ok")[^}}]*\}} (\S+)$'
_LATEST = r'^outlook_probe_outcome\{[^}]*outcome="(\w+)"[^}]*\} 1\.0$'

PAGE, ALL = "ours: TCP, TLS and a page", "ours: IMAP, all phases, canary each round"
PEER, PEER_PAGE = "blackbox_exporter: TCP and TLS", "blackbox_exporter: TCP, TLS and a page"

_NOTES = """\
CPU: user and system seconds of the process. Ours are scraped every 10 s meanwhile, as blackbox_exporter's own work \
is answering a scrape for each probe (over one kept connection); prober alone leaves that out. ratio to the peers: \
CPU a probe, to blackbox_exporter's TCP and TLS / to its page. RSS: resident at the end, and the highest so far."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One process over the time measured: probes made, CPU seconds (all, its first thread's), MiB."""

    name: str
    probes: int
    cpu: float
    first_thread: float
    rss: float
    peak: float

    @property
    def each(self) -> float:
        """CPU seconds of one probe."""
        return self.cpu / self.probes


@dataclass(frozen=True, slots=True)
class Watched:
    """A process under measurement, and how its probes are counted."""

    name: str
    pid: int
    probes: Callable[[], int]


def measure(quick: bool) -> str:
    """The table. Raises NotPossible where a program is missing or a probe fails."""
    with TemporaryDirectory(prefix="bench-cost-", dir="/tmp") as name, ExitStack() as stack:
        watched, scrapers = _start(stack, Path(name))
        for scraper in scrapers:
            scraper.start()
        time.sleep(INTERVAL / 5)  # start-ups are over
        costs = _watch(watched, QUICK_SECONDS if quick else SECONDS)
        load = describe_load()
        for scraper in scrapers:
            scraper.stop()
    return f"{_table(costs)}\n\n{_NOTES} Load at the end: {load}."


def _watch(watched: list[Watched], seconds: float) -> list[Cost]:
    before = [(each.probes(), used_by(each.pid)) for each in watched]
    time.sleep(seconds)
    after = [(each.probes(), used_by(each.pid)) for each in watched]
    costs = []
    for each, (count, used), (count_then, used_then) in zip(watched, before, after, strict=True):
        if count_then == count:
            raise NotPossible(f"{each.name}: no probe was ok in {seconds:g} s")
        cpu, first = used_then.cpu - used.cpu, used_then.first_thread - used.first_thread
        costs.append(Cost(each.name, count_then - count, cpu, first, used_then.rss, used_then.peak))
    return costs


def _table(costs: list[Cost]) -> str:
    of = {cost.name: cost for cost in costs}
    rows = [
        [
            cost.name,
            str(cost.probes),
            f"{cost.cpu:.2f}",
            f"{cost.each * 1e3:.2f}",
            f"{cost.first_thread / cost.probes * 1e3:.2f}" if cost.name in (PAGE, ALL) else "",
            f"{cost.each / of[PEER].each:.2f} / {cost.each / of[PEER_PAGE].each:.2f}",
            f"{cost.rss:.0f} ({cost.peak:.0f})",
        ]
        for cost in costs
    ]
    said = (
        f"a page ≤ 1 × blackbox_exporter's page {_met(of[PAGE].each <= of[PEER_PAGE].each)}; "
        f"all phases ≤ 2 × its TCP and TLS {_met(of[ALL].each <= 2 * of[PEER].each)}; "
        f"RSS ≤ 100 MiB {_met(max(of[PAGE].peak, of[ALL].peak) <= 100)}."
    )
    head = ["process", "probes ok", "CPU s", "CPU ms a probe", "prober alone", "ratio to the peers", "RSS MiB (peak)"]
    return f"{table(head, rows)}\n\nGoals: {said}"


def _met(met: bool) -> str:
    return "met" if met else "MISSED"


def _start(stack: ExitStack, directory: Path) -> tuple[list[Watched], list[Scraper]]:
    """Servers, then all that probe them."""
    files = make_certificates(directory, HOST)
    https, imap = _servers(stack, directory, files)
    watched, scrapers = _blackbox(stack, directory, files, https)
    for name, protocol, port, phase in ((PAGE, "https", https, "tls"), (ALL, "imap", imap, "auth")):
        listen = free_port()
        child = _ours(stack, directory, files, protocol, port, listen)
        watched.append(Watched(name, child.pid, partial(_ours_ok, listen, phase)))
        scrapers.append(Scraper(listen, "/metrics", INTERVAL))
    return watched, scrapers


def _servers(stack: ExitStack, directory: Path, files: Files) -> tuple[int, int]:
    """Ports of nginx and of the IMAP server, both listening."""
    https, imap = free_port(), free_port()
    configuration = nginx_configuration(directory, files, HOST, https)
    nginx = [program("nginx", "nginx-light"), "-c", str(configuration), "-p", str(directory)]
    child = stack.enter_context(running(nginx, log := directory / "nginx.log"))
    await_words(child, log, NGINX_READY)
    server = [PYTHON, "-m", "benchmarks.imap_server", str(imap), str(files.certificate), str(files.key)]
    child = stack.enter_context(running(server, directory / "imap.err", output=(log := directory / "imap.log")))
    await_words(child, log, READY)
    return https, imap


def _blackbox(stack: ExitStack, directory: Path, files: Files, port: int) -> tuple[list[Watched], list[Scraper]]:
    """One process for each module, so that each has its own cost; and who asks it."""
    binary = program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
    configuration = blackbox_configuration(directory, files.root)
    watched, scrapers = [], []
    for name, module, target in ((PEER, "tls", f"{HOST}:{port}"), (PEER_PAGE, "http", f"https://{HOST}:{port}/")):
        listen, log = free_port(), directory / f"blackbox-{module}.log"
        command = [binary, f"--config.file={configuration}", f"--web.listen-address={HOST}:{listen}"]
        child = stack.enter_context(running(command, log))
        await_port(child, log, listen)
        path = f"/probe?{urlencode({'module': module, 'target': target})}"
        scraper = Scraper(listen, path, INTERVAL / TARGETS, must="\nprobe_success 1\n")
        watched.append(Watched(name, child.pid, partial(_answers, scraper)))
        scrapers.append(scraper)
    return watched, scrapers


def _answers(scraper: Scraper) -> int:
    return len(scraper.spans)


def _ours(
    stack: ExitStack, directory: Path, files: Files, protocol: str, port: int, listen: int
) -> subprocess.Popen[bytes]:
    """`python -m exporter run` as an administrator starts it."""
    targets = [
        {"name": f"{protocol}-{number:03}", "protocol": protocol, "host": HOST, "port": port, **extra}
        for number in range(TARGETS)
        for extra in ({"tls": "implicit"} if protocol == "imap" else {},)
    ]
    canaries = {"canary_interval": INTERVAL / 2, "canaries_per_hour": 1_000_000}
    path = directory / f"exporter-{protocol}.yml"
    configuration = exporter_configuration(path, files.root, targets, interval=INTERVAL, **canaries)
    command = [PYTHON, "-m", "exporter", "run", "--config", str(configuration), "--listen", f"{HOST}:{listen}"]
    log = directory / f"exporter-{protocol}.log"
    child = stack.enter_context(running(command, log, {"SSL_CERT_FILE": str(files.root)}))
    await_port(child, log, listen)
    return child


def _ours_ok(port: int, phase: str) -> int:
    """Walks whose last phase of interest was ok. Raises NotPossible where one wasn't."""
    text = get(port)
    bad = set(re.findall(_LATEST, text, re.MULTILINE)) - {"ok"}
    if bad:
        raise NotPossible(f"probes of ours ended with {', '.join(bad)}")
    return int(sum(float(value) for value in re.findall(_COUNTED.format(phase=phase), text, re.MULTILINE)))
