"""Connections as rows of text, each as it ends; for terminals."""

import click

from exporter.clean import clean
from exporter.observations import Connection
from exporter.vocabulary import AuthOutcome, ConnectionOutcome

_COLUMNS = (("time", 12), ("client", 21), ("server", 44), ("target", 18), ("outcome", 18), ("seconds", 8))
_GOOD, _BAD = "green", "red"


def header() -> str:
    """Names of the columns."""
    return "  ".join(name.ljust(width) for name, width in _COLUMNS) + "  what was seen"


def row(connection: Connection) -> str:
    """One connection: who, where to, how far, how long the handshakes took, and what tells why."""
    cells = (
        connection.start.strftime("%H:%M:%S.%f")[:12],
        f"{connection.client or ''}:{connection.client_port or ''}",
        f"{clean(connection.sni or connection.server, keep=(connection.server,))}:{connection.server_port}",
        connection.target or "",
        connection.outcome,
        _seconds(connection),
    )
    padded = [cell.ljust(width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True)]
    padded[4] = click.style(padded[4], fg=_colour(connection))
    return ("  ".join(padded) + "  " + _seen(connection)).rstrip()


def lines(connection: Connection) -> str:
    """The connection, and under it what the gateway did to it."""
    done = [f"    {each.kind} {each.direction or ''}: {each.detail or ''}" for each in connection.tampering]
    return "\n".join([row(connection), *done])


def _seconds(connection: Connection) -> str:
    known = [s for s in (connection.tcp_handshake_seconds, connection.tls_handshake_seconds) if s is not None]
    return f"{sum(known):.3f}" if known else ""


def _colour(connection: Connection) -> str | None:
    if connection.outcome is ConnectionOutcome.INCOMPLETE:
        return None
    refused = connection.auth is not None and connection.auth.outcome is AuthOutcome.REFUSED
    return _GOOD if connection.outcome is ConnectionOutcome.ESTABLISHED and not refused else _BAD


def _seen(connection: Connection) -> str:
    parts = [connection.tls_version or ""]
    if connection.auth is not None:
        parts.append(f"{connection.auth.mechanism} {connection.auth.outcome}")
    if connection.alert is not None:
        parts.append(f"alert {connection.alert.name or '(encrypted)'} from {connection.alert.sender}")
    if connection.closed_by is not None and connection.outcome is not ConnectionOutcome.ESTABLISHED:
        parts.append(f"ended by {connection.closed_by}")
    if connection.retry_of:
        parts.append(f"retry {connection.retry_of}")
    return ", ".join(part for part in parts if part)
