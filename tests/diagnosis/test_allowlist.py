"""Rules for what failed: checked by the programs that would load them."""

import subprocess
from dataclasses import replace

import pytest

from exporter.diagnosis.allowlist import FORMS, allowlist, wanted
from exporter.diagnosis.endpoints import endpoints, rows_in_words
from exporter.diagnosis.judge import judge
from exporter.diagnosis.seen import Seen
from exporter.observations import AddressResult, HostResult
from exporter.vocabulary import Cause, ConnectionOutcome, Outcome, Phase
from tests.conftest import require_program
from tests.diagnosis.made import broken, others, seen, walk
from tests.diagnosis.test_passive import seen as connection

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


def test_from_packets_alone_by_the_catalogues_names_and_published_addresses():
    """What a packet bears becomes no rule: anybody could have written it."""
    evil = "login.live.com\nhttp_access allow all"
    reset = replace(connection("sign_in_work", ConnectionOutcome.HELLO_RESET), server="198.51.100.66")
    odd = replace(reset, target="sign_in_personal", sni=evil)
    round_ = Seen(connections=(reset, reset, odd, odd))
    found = [each.verdict for each in judge(round_)]
    places = wanted(found, (), round_.connections)
    assert {(place.host, place.port) for place in places} == {
        ("login.microsoftonline.com", 443), ("login.live.com", 443),
    }  # fmt: skip
    for form in FORMS:
        text = allowlist(form, found, (), round_.connections)
        assert "allow all" not in text
        assert "198.51.100.66" not in text


def test_every_host_of_a_target_that_failed_and_no_other():
    probe = broken("sign_in_assets", Phase.CONNECT, Outcome.TIMEOUT)
    hosts = [
        HostResult(host="aadcdn.msftauth.net", outcome=Outcome.TIMEOUT),
        HostResult(host="logincdn.msftauth.net", outcome=Outcome.TIMEOUT),
    ]
    for outcome, count in ((Outcome.TIMEOUT, 2), (Outcome.OK, 1)):
        both = replace(probe, hosts=(hosts[0], replace(hosts[1], outcome=outcome)))
        found = [each.verdict for each in judge(seen(both, *others("clients", "sign_in_assets")))]
        assert len(wanted(found, [both])) == count


def test_a_name_that_does_not_resolve_is_said_to_come_first():
    assert rules("text").count("Its name has to resolve first") == 1


def test_where_ipv6_alone_is_broken_its_rules_are():
    dead = [AddressResult(address="2603:1026::1", outcome=Outcome.TIMEOUT)]
    fine = [AddressResult(address="52.97.1.1", outcome=Outcome.OK, seconds=0.02)]
    probe = walk("imap", addresses=(*dead, *fine))
    round_ = seen(probe, *others("clients", "imap"))
    found = [each.verdict for each in judge(round_)]
    assert [each.cause for each in found if each.cause is not Cause.HEALTHY] == [Cause.IPV6_BROKEN]
    text = allowlist("nftables", found, round_.probes)
    assert [line for line in active(text) if " ip daddr" in line] == []
    assert [line for line in active(text) if " ip6 daddr" in line] != []


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
