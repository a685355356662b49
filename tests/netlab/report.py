"""`python -m tests.netlab.report [SCENARIO…]` (root): how right the verdicts are, as Markdown on stdout.

Every scenario is brought up in a lab of its own, looked at by each kind of evidence, and taken down.
"""

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from exporter import __version__
from tests.netlab.evidence import ALL, ONE, SIDES, TAP, TWO, Found, gather
from tests.netlab.lab import net_lab
from tests.netlab.rating import Calibration, Rated, Rating, rate
from tests.netlab.scenarios import SCENARIOS, Scenario

COLUMNS = (ONE, TWO, TAP, SIDES, ALL)
_SIGNS = {Rating.RIGHT: "✓", Rating.OPEN: "✓ who: open", Rating.SILENT: "nothing told", Rating.WRONG: "✗"}

_LEGEND = """\
✓: cause and who acts are right for every target concerned, and all others healthy; the figure is the least confidence.
"who: open": the cause is right, and one point of view can't place it. "nothing told": no verdict but `unknown`, as of
packets alone where clients' packets don't show the fault. Seconds: `diagnose` with two vantages, all targets,
experiments included. Hidden: not looked at while the rules were written."""


def main() -> int:
    """0, or 1 where a verdict was wrong."""
    names = sys.argv[1:] or list(SCENARIOS)
    if unknown := [name for name in names if name not in SCENARIOS]:
        print(f"no such scenario: {', '.join(unknown)}", file=sys.stderr)
        return 2
    calibration = Calibration()
    rated: dict[str, dict[str, Rated]] = {}
    seconds: dict[str, float] = {}
    for name in names:
        scenario = SCENARIOS[name]
        print(f"{name}…", file=sys.stderr, flush=True)
        with net_lab() as lab:
            lab.apply(scenario)
            found = gather(lab)
        rated[name] = {column: rate(scenario, column, found[column].verdicts) for column in COLUMNS}
        seconds[name] = found[TWO].seconds or 0.0
        for column in COLUMNS:
            calibration.add(scenario, column, found[column].verdicts)
        _tell(name, rated[name], found)
    print(_markdown(rated, seconds, calibration))
    return int(any(each.rating is Rating.WRONG for row in rated.values() for each in row.values()))


def _tell(name: str, row: Mapping[str, Rated], found: Mapping[str, Found]) -> None:
    """What was wrong, as it is found: a run is long."""
    for column, each in row.items():
        if each.rating is Rating.WRONG:
            print(f"  {name}, {column}: {each.said}", file=sys.stderr, flush=True)
            for verdict in found[column].verdicts:
                print(
                    f"    {verdict.target} {verdict.vantage}: {verdict.cause}, {verdict.responsible}", file=sys.stderr
                )


def _markdown(rated: Mapping[str, Mapping[str, Rated]], seconds: Mapping[str, float], calibration: Calibration) -> str:
    head = ["scenario", "cause", "who acts", *COLUMNS, "seconds"]
    rows = [
        [_shown(name, SCENARIOS[name]), SCENARIOS[name].cause, SCENARIOS[name].responsible]
        + [_cell(rated[name][column]) for column in COLUMNS]
        + [f"{seconds[name]:.0f}"]
        for name in rated
    ]
    parts = [
        f"outlook-auth-exporter {__version__}, {datetime.now(UTC):%d %B %Y}.",
        _table(head, rows),
        _LEGEND,
        _table(["", *COLUMNS], _shares(rated)),
        _blame(rated),
        "Calibration, all kinds of evidence together:",
        _table(["confidence", "verdicts", "right"], calibration.lines()),
    ]
    return "\n\n".join(parts)


def _shown(name: str, scenario: Scenario) -> str:
    return f"{name} (hidden)" if scenario.hidden else name


def _cell(rated: Rated) -> str:
    if rated.rating is Rating.WRONG:
        return f"✗ {rated.said} {rated.confidence or 0:.2f}"
    figure = "" if rated.confidence is None else f" {rated.confidence:.2f}"
    return f"{_SIGNS[rated.rating]}{figure}"


def _shares(rated: Mapping[str, Mapping[str, Rated]]) -> list[list[str]]:
    halves: tuple[tuple[str, Iterable[str]], ...] = (
        ("right, scenarios that the rules were written on", [name for name in rated if not SCENARIOS[name].hidden]),
        ("right, hidden scenarios", [name for name in rated if SCENARIOS[name].hidden]),
    )
    return [[about, *(_share(rated, list(names), column) for column in COLUMNS)] for about, names in halves]


def _share(rated: Mapping[str, Mapping[str, Rated]], names: list[str], column: str) -> str:
    told = [name for name in names if rated[name][column].rating is not Rating.SILENT]
    right = [name for name in told if rated[name][column].rating is not Rating.WRONG]
    silent = len(names) - len(told)
    return f"{len(right)} of {len(told)}" + (f", {silent} untold" if silent else "")


def _blame(rated: Mapping[str, Mapping[str, Rated]]) -> str:
    falsely = sum(len(each.blamed) for row in rated.values() for each in row.values())
    return f"Verdicts that name the gateway or Microsoft where it was not they: {falsely}."


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
