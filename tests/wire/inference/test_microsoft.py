"""Microsoft's words as sizes, against the table that was computed by hand (facts 10)."""

import pytest

from exporter.wire.inference.grammar import Answer, Verdict
from exporter.wire.inference.microsoft import IMAP, POP, smtp_words


def exact(answers: tuple[Answer, ...]) -> set[tuple[int, Verdict]]:
    """Sizes with their verdicts, alone ones only (a farewell behind costs)."""
    return {(size, answer.verdict) for answer in answers for size in range(answer.low, answer.high + 1)}


@pytest.mark.parametrize(
    ("question", "size", "verdict"),
    [
        ("capability", 142, Verdict.DONE), ("capability", 147, Verdict.DONE), ("capability", 145, Verdict.DONE),
        ("capability", 150, Verdict.DONE), ("capability in session", 215, Verdict.DONE), ("capability in session", 204, Verdict.DONE),
        ("login", 39, Verdict.REFUSED), ("login", 19, Verdict.REFUSED), ("login", 22, Verdict.ACCEPTED),
        ("password", 39, Verdict.REFUSED), ("token", 26, Verdict.REFUSED), ("token", 29, Verdict.ACCEPTED),
        ("token", 33, Verdict.REFUSED), ("token", 71, Verdict.THROTTLED), ("token", 72, Verdict.THROTTLED),
        ("token", 72 + 28, Verdict.THROTTLED), ("token", 28, Verdict.UNAVAILABLE), ("id", 91, Verdict.DONE), ("logout", 82, Verdict.DONE),
    ],
)  # fmt: skip
def test_imap_without_the_tag(question: str, size: int, verdict: Verdict):
    assert (size, verdict) in exact(IMAP[question])


def test_no_size_of_imap_means_accepted_and_refused():
    for question in ("login", "password", "token"):
        sizes = exact(IMAP[question])
        accepted = {size for size, verdict in sizes if verdict is Verdict.ACCEPTED}
        assert not accepted & {size for size, verdict in sizes if verdict is Verdict.REFUSED}


@pytest.mark.parametrize(
    ("question", "size", "verdict"),
    [
        ("user", 5, Verdict.CONTINUE), ("begin", 4, Verdict.CONTINUE), ("login", 39, Verdict.REFUSED), ("login", 40, Verdict.REFUSED),
        ("login", 56, Verdict.REFUSED), ("login", 34, Verdict.ACCEPTED), ("token", 65, Verdict.REFUSED), ("token", 38, Verdict.ACCEPTED),
        ("token at once", 47, Verdict.REFUSED), ("login", 40, Verdict.UNAVAILABLE), ("capability", 45, Verdict.DONE), ("capability", 39, Verdict.DONE),
    ],
)  # fmt: skip
def test_pop(question: str, size: int, verdict: Verdict):
    assert (size, verdict) in exact(POP[question])


BANNER_2024 = 4 + 35 + 39 + 31 + 19 + 2
H = 38


@pytest.mark.parametrize("banner", [BANNER_2024, BANNER_2024 - 1, BANNER_2024 - 19, None])
@pytest.mark.parametrize(
    ("size", "verdict"),
    [
        (37, Verdict.ACCEPTED), (84 + H, Verdict.REFUSED), (42 + H, Verdict.REFUSED), (121 + H, Verdict.REFUSED),
        (187 + H, Verdict.REFUSED), (202 + H, Verdict.REFUSED), (203 + H, Verdict.REFUSED), (73, Verdict.REFUSED),
        (75 + H, Verdict.THROTTLED),
    ],
)  # fmt: skip
def test_smtp_with_the_name_that_the_banner_has(banner: int | None, size: int, verdict: Verdict):
    assert (size, verdict) in exact(smtp_words(banner)["token"])


def test_the_banner_tells_being_throttled_from_being_refused():
    throttled = {size for size, verdict in exact(smtp_words(BANNER_2024)["token"]) if verdict is Verdict.THROTTLED}
    refused = {size for size, verdict in exact(smtp_words(BANNER_2024)["token"]) if verdict is Verdict.REFUSED}
    assert 75 + H in throttled - refused
    assert 84 + H in refused - throttled
