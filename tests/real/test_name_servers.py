"""dnsmasq and unbound as the vantage's own resolver: every fault of the name service apart."""

import socket

import pytest

from exporter.vocabulary import Outcome, Phase
from tests.real import dns as names
from tests.real.certificates import Authority
from tests.real.nginx import Nginx
from tests.real.probing import Line, Run, probe
from tests.real.process import free_ports

BOTH = ("dnsmasq", "unbound")


def _short(name: str) -> str:
    return name.partition(".")[0]


@pytest.fixture(scope="module")
def round_(authority: Authority, nginx: Nginx, dnsmasq: int, unbound: int) -> Run:
    [dead] = free_ports(1)
    asked = [
        *(names.GOOD, names.ALIAS, names.MANY, names.PARTIAL, names.DUAL, names.NO_SUCH_NAME, names.EMPTY),
        *(names.SERVER_FAILURE, names.REFUSED, names.SILENCE, names.SINKHOLE, names.REDIRECTED),
    ]
    targets = [
        {"name": _short(name), "protocol": "https", "host": name, "port": nginx.ports["healthy"]} for name in asked
    ]
    vantages: list[dict[str, object]] = [
        {"name": "dnsmasq", "resolver": f"127.0.0.1:{dnsmasq}"},
        {"name": "unbound", "resolver": f"127.0.0.1:{unbound}"},
        {"name": "dead", "resolver": f"127.0.0.1:{dead}"},
        {"name": "four", "resolver": f"127.0.0.1:{unbound}", "ip_version": 4},
    ]
    return probe(targets, root_file=authority.root_file, vantages=vantages, timeout="3s")


def _line(run: Run, name: str, vantage: str) -> Line:
    return run.lines[_short(name), vantage]


def _dns(run: Run, name: str, vantage: str) -> str:
    outcome: str = _line(run, name, vantage).phase(Phase.DNS)["outcome"]
    return outcome


def _by_address(line: Line) -> dict[str, str]:
    return {each["address"]: each["outcome"] for each in line["addresses"]}


@pytest.mark.parametrize("vantage", BOTH)
@pytest.mark.parametrize("name", [names.GOOD, names.ALIAS])
def test_a_name_and_an_alias_resolve(round_: Run, name: str, vantage: str):
    line = _line(round_, name, vantage)
    assert (line["outcome"], line["address"]) == (Outcome.OK, names.GOOD_ADDRESS)


@pytest.mark.parametrize("vantage", BOTH)
def test_no_such_name(round_: Run, vantage: str):
    line = _line(round_, names.NO_SUCH_NAME, vantage)
    assert (line["outcome"], line["failed_phase"]) == (Outcome.NAME_NOT_FOUND, Phase.DNS)
    assert line["address"] is None
    assert set(list(line.outcomes().values())[1:]) == {Outcome.SKIPPED}


@pytest.mark.parametrize("vantage", BOTH)
def test_a_name_without_addresses_is_told_from_one_that_does_not_exist(round_: Run, vantage: str):
    empty, missing = (_line(round_, name, vantage).phase(Phase.DNS) for name in (names.EMPTY, names.NO_SUCH_NAME))
    assert empty["outcome"] == Outcome.NAME_NOT_FOUND
    assert empty["detail"] != missing["detail"]
    assert "NXDOMAIN" in missing["detail"]
    assert "NXDOMAIN" not in empty["detail"]


def test_a_server_failure(round_: Run):
    assert _dns(round_, names.SERVER_FAILURE, "unbound") == Outcome.SERVER_FAILURE
    assert "SERVFAIL" in _line(round_, names.SERVER_FAILURE, "unbound").phase(Phase.DNS)["detail"]


@pytest.mark.parametrize("vantage", BOTH)
def test_a_resolver_that_refuses_is_told_by_its_own_word(round_: Run, vantage: str):
    phase = _line(round_, names.REFUSED, vantage).phase(Phase.DNS)
    assert phase["outcome"] in (Outcome.SERVER_FAILURE, Outcome.REFUSED)
    assert "REFUSED" in phase["detail"]


def test_silence_is_a_timeout_within_its_deadline(round_: Run):
    phase = _line(round_, names.SILENCE, "unbound").phase(Phase.DNS)
    assert phase["outcome"] == Outcome.TIMEOUT
    assert phase["seconds"] < 4
    assert "127.0.0.1" in phase["detail"]


def test_a_resolver_that_is_not_there(round_: Run):
    assert _dns(round_, names.GOOD, "dead") in (Outcome.TIMEOUT, Outcome.REFUSED, Outcome.UNREACHABLE)


@pytest.mark.parametrize("vantage", BOTH)
def test_a_sinkhole_is_suspicious(round_: Run, vantage: str):
    phase = _line(round_, names.SINKHOLE, vantage).phase(Phase.DNS)
    assert phase["outcome"] == Outcome.ADDRESS_SUSPICIOUS
    assert "0.0.0.0" in phase["detail"]


@pytest.mark.parametrize("vantage", BOTH)
def test_a_name_of_microsofts_with_a_local_address_is_suspicious_and_walked_all_the_same(round_: Run, vantage: str):
    line = _line(round_, names.REDIRECTED, vantage)
    assert (line["outcome"], line["failed_phase"]) == (Outcome.ADDRESS_SUSPICIOUS, Phase.DNS)
    assert line.phase(Phase.TLS)["outcome"] == Outcome.OK


@pytest.mark.parametrize("vantage", BOTH)
def test_a_truncated_answer_is_asked_again_over_tcp(round_: Run, vantage: str):
    line = _line(round_, names.MANY, vantage)
    assert line["outcome"] == Outcome.OK
    assert len(line["addresses"]) == 8  # of the sixty, as the contract bounds them
    assert set(_by_address(line)) <= set(names.MANY_ADDRESSES)
    assert set(_by_address(line).values()) == {Outcome.OK}


@pytest.mark.parametrize("vantage", BOTH)
def test_a_dead_address_beside_a_living_one_is_kept_apart(round_: Run, vantage: str):
    line = _line(round_, names.PARTIAL, vantage)
    assert _by_address(line) == {names.GOOD_ADDRESS: Outcome.OK, names.DEAD_ADDRESS: Outcome.REFUSED}
    assert line["address"] == names.GOOD_ADDRESS
    assert line.phase(Phase.TLS)["outcome"] == Outcome.OK


def _has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe_socket:
            probe_socket.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("vantage", BOTH)
def test_both_families_are_tried(round_: Run, vantage: str):
    line = _line(round_, names.DUAL, vantage)
    sixth = Outcome.REFUSED if _has_ipv6_loopback() else Outcome.SKIPPED
    assert _by_address(line) == {names.GOOD_ADDRESS: Outcome.OK, "::1": sixth}
    assert (line["address"], line["ip_version"]) == (names.GOOD_ADDRESS, 4)


def test_a_vantage_of_one_family_tries_no_other(round_: Run):
    assert _by_address(_line(round_, names.DUAL, "four")) == {names.GOOD_ADDRESS: Outcome.OK}
