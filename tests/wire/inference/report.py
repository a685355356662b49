"""The confusion table of the corpus: `python -m tests.wire.inference.report [--wrong]`."""

import sys
from collections.abc import Callable, Iterable

from tests.clients import corpus, held_out
from tests.clients.session import Session
from tests.clients.truth import Attempt
from tests.wire.inference.judging import Mark, Tally, is_decidable, is_exact, mark, tally, told, truth

#: Groups whose confusion is printed.
TABLES = ("Microsoft's words", "other servers", "CBC, Microsoft's words", "CBC, other servers", "held out")


def is_held_out(session: Session) -> bool:
    return session.client in held_out.CLIENTS or session.server in held_out.SERVERS


def groups(sessions: Iterable[Session]) -> dict[str, list[Session]]:
    """The rows of the first table."""
    everything = [each for each in sessions if is_decidable(each)]
    tests: dict[str, Callable[[Session], bool]] = {
        "Microsoft's words": lambda each: each.trace.microsoft and is_exact(each) and not is_held_out(each),
        "other servers": lambda each: not each.trace.microsoft and is_exact(each) and not is_held_out(each),
        "CBC, Microsoft's words": lambda each: each.trace.microsoft and not is_exact(each) and not is_held_out(each),
        "CBC, other servers": lambda each: not each.trace.microsoft and not is_exact(each) and not is_held_out(each),
        "held out": is_held_out,
    }
    found = {name: [each for each in everything if test(each)] for name, test in tests.items()}
    for name in sorted({each.server for each in everything}):
        found[f"server {name}"] = [each for each in everything if each.server == name]
    for name in sorted({each.client for each in everything}):
        found[f"client {name}"] = [each for each in everything if each.client == name]
    for name in sorted({each.tls for each in everything}):
        found[f"tls {name}"] = [each for each in everything if each.tls == name]
    return found


def main() -> None:
    sessions = list(corpus.read_all())
    print(f"{'':28}{'sessions':>9}{'right %':>9}{'unknown %':>11}{'wrong %':>9}")
    for name, members in groups(sessions).items():
        found = tally(members)
        shares = [100 * found.share(each) for each in (Mark.RIGHT, Mark.UNKNOWN, Mark.WRONG)]
        print(f"{name:28}{found.total:>9}{shares[0]:>9.2f}{shares[1]:>11.2f}{shares[2]:>9.2f}")
    for name in TABLES:
        print(f"\n{name}: true, and what was said")
        _cells(tally(groups(sessions)[name]))
    undecidable = tally(each for each in sessions if not is_decidable(each))
    print(f"\nnot to be decided: {dict(undecidable.marks)}")
    if "--wrong" in sys.argv:
        _list(sessions, Mark.WRONG)
    if "--unknown" in sys.argv:
        _list(sessions, Mark.UNKNOWN)


def _cells(found: Tally) -> None:
    for true in sorted({true for true, _ in found.cells}):
        said = {said: count for (each, said), count in found.cells.items() if each == true}
        total = sum(said.values())
        right = sum(count for each, count in said.items() if mark(each, true) is Mark.RIGHT)
        others = ", ".join(
            f"{_name(each)} {count}" for each, count in said.items() if mark(each, true) is not Mark.RIGHT
        )
        print(f"  {_name(true):22}{right:>6} of {total:<6}{100 * right / total:6.1f} %   {others}")


def _name(attempt: Attempt) -> str:
    return f"{attempt.mechanism} {attempt.outcome}"


def _list(sessions: list[Session], which: Mark) -> None:
    """What is held out is counted, never shown: nobody shall tune to it."""
    for each in sessions:
        if is_held_out(each) or not is_decidable(each) or mark(told(each), truth(each)) is not which:
            continue
        records = " ".join(
            f"{'>' if record.from_client else '<'}{record.length}"
            + ("" if record.content_type == 23 else f"!{record.content_type}")
            for record in each.trace.records[:40]
        )
        print(
            f"\n{which}: {each.client} at {each.server}, {each.flavour}, {each.trace.protocol}, {each.trace.tls_version} {each.trace.cipher}"
        )
        print(
            f"  true {[_name(one) for one in each.truth]}, said {_name(told(each))}, end {each.trace.end}\n  {records}"
        )


if __name__ == "__main__":
    main()
