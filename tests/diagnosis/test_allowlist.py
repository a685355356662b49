"""Rules for what failed: checked by the programs that would load them."""

import subprocess

import pytest

from exporter.diagnosis.allowlist import FORMS, allowlist, wanted
from exporter.diagnosis.endpoints import endpoints, rows_in_words
from exporter.diagnosis.judge import judge
from exporter.vocabulary import Outcome, Phase
from tests.conftest import require_program
from tests.diagnosis.made import broken, others, seen, walk

CLOSED = [
    broken("imap", Phase.CONNECT, Outcome.TIMEOUT),
    broken("smtp_office365", Phase.CONNECT, Outcome.REFUSED),
    broken("sign_in_personal", Phase.CONNECT, Outcome.TIMEOUT),
    broken("sign_in_work", Phase.DNS, Outcome.NAME_NOT_FOUND),
]
ROUND = seen(*CLOSED, *others("clients", *(probe.target for probe in CLOSED)))
VERDICTS = [each.verdict for each in judge(ROUND)]


def rules(form: str) -> str:
    return allowlist(form, VERDICTS, ROUND.probes)


def active(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_exactly_what_failed_is_opened():
    places = wanted(VERDICTS, ROUND.probes)
    assert {(place.host, place.port) for place in places} == {(probe.host, probe.port) for probe in CLOSED}
    for form in FORMS:
        assert "outlook.live.com" not in "\n".join(active(rules(form)))


def test_published_ranges_where_there_are_some_and_todays_addresses_where_not():
    text = rules("nftables")
    assert "52.96.0.0/14" in text
    assert "2603:1016::/36" in text
    (personal,) = [place for place in wanted(VERDICTS, ROUND.probes) if place.host == "login.live.com"]
    assert personal.networks == ()
    assert personal.seen[0] in text


def test_optional_rows_stand_behind_as_comments():
    for form in FORMS:
        text = rules(form)
        for number in (2, 95, 97):
            assert f"# id {number}" in text
        assert endpoints().edition in text


def test_nothing_failed_nothing_is_opened():
    for form in FORMS:
        assert [line for line in active(allowlist(form, [], [])) if not line.startswith("add ")] == []


def test_microsofts_own_faults_are_no_rules_matter():
    down = broken("outlook_web", Phase.HTTP, Outcome.UNAVAILABLE)
    found = [each.verdict for each in judge(seen(down, walk("outlook_web", "wan")))]
    assert wanted(found, [down]) == []


@pytest.mark.root
def test_nft_takes_the_rules(tmp_path):
    nft = require_program("nft", "nftables")
    path = tmp_path / "rules.nft"
    text = rules("nftables")
    optional = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# insert rule")]
    assert len(optional) >= 2
    path.write_text(text + "\n".join(optional) + "\n")
    done = subprocess.run(
        ["unshare", "--net", nft, "-c", "-f", path], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_squid_takes_the_rules(tmp_path):
    squid = require_program("squid")
    text = rules("squid")
    optional = [
        line.removeprefix("# ") for line in text.splitlines()
        if line.startswith(("# acl outlook_row", "# http_access allow CONNECT outlook_row"))
    ]  # fmt: skip
    assert len(optional) >= 9
    path = tmp_path / "squid.conf"
    path.write_text("http_port 3128\n" + text + "\n".join(optional) + "\nhttp_access deny all\n")
    done = subprocess.run([squid, "-k", "parse", "-f", path], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert "FATAL" not in done.stderr
    assert "ERROR" not in done.stderr


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("outlook.office365.com", 443, "row id 1 of"),
        ("outlook.office365.com", 993, "row id 2 of Microsoft's list, optional"),
        ("imap-mail.outlook.com", 993, "in no row"),
        ("autodiscover-s.outlook.com", 443, "row id 8"),
        ("login.microsoftonline.com", 443, "row id 56"),
        ("aadcdn.msftauth.net", 443, "row id 59"),
        ("login.live.com", 443, "row id 97"),
        ("relay.example", 587, "no host of Microsoft's list"),
    ],
)
def test_rows(host, port, words):
    assert words in rows_in_words(host, port)
