"""The goals, on what was recorded of real clients and real servers (tests/clients)."""

from collections import Counter

import pytest

from tests.clients import corpus, held_out
from tests.wire.inference.judging import Mark, Tally, is_decidable, mark, tally, truth
from tests.wire.inference.report import groups, is_held_out

SESSIONS = list(corpus.read_all())
GROUPS = groups(SESSIONS)


def _print(name: str, found: Tally) -> str:
    return f"{name}: {dict(found.marks)} of {found.total}"


def test_the_corpus_is_what_the_issue_wants():
    clients = {each.client for each in SESSIONS}
    programs = {
        "curl",
        "imaplib",
        "poplib",
        "smtplib",
        "mbsync",
        "fetchmail",
        "msmtp",
        "mpop",
        "neomutt",
        "mutt",
        "swaks",
    }
    assert programs | {"offlineimap", "getmail", "imapflow", "nodemailer"} <= clients
    assert {each.server for each in SESSIONS} >= {
        "dovecot",
        "courier",
        "cyrus",
        "postfix",
        "exim",
        "microsoft-2023",
        "microsoft-2024",
        "microsoft-2026",
    }
    ciphers = Counter(
        ("CBC" in each.trace.cipher and "CBC") or each.trace.cipher.rpartition("_WITH_")[2] for each in SESSIONS
    )
    assert ciphers["CBC"] > 50
    assert {each.trace.tls_version for each in SESSIONS} == {"TLSv1.2", "TLSv1.3"}
    assert clients >= held_out.CLIENTS


@pytest.mark.parametrize(
    ("group", "right", "wrong"), [("Microsoft's words", 0.99, 0.001), ("other servers", 0.97, 0.002)]
)
def test_the_goals_are_met(group: str, right: float, wrong: float):
    found = tally(GROUPS[group])
    assert found.share(Mark.RIGHT) >= right, _print(group, found)
    assert found.share(Mark.WRONG) <= wrong, _print(group, found)


@pytest.mark.parametrize("group", ["Microsoft's words", "other servers"])
def test_no_cell_is_under_ninety_percent(group: str):
    totals: Counter[object] = Counter()
    right: Counter[object] = Counter()
    for session in GROUPS[group]:
        totals[truth(session)] += 1
    for (true, said), count in tally(GROUPS[group]).cells.items():
        right[true] += count if mark(said, true) is Mark.RIGHT else 0
    assert {cell: right[cell] / total for cell, total in totals.items() if right[cell] / total < 0.9} == {}


def test_what_was_held_out_is_hardly_worse():
    found = tally([each for each in SESSIONS if is_decidable(each) and is_held_out(each)])
    assert found.share(Mark.WRONG) <= 0.05, _print("held out", found)


@pytest.mark.parametrize(("group", "right"), [("CBC, Microsoft's words", 0.9), ("CBC, other servers", 0.88)])
def test_in_steps_of_sixteen_less_is_told_and_nothing_wrong(group: str, right: float):
    found = tally(GROUPS[group])
    assert found.share(Mark.RIGHT) >= right, _print(group, found)
    assert not found.marks[Mark.WRONG], _print(group, found)


def test_what_cant_be_decided_is_nearly_always_left_open():
    found = tally([each for each in SESSIONS if not is_decidable(each)])
    assert found.share(Mark.WRONG) <= 0.01, _print("not to be decided", found)


def test_a_session_survives_being_written_down():
    for session in SESSIONS[::50]:
        assert corpus.load(corpus.dump(session)) == session
