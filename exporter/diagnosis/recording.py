"""A round as JSON Lines, to be replayed through the rules: `diagnose --record` writes it, `--from` reads it.

Each line is one object: a header, then vantages' facts, probes, experiments and connections as the contract prints
them. What `probe --json`, `inspect --json` and `diagnose --json` print can stand there too; verdicts are left out, for
the rules make them anew.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter import __version__
from exporter.diagnosis.experiment import Experiment
from exporter.diagnosis.seen import Seen, VantageFacts
from exporter.observations import Connection, Probe, as_json, from_json
from exporter.settings_errors import ConfigurationError

#: A file larger than this is no recorded round, bytes; lines of one, at most.
MAX_FILE, MAX_LINES = 67_108_864, 200_000

_HEADER = "round"


def lines(seen: Seen) -> Iterator[str]:
    """The round, line by line."""
    header = {
        "recording": _HEADER,
        "exporter": __version__,
        "private_networks": list(seen.private_networks),
        "two_sided": seen.two_sided,
        "own_stack": seen.own_stack,
    }
    yield json.dumps(header)
    for each in (*seen.vantages.values(), *seen.probes, *seen.experiments, *seen.connections):
        yield as_json(each)


def read(path: Path) -> Seen:
    """The round in a file. Raises ConfigurationError naming the file and line."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError([f"--from: {path}: {error.strerror}"]) from error
    if len(data) > MAX_FILE:
        raise ConfigurationError([f"--from: {path}: larger than {MAX_FILE} bytes"])
    found = data.splitlines()
    if len(found) > MAX_LINES:
        raise ConfigurationError([f"--from: {path}: more than {MAX_LINES} lines"])
    return _round(((f"--from: {path}: line {number}", line) for number, line in enumerate(found, start=1)), path)


def _round(numbered: Iterable[tuple[str, bytes]], path: Path) -> Seen:
    by_kind: dict[type, list[Any]] = {Probe: [], Experiment: [], Connection: [], VantageFacts: []}
    private: tuple[str, ...] = ()
    header: dict[str, Any] = {}
    for place, line in numbered:
        if not line.strip():
            continue
        content = _object(place, line)
        if content.get("recording") == _HEADER:
            private, header = _networks(content), content
        elif (kind := _kind(place, content)) is not None:
            by_kind[kind].append(_parsed(place, kind, line))
    if not by_kind[Probe] and not by_kind[Connection]:
        raise ConfigurationError([f"--from: {path}: holds neither a probe nor a connection"])
    return Seen(
        probes=tuple(by_kind[Probe]),
        experiments=tuple(by_kind[Experiment]),
        connections=tuple(by_kind[Connection]),
        vantages={facts.vantage: facts for facts in by_kind[VantageFacts]},
        private_networks=private,
        two_sided=header.get("two_sided") is True,
        own_stack=own if isinstance(own := header.get("own_stack"), str) else None,
    )


def _object(place: str, line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError([f"{place}: not JSON"]) from error
    if not isinstance(content, dict):
        raise ConfigurationError([f"{place}: not a JSON object"])
    return content


def _kind(place: str, content: dict[str, Any]) -> type | None:
    """What a line is, by the fields that only such a line has; None for what needn't be replayed."""
    if "experiment" in content:
        return Experiment
    if "phases" in content and "target" in content and "said" not in content:
        return Probe
    if "client_port" in content:
        return Connection
    if "attachment" in content:
        return VantageFacts
    if {"cause", "responsible"} <= content.keys() or content.keys() <= {"url"} or content.keys() <= {"summary"}:
        return None
    hint = "; this is a transcript of `probe --record`, not a round" if {"said", "recording"} & content.keys() else ""
    raise ConfigurationError([f"{place}: neither a probe nor an experiment or a connection{hint}"])


def _parsed(place: str, kind: type, line: bytes) -> Any:
    try:
        return from_json(kind, line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError([f"{place}: {where}: {first['msg']}"]) from error


def _networks(header: dict[str, Any]) -> tuple[str, ...]:
    listed = header.get("private_networks")
    return tuple(str(each) for each in listed) if isinstance(listed, list) else ()
