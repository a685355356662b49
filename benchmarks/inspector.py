"""What inspecting captures costs, beside tcpdump with the same filter, ndpiReader, nfstream, tshark, scapy, in one run.

All read the same generated files (`benchmarks.traffic`), whose truth is known: so it also shows who names which
connection right. File A: many short connections; B: few that carry much. CPU is user and system seconds of the whole
process and its children.
"""

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import inspector_live
from benchmarks.children import PYTHON, ROOT
from benchmarks.figures import quantile, table
from benchmarks.machine import NotPossible, describe_load
from benchmarks.peers import NDPI, NFSTREAM, OURS, SCAPY, TCPDUMP, TSHARK, Names, Peer, Run, measured, peers, scapy_peer
from benchmarks.traffic import floods
from benchmarks.traffic.judge import Verdict, judge, key_of

_COPY = 1 << 20

_NOTES = """\
CPU: user and system seconds by wait4(2), median of {runs}. Peak: resident MiB. Names: connections named right, of \
those whose name is on the wire. scapy reads {part:.0%} of the file; its figures are multiplied up."""


@dataclass(frozen=True, slots=True)
class Set:
    """A generated file. `per_second`: connections begun."""

    name: str
    connections: int
    bulk: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Made:
    """Where a set is, and how many packets it has."""

    capture: Path
    truth: Path
    packets: int


@dataclass(frozen=True, slots=True)
class Result:
    """One peer on one file: its median run, and its names."""

    run: Run
    names: Names | None


def measure(quick: bool) -> str:
    """The tables. Raises NotPossible where a program is missing or fails."""
    runs, share = (1, 10) if quick else (3, 1)
    sets = [Set("A", 27_000 // share, 20_000, 500), Set("B", 1_000 // share, 1_000_000, 20)]
    with TemporaryDirectory(prefix="bench-inspector-", dir="/tmp") as name:
        directory = Path(name)
        texts = [_side_by_side(directory, each, runs) for each in sets]
        texts.append(_growth(directory, 27_000 // share, runs))
        texts.append(_floods(directory, 1_000_000 // share))
        texts += [_live(directory, each) for each in sets]
    return "\n\n".join(texts)


def _side_by_side(directory: Path, chosen: Set, runs: int) -> str:
    made = _make(directory, chosen)
    results = {peer.name: _result(peer, made, directory, runs) for peer in peers()}
    part, scapy = _scapy(directory, made)
    verdict = _verdict(results[OURS].run.output, made.truth)
    title = f"### {chosen.name}: {chosen.connections:,} connections of {chosen.bulk:,} bytes, {made.packets:,} packets"
    notes = _NOTES.format(runs=runs, part=part)
    shown = _table({**results, SCAPY: scapy}, made, verdict)
    said = f"{title}\n\n{shown}\n\n{notes} Load at the end: {describe_load()}."
    return f"{said}\n\n{_right(verdict)}\n\n{_targets(chosen.name, results, verdict)}"


def _live(directory: Path, chosen: Set) -> str:
    made = Made(directory / f"{chosen.name}.pcap", directory / f"{chosen.name}.truth", 0)
    title = f"### Live, {chosen.name}"
    try:
        return f"{title}\n\n{inspector_live.measure(directory, made.capture, made.truth)}"
    except NotPossible as reason:
        return f"{title}\n\nNot measured: {reason}"


def _make(directory: Path, chosen: Set) -> Made:
    capture, truth = directory / f"{chosen.name}.pcap", directory / f"{chosen.name}.truth"
    command = [
        PYTHON, "-m", "benchmarks.traffic.generate", str(capture), str(truth), "--connections", str(chosen.connections),
        "--bulk", str(chosen.bulk), "--per-second", str(chosen.per_second),
    ]  # fmt: skip
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return Made(capture, truth, int(said.split()[0]))


def _result(peer: Peer, made: Made, directory: Path, runs: int) -> Result:
    output = directory / f"{peer.name.partition(' ')[0].strip(':,')}.out"
    done = [measured(peer.command(made.capture, output), output) for _ in range(runs)]
    failed = next((run for run in done if run.status != 0), None)
    if failed is not None:
        raise NotPossible(f"{peer.name} failed: {output.with_suffix('.err').read_text()[-500:]}")
    median = sorted(done, key=lambda run: run.cpu)[len(done) // 2]
    return Result(median, peer.names(output) if peer.names else None)


def _scapy(directory: Path, made: Made) -> tuple[float, Result]:
    """On the first part of the file, figures multiplied up."""
    part = directory / "part.pcap"
    share = min(1.0, 20_000 / made.packets)
    with made.capture.open("rb") as whole, part.open("wb") as beginning:
        left = int(made.capture.stat().st_size * share)
        while left and (data := whole.read(min(left, _COPY))):
            beginning.write(data)
            left -= len(data)
    result = _result(scapy_peer(), Made(part, made.truth, 0), directory, 1)
    run = result.run
    return share, Result(Run(run.cpu / share, run.wall / share, run.peak, run.status, run.output), None)


def _verdict(output: Path, truth: Path) -> Verdict:
    with output.open() as lines:
        return judge(map(json.loads, lines), truth)


def _table(results: dict[str, Result], made: Made, verdict: Verdict) -> str:
    ours = results[OURS].run.cpu
    rows = [
        [
            name,
            f"{result.run.cpu:.2f}",
            f"{result.run.cpu / made.packets * 1e6:.2f}",
            f"{result.run.cpu / ours:.2f}",
            f"{result.run.wall:.2f}",
            f"{result.run.peak:.0f}",
            _recall(result.names, made.truth, verdict),
        ]
        for name, result in results.items()
    ]
    head = ["program", "CPU s", "µs a packet", "ratio to ours", "wall s", "peak MiB", "names"]
    return table(head, rows)


def _recall(names: Names | None, truth: Path, verdict: Verdict) -> str:
    if names is None:
        return ""
    right = wrong = 0
    with truth.open() as lines:
        for each in map(json.loads, lines):
            client, port, server, server_port = key_of(each)
            said = names.get((client, port, server, server_port)) or names.get((server, server_port, client, port))
            right += each["sni"] is not None and said == each["sni"]
            wrong += said is not None and said != each["sni"]
    return f"{right} ({right / verdict.named:.1%})" + (f", {wrong} wrong" if wrong else "")


def _right(verdict: Verdict) -> str:
    median, most = verdict.handshake_errors
    wrong = _counted(verdict.wrong)
    examples = "".join(f"\n* {example}" for example in verdict.examples)
    return (
        f"Of ours: {verdict.connections - verdict.missing} of {verdict.connections} connections reported; "
        f"differing from the truth: {wrong}; time of the TLS handshake off by {median * 1e6:.0f} µs in the median, "
        f"{most * 1e6:.0f} µs at most. Sign-ins: {_counted(verdict.sign_ins)}.{examples}"
    )


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"


def _targets(name: str, results: dict[str, Result], verdict: Verdict) -> str:
    """Part 7 of issue 5: what must be met, and what is aimed at."""
    cpu = {peer: result.run.cpu for peer, result in results.items()}
    ours = cpu[OURS]
    if name == "A":
        wanted = [
            ("nfstream ÷ ours", cpu[NFSTREAM] / ours, 2.0, 4.0),
            ("tshark ÷ ours", cpu[TSHARK] / ours, 7.0, 14.0),
            ("ndpiReader ÷ ours", cpu[NDPI] / ours, 1.0, 2.0),
            ("100 MiB ÷ peak", 100 / results[OURS].run.peak, 1.0, 1.0),
            ("share of names", verdict.recall, 1.0, 1.0),
        ]
    else:
        wanted = [
            ("tcpdump ÷ ours", cpu[TCPDUMP] / ours, 1 / 2, 1 / 1.3),
            ("nfstream ÷ ours", cpu[NFSTREAM] / ours, 8.0, 8.0),
            ("share of names", verdict.recall, 1.0, 1.0),
        ]
    rows = [
        [what, f"{found:.2f}", f"{least:.2f} {_met(found, least)}", f"{goal:.2f} {_met(found, goal)}"]
        for what, found, least, goal in wanted
    ]
    return table(["target, at least", "found", "required", "goal"], rows)


def _met(found: float, wanted: float) -> str:
    return "met" if found >= wanted else "MISSED"


def _growth(directory: Path, most: int, runs: int) -> str:
    """How our cost grows: with bytes and packets at the same number of connections, and with connections."""
    few = most // 10
    sets = [Set("few", few, 20_000, 500), Set("bytes", few, 200_000, 500), Set("connections", most, 20_000, 500)]
    ours = next(peer for peer in peers() if peer.name == OURS)
    rows, costs = [], []
    for chosen in sets:
        made = _make(directory, chosen)
        cpu = quantile([_result(ours, made, directory, 1).run.cpu for _ in range(runs)], 0.5)
        costs.append(cpu)
        rows.append(
            [
                f"{chosen.connections:,} × {chosen.bulk:,} bytes",
                f"{made.packets:,}",
                f"{cpu:.2f}",
                f"{cpu / costs[0]:.2f}",
            ]
        )
        made.capture.unlink()
    return f"### Growth\n\n{table(['connections', 'packets', 'CPU s', 'ratio'], rows)}"


def _floods(directory: Path, most: int) -> str:
    """What a flood costs, and that ten times as much of it costs ten times as much: each is given up at the same price.

    A hello costs three packets and a name, so that a third as many are sent. Once each: peers take minutes.
    """
    asked = [peer for peer in peers() if peer.name in (OURS, TCPDUMP, NDPI, NFSTREAM)]
    rows = []
    for what, make, count in (("SYNs", floods.syns, most), ("hellos", floods.hellos, most // 3)):
        small, large = directory / "small.pcap", directory / "large.pcap"
        made = [Made(path, path, make(path, number)) for path, number in ((small, count // 10), (large, count))]
        for peer in asked:
            few, many = (_result(peer, each, directory, 1).run for each in made)
            rows.append(
                [f"{count:,} {what}: {peer.name}", f"{many.cpu:.2f}", f"{many.cpu / few.cpu:.1f}", f"{many.peak:.0f}"]
            )
    head = ["flood", "CPU s", "ratio to a tenth of it", "peak MiB"]
    return f"### Floods\n\n{table(head, rows)}\n\nRequired: at most 200 MiB."
