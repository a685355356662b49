"""`inspect --inside X --outside Y`: both sides of one gateway, and what it did to each connection.

X and Y are captures, or interfaces that are read as it happens.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import click

from exporter.capabilities import drop_capabilities, forbid_core_dumps
from exporter.inspect_summary import Summary
from exporter.inspect_table import header, lines
from exporter.observations import as_json as to_json
from exporter.settings_errors import ConfigurationError
from exporter.settings_file import load
from exporter.wire.reading_files import two_sides

_READ_WHOLE, _NOT_READ = 0, 2


def run_sides(
    inside: str, outside: str, *, config: Path | None, env: Mapping[str, str], as_json: bool, summary: bool,
    everything: bool,
) -> int:  # fmt: skip
    """Exit status: 0 both were read whole, or a signal ended reading live; 2 one can't be read. Raises
    ConfigurationError."""
    if are_interfaces(inside, outside):
        from exporter.inspect_live import run_live
        from exporter.wire.interface_state import Interface

        both = Interface(inside, "inside"), Interface(outside, "outside")
        return run_live(both, config=config, env=env, as_json=as_json, summary=summary, everything=everything)
    return _of_files(Path(inside), Path(outside), config=config, env=env, as_json=as_json, summary=summary)


def are_interfaces(inside: str, outside: str) -> bool:
    """Whether both name interfaces of this machine; a file of that name wins. Raises ConfigurationError where they
    can't be read together."""
    known = {name for _, name in socket.if_nameindex()}
    live = [name in known and not Path(name).exists() for name in (inside, outside)]
    if live[0] is not live[1]:
        file, interface = (outside, inside) if live[0] else (inside, outside)
        problem = f"{interface} is an interface and {file} is not: both must be interfaces, or both captures"
        raise ConfigurationError([f"--inside and --outside: {problem}"])
    if live[0] and inside == outside:
        raise ConfigurationError([f"--inside and --outside: {inside} can't be both sides of the gateway"])
    return live[0]


def _of_files(
    inside: Path, outside: Path, *, config: Path | None, env: Mapping[str, str], as_json: bool, summary: bool
) -> int:
    settings = load(config, env)
    if os.geteuid() == 0:
        drop_capabilities()
    forbid_core_dumps()
    connections, warnings = two_sides(inside, outside, settings)
    counted = Summary()
    if connections and not as_json:
        click.echo(header())
    for connection in connections:
        counted.add(connection.target, connection.outcome)
        click.echo(to_json(connection) if as_json else lines(connection))
    for warning in warnings:
        counted.damaged += 1
        click.echo(warning, err=True)
    if summary or not as_json:
        click.echo(counted.as_json() if as_json else counted.as_text())
    return _NOT_READ if warnings else _READ_WHOLE
