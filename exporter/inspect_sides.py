"""`inspect --inside X --outside Y`: two captures of one gateway, and what it did to each connection."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from exporter.capabilities import drop_capabilities, forbid_core_dumps
from exporter.inspect_summary import Summary
from exporter.inspect_table import header, row
from exporter.observations import Connection
from exporter.observations import as_json as to_json
from exporter.settings_file import load
from exporter.wire.reading_files import two_sides

_READ_WHOLE, _NOT_READ = 0, 2


def run_sides(
    inside: Path, outside: Path, *, config: Path | None, env: Mapping[str, str], as_json: bool, summary: bool
) -> int:
    """Exit status: 0 both were read whole, 2 one wasn't. Raises ConfigurationError."""
    settings = load(config, env)
    if os.geteuid() == 0:
        drop_capabilities()
    forbid_core_dumps()
    connections, warnings = two_sides(inside, outside, settings)
    counted = Summary()
    if connections and not as_json:
        click.echo(header())
    for connection in connections:
        counted.add(connection)
        click.echo(to_json(connection) if as_json else _lines(connection))
    for warning in warnings:
        counted.damaged += 1
        click.echo(warning, err=True)
    if summary or not as_json:
        click.echo(counted.as_json() if as_json else counted.as_text())
    return _NOT_READ if warnings else _READ_WHOLE


def _lines(connection: Connection) -> str:
    """The connection, and under it what was done to it."""
    done = [f"    {each.kind} {each.direction or ''}: {each.detail or ''}" for each in connection.tampering]
    return "\n".join([row(connection), *done])
