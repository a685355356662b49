"""Every cause has its texts, the runbooks are current, and nobody is told to use a password."""

import re
from pathlib import Path

import pytest

from exporter.diagnosis import runbooks
from exporter.diagnosis.causes import about, remedy_of, runbook_of, sentence_of, where_of
from exporter.diagnosis.words import ACTS, shown, summary
from exporter.vocabulary import Cause, Outcome, Phase, Responsible
from tests.diagnosis.made import broken, others, seen, verdict, walk

ROOT = Path(__file__).parent.parent.parent
CLIENTS = ("iOS", "Apple Mail", "Thunderbird", "Outlook", "cripts", "rinters")


def test_every_cause_is_described():
    assert set(about()) == set(Cause)


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("responsible", list(Responsible))
def test_remedies_are_one_or_two_sentences_without_blanks(cause, responsible):
    for where in (None, where_of(walk())):
        text = remedy_of(cause, responsible, where)
        assert text.endswith((".", ")"))
        assert "{" not in text
        assert 5 < len(text) < 420


def test_runbooks_are_current():
    folder = ROOT / "docs" / "runbooks"
    wanted = runbooks.pages()
    assert {path.name for path in folder.glob("*.md")} == set(wanted)
    for name, text in wanted.items():
        assert (folder / name).read_text() == text, f"{name}: run `make runbooks`"
    for cause in Cause:
        assert (ROOT / runbook_of(cause)).exists()


def test_writing_removes_pages_of_causes_that_are_no_more(tmp_path):
    (tmp_path / "old_cause.md").write_text("x")
    runbooks.write(tmp_path)
    assert not (tmp_path / "old_cause.md").exists()
    assert (tmp_path / "sni_reset.md").exists()


def test_what_people_see_is_said_in_their_programs_words():
    for cause in (Cause.TCP_DROPPED, Cause.SNI_RESET, Cause.TLS_INTERCEPTED, Cause.PASSWORD_REFUSED):
        text = " ".join(about()[cause].users)
        assert [name for name in CLIENTS if name not in text] == []


def test_hands_and_gateways():
    confirm = " ".join(line for known in about().values() for line in known.confirm)
    change = " ".join(piece for known in about().values() for piece in known.change)
    assert [tool for tool in ("openssl", "curl", "dig", "tcpdump") if tool not in confirm] == []
    assert [name for name in ("nftables", "squid", "FortiGate", "Palo Alto", "Zscaler") if name not in change] == []


def test_no_text_recommends_a_password():
    for text in runbooks.pages().values():
        assert not re.search(r"app[- ]passwords?", text, re.IGNORECASE)


def test_a_sentence_and_who_acts():
    round_ = seen(broken("imap", Phase.CONNECT, Outcome.REFUSED), *others("clients", "imap"))
    only = verdict(round_)
    assert sentence_of(only, where_of(round_.probes[0])) == "Connections to imap-mail.outlook.com port 993 are refused."
    said = summary([only], round_.probes)
    assert said.startswith("Connections to imap-mail.outlook.com port 993 are refused.")
    assert ACTS[only.responsible][1:] in said


def test_the_summary_names_the_trouble_that_hits_most():
    closed = [broken(name, Phase.CONNECT, Outcome.TIMEOUT) for name in ("imap", "smtp", "pop", "imap_office365")]
    reset = broken("graph", Phase.CONNECT, Outcome.REFUSED)
    round_ = seen(*closed, reset)
    found = [verdict(round_, probe.target) for probe in round_.probes]
    said = summary(found, round_.probes)
    assert said.startswith("SYNs get no answer: imap, smtp, pop and 1 more.")
    assert "1 other trouble" in said
    assert summary([verdict(seen(walk()))], [walk()]) == ""


def test_a_verdict_for_a_terminal():
    round_ = seen(broken("imap", Phase.CONNECT, Outcome.TIMEOUT))
    text = shown(verdict(round_), round_.probes[0])
    assert "imap from clients: tcp_dropped" in text
    assert "→" in text
    assert "docs/runbooks/tcp_dropped.md" in text
    assert shown(verdict(seen(walk())), None).count("\n") == 0
