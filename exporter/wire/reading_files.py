"""Captures read whole into observations, for what judges them: one file after another, or two sides together."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from exporter.inspector_config import files_config_of
from exporter.observations import Connection
from exporter.settings import Settings
from exporter.settings_errors import ConfigurationError
from exporter.wire.capture_file import CaptureDamagedError, CaptureFile, NotACaptureError
from exporter.wire.outcome import SECOND
from exporter.wire.sides import clocks_apart, compared, matched
from exporter.wire.sighting import Sighting
from exporter.wire.tracker import Tracker

#: Connections that are kept of one side, at most: what comes later isn't judged.
MAX_SIGHTINGS = 200_000
#: Captures that miss one another by less are of the same time: the first packet may come late, seconds.
SLACK = 5.0


class Side(NamedTuple):
    """What a capture holds: its connections, times of its first and last packet (nanoseconds, None without any), and
    what is wrong with the file; all before the damage was read."""

    sightings: list[Sighting]
    span: tuple[int, int] | None
    warning: str | None


def read_side(path: Path, settings: Settings, *, interface: str | None = None) -> Side:
    """Every TLS or mail connection of a capture. Raises ConfigurationError: it can't be opened, or is no capture."""
    found: list[Sighting] = []

    def keep(sighting: Sighting) -> None:
        if len(found) < MAX_SIGHTINGS:
            found.append(sighting)

    tracker = Tracker(files_config_of(settings), lambda _connection: None, sighted=keep)
    warning, first = None, None
    try:
        with path.open("rb") as stream:
            for time, link_type, buffer, start, end, original, own, *rest in CaptureFile(stream).packets():
                first = time if first is None else min(first, time)
                tracker.packet(time, link_type, buffer, start, end, original, interface or own, *rest)
    except NotACaptureError as error:
        raise ConfigurationError([f"{path}: not a capture: {error}"]) from error
    except CaptureDamagedError as error:
        warning = f"{path}: {error}; what came before it was read"
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}"]) from error
    tracker.finish()
    return Side(found, None if first is None else (first, max(tracker.now, first)), warning)


def connections_in(paths: Sequence[Path], settings: Settings) -> tuple[list[Connection], list[str]]:
    """The connections of several captures, and what is wrong with the files. Raises ConfigurationError."""
    connections: list[Connection] = []
    warnings: list[str] = []
    for path in paths:
        side = read_side(path, settings)
        connections += [each.connection for each in side.sightings]
        warnings += [side.warning] if side.warning is not None else []
    return connections, warnings


class BothSides(NamedTuple):
    """Two captures of one gateway. `connections`: as `two_sides` gives them; `counterparts`: of the inside's, by their
    `way_of`; `same`: those whose ClientHello went through unchanged; `covered`: both captures are of the same time."""

    connections: list[Connection]
    counterparts: dict[tuple[object, ...], Connection]
    same: frozenset[tuple[object, ...]]
    covered: bool
    warnings: list[str]


def way_of(connection: Connection) -> tuple[object, ...]:
    """What tells a connection from all others of its side."""
    return connection.client, connection.client_port, connection.server, connection.server_port, connection.start


def both_sides(inside: Path, outside: Path, settings: Settings) -> BothSides:
    """`interface` is `inside` or `outside`. Raises ConfigurationError."""
    own = read_side(inside, settings, interface="inside")
    other = read_side(outside, settings, interface="outside")
    span = _span(own, other)
    covered = _overlap(own, span)
    pairs = [(one, two) for one, two in matched(own.sightings, other.sightings)[0] if two is not None]
    same = [one for one, two in pairs if one.random is None or two.random in (None, one.random)]
    return BothSides(
        list(compared(own.sightings, other.sightings, covered=covered, span=span)),
        {way_of(one.connection): two.connection for one, two in pairs},
        frozenset(way_of(one.connection) for one in same),
        covered,
        [side.warning for side in (own, other) if side.warning is not None],
    )


def two_sides(inside: Path, outside: Path, settings: Settings) -> tuple[list[Connection], list[str]]:
    """The inside's connections with what the gateway did to them, then the outside's others.

    `interface` is `inside` or `outside`. Raises ConfigurationError.
    """
    both = both_sides(inside, outside, settings)
    return both.connections, both.warnings


def _span(own: Side, other: Side) -> tuple[float, float] | None:
    """Of the outside's packets, by the inside's clock, seconds."""
    if other.span is None:
        return None
    ahead = clocks_apart(own.sightings, other.sightings)
    return other.span[0] / SECOND - ahead, other.span[1] / SECOND - ahead


def _overlap(own: Side, span: tuple[float, float] | None) -> bool:
    """Whether both have packets of the same time."""
    if own.span is None or span is None:
        return False
    return max(own.span[0] / SECOND, span[0]) <= min(own.span[1] / SECOND, span[1]) + SLACK
