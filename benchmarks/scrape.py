"""What a scrape adds to the phases measured meanwhile: one service, scraped each second and left alone, in turns."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.certificates import make_certificates
from benchmarks.children import PYTHON, await_port, await_words, end, free_port, program, running
from benchmarks.figures import quantile, table
from benchmarks.machine import NotPossible, describe_load
from benchmarks.scraper import Scraper, get, series
from benchmarks.servers import NGINX_READY, exporter_configuration, nginx_configuration

HOST = "127.0.0.1"
#: Probed every INTERVAL seconds, so that rounds meet scrapes, which are a second apart, at every place.
TARGETS, INTERVAL = 20, 0.45
SERIES, SCRAPE_INTERVAL = 5000, 1.0
#: Seconds of a turn, and how many pairs of turns.
TURN, PAIRS, QUICK_PAIRS = 5.0, 3, 1

PHASES = ("connect", "tls", "http")
#: Probes side by side: one, where a phase waits for nothing but scrapes, and as many as the product makes.
AT_ONCE = (1, 64)
#: The goal: what a scrape may add to the median and to the p99 of any phase, milliseconds.
GOAL = (2.0, 10.0)

_NOTES = """\
Milliseconds. scraped: probes begun in a turn with a scrape each second; during: those of them under way at the same \
time as a scrape. added = scraped − alone. Every target's series change between scrapes."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Timed:
    """One probe: Unix seconds of its beginning, and seconds of its phases."""

    began: float
    seconds: dict[str, float]

    def meets(self, spans: list[Span]) -> bool:
        """Whether any of its time lies in one of the spans."""
        ended = self.began + sum(self.seconds.values())
        return any(first <= ended and self.began <= last for first, last in spans)


def measure(quick: bool) -> str:
    """A table for each concurrency. Raises NotPossible where a program is missing or a probe fails."""
    parts = [_compared(at_once, QUICK_PAIRS if quick else PAIRS) for at_once in AT_ONCE]
    return "\n\n".join([*parts, _NOTES])


def _compared(at_once: int, pairs: int) -> str:
    alone: list[Span] = []
    scraped: list[Span] = []
    scrapes: list[Span] = []
    with TemporaryDirectory(prefix="bench-scrape-", dir="/tmp") as name:
        output = Path(name) / "probes.jsonl"
        with _service(Path(name), output, at_once) as port:
            for _ in range(pairs):
                alone.append(_turn(lambda: time.sleep(TURN)))
                scraped.append(_turn(lambda: scrapes.extend(_scrape(port))))
            count = series(get(port))
        probes = _read(output)
    took = [(last - first) * 1e3 for first, last in scrapes]
    said = (
        f"{TARGETS} targets, {at_once} at once, every {INTERVAL} s; {count} series, {len(scrapes)} scrapes of "
        f"{quantile(took, 0.5):.0f} ms in the median, {max(took):.0f} at most. Load: {describe_load()}."
    )
    without = [probe for probe in probes if _within(probe, alone)]
    beside = [probe for probe in probes if _within(probe, scraped)]
    during = [probe for probe in beside if probe.meets(scrapes)]
    return f"{said}\n\n{_table(without, beside, during)}"


def _turn(work: Callable[[], None]) -> Span:
    began = time.time()
    work()
    return began, time.time()


def _scrape(port: int) -> list[Span]:
    scraper = Scraper(port, "/metrics", SCRAPE_INTERVAL, must="outlook_probe_success")
    scraper.start()
    time.sleep(TURN)
    scraper.stop()
    return scraper.spans


def _within(probe: Timed, spans: list[Span]) -> bool:
    return any(first <= probe.began <= last for first, last in spans)


def _table(alone: list[Timed], scraped: list[Timed], during: list[Timed]) -> str:
    if not alone or not during:
        raise NotPossible("no probe was made while scraped, or none while not")
    rows, met = [], True
    for phase in PHASES:
        figures = [_figures(probes, phase) for probes in (alone, scraped, during)]
        added = [scraped - alone for alone, scraped in zip(figures[0], figures[1], strict=True)]
        met = met and all(more <= goal for more, goal in zip(added, GOAL, strict=True))
        rows.append([phase, *(_pair(each, "") for each in figures), _pair(added, "+")])
    head = [f"alone (n={len(alone)})", f"scraped (n={len(scraped)})", f"during (n={len(during)})"]
    verdict = f"Goal: at most +{GOAL[0]:g} / +{GOAL[1]:g} ms on any phase: {'met' if met else 'MISSED'}."
    return f"{table(['phase: median / p99', *head, 'added'], rows)}\n\n{verdict}"


def _figures(probes: list[Timed], phase: str) -> list[float]:
    """Median and p99 in milliseconds."""
    return [quantile([probe.seconds[phase] * 1e3 for probe in probes], share) for share in (0.5, 0.99)]


def _pair(figures: list[float], sign: str) -> str:
    return " / ".join(f"{figure:{sign}.2f}" for figure in figures)


@contextmanager
def _service(directory: Path, output: Path, at_once: int) -> Iterator[int]:
    """nginx and the service, filled and ready, while the block runs; the web port."""
    files = make_certificates(directory, HOST)
    https, listen = free_port(), free_port()
    targets = [
        {"name": f"https-{number:03}", "protocol": "https", "host": HOST, "port": https} for number in range(TARGETS)
    ]
    configuration = exporter_configuration(
        directory / "exporter.yml", files.root, targets, interval=INTERVAL, concurrency=at_once
    )
    server = nginx_configuration(directory, files, HOST, https)
    nginx = [program("nginx", "nginx-light"), "-c", str(server), "-p", str(directory)]
    command = [PYTHON, "-m", "benchmarks.scraped_service", str(configuration), f"{HOST}:{listen}", str(SERIES)]
    trust, log = {"SSL_CERT_FILE": str(files.root)}, directory / "exporter.log"
    with running(nginx, nginx_log := directory / "nginx.log") as serving:
        await_words(serving, nginx_log, NGINX_READY)
        with running(command, log, trust, output) as child:
            await_port(child, log, listen)
            _await_series(listen)
            yield listen
            end(child)


def _await_series(port: int) -> None:
    for _ in range(50):
        if series(get(port)) >= SERIES:
            return
        time.sleep(0.2)
    raise NotPossible(f"the service never had {SERIES} series")


def _read(output: Path) -> list[Timed]:
    """The service's log lines stand between."""
    lines = [json.loads(line) for line in output.read_text().splitlines() if line.startswith("[")]
    bad = {outcome for _, outcome, _ in lines} - {"ok"}
    if bad or not lines:
        raise NotPossible(f"probes ended with {', '.join(bad) or 'nothing'}")
    return [Timed(began, seconds) for began, _, seconds in lines]
