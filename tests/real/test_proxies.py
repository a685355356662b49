"""squid and microsocks as the way out: phase `proxy` says what they say, `dns` and `connect` concern them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.vocabulary import Outcome, Phase
from tests.real import microsocks as socks
from tests.real import squid as http_proxy
from tests.real.certificates import Authority
from tests.real.dovecot import Dovecot
from tests.real.nginx import Nginx
from tests.real.probing import Line, Run, probe
from tests.real.process import free_ports
from tests.real.relay import tls_relay
from tests.real.squid import Squid

#: A name where it means no more than what our servers listen on: Docker's hosts file gives it ::1 too, and proxies
#: may ask only that.
HOST = "localhost" if {info[4][0] for info in socket.getaddrinfo("localhost", None)} == {"127.0.0.1"} else "127.0.0.1"
PASSING = ("http", "http-credentials", "https-credentials", "socks", "socks-credentials")


def _secret(directory: Path, name: str, text: str) -> str:
    file = directory / name
    file.touch(mode=0o600)
    file.write_text(text + "\n")
    return str(file)


@pytest.fixture(scope="module")
def trusted(authority: Authority, squid: Squid) -> Iterator[tuple[int, bytearray]]:
    """squid behind TLS with a certificate that this machine trusts: the port, and what it heard."""
    with tls_relay(squid.authenticated_port, authority.leaf("proxy")) as running:
        yield running


@pytest.fixture(scope="module")
def untrusted(authority: Authority, squid: Squid) -> Iterator[tuple[int, bytearray]]:
    """The same with a certificate of its own making."""
    with tls_relay(squid.open_port, authority.self_signed("false-proxy")) as running:
        yield running


@pytest.fixture(scope="module")
def round_(
    authority: Authority,
    nginx: Nginx,
    dovecot: Dovecot,
    squid: Squid,
    trusted: tuple[int, bytearray],
    untrusted: tuple[int, bytearray],
    open_socks: int,
    guarded_socks: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    files = tmp_path_factory.mktemp("credentials")
    http = _secret(files, "http", f"{http_proxy.USER}:{http_proxy.PASSWORD}")
    right = _secret(files, "socks", f"{socks.USER}:{socks.PASSWORD}")
    wrong = _secret(files, "wrong", "somebody:something-wrong")
    dead, closed = free_ports(2)
    ways = {
        "http": (f"http://127.0.0.1:{squid.open_port}", None),
        "http-unsigned": (f"http://localhost:{squid.authenticated_port}", None),
        "http-credentials": (f"http://127.0.0.1:{squid.authenticated_port}", http),
        "http-wrong": (f"http://127.0.0.1:{squid.authenticated_port}", wrong),
        "https-credentials": (f"https://localhost:{trusted[0]}", http),
        "https-untrusted": (f"https://localhost:{untrusted[0]}", None),
        "https-untrusted-credentials": (f"https://localhost:{untrusted[0]}", http),
        "https-no-tls": (f"https://127.0.0.1:{squid.open_port}", http),
        "http-no-proxy": (f"http://127.0.0.1:{nginx.ports['plain_http']}", None),
        "http-dead": (f"http://127.0.0.1:{dead}", None),
        "socks": (f"socks5://127.0.0.1:{open_socks}", None),
        "socks-unsigned": (f"socks5://127.0.0.1:{guarded_socks}", None),
        "socks-credentials": (f"socks5://127.0.0.1:{guarded_socks}", right),
        "socks-wrong": (f"socks5://127.0.0.1:{guarded_socks}", wrong),
        "socks-no-proxy": (f"socks5://127.0.0.1:{nginx.ports['plain_http']}", None),
    }
    vantages = [
        {"name": name, "proxy": url} | ({"proxy_credentials_file": file} if file else {})
        for name, (url, file) in ways.items()
    ]
    targets = [
        {"name": "web", "protocol": "https", "host": HOST, "port": nginx.ports["healthy"]},
        {"name": "mail", "protocol": "imap", "host": HOST, "port": dovecot.imap_starttls, "tls": "starttls"},
        {"name": "denied", "protocol": "https", "host": HOST, "port": squid.denied_port},
        {"name": "closed", "protocol": "https", "host": HOST, "port": closed},
    ]
    return probe(targets, root_file=authority.root_file, vantages=vantages)


def _line(run: Run, target: str, vantage: str) -> Line:
    return run.lines[target, vantage]


@pytest.mark.parametrize("vantage", PASSING)
def test_a_proxy_that_lets_pass_is_a_phase_of_its_own(round_: Run, vantage: str):
    line = _line(round_, "web", vantage)
    assert list(line.outcomes()) == ["dns", "connect", "proxy", "tls", "http"]
    assert line["outcome"] == Outcome.OK
    assert line["tls"]["genuine"] is True


@pytest.mark.parametrize("vantage", PASSING)
def test_starttls_works_behind_a_proxy(round_: Run, vantage: str):
    outcomes = _line(round_, "mail", vantage).outcomes()
    assert outcomes["starttls"] == outcomes["tls"] == outcomes["capability"] == Outcome.OK


@pytest.mark.parametrize("vantage", ["http-unsigned", "http-wrong"])
def test_a_proxy_that_asks_for_credentials_is_told_by_its_407(round_: Run, vantage: str):
    proxy = _line(round_, "web", vantage).phase(Phase.PROXY)
    assert proxy["outcome"] == Outcome.REJECTED
    assert "407" in proxy["detail"]


@pytest.mark.parametrize("vantage", ["socks-unsigned", "socks-wrong"])
def test_a_socks_proxy_that_wants_other_credentials_rejects(round_: Run, vantage: str):
    assert _line(round_, "web", vantage).phase(Phase.PROXY)["outcome"] == Outcome.REJECTED


def test_credentials_go_only_to_a_proxy_that_this_machine_trusts(
    round_: Run, trusted: tuple[int, bytearray], untrusted: tuple[int, bytearray]
):
    phase = _line(round_, "web", "https-untrusted-credentials").phase(Phase.PROXY)
    assert phase["outcome"] == Outcome.CERTIFICATE_UNTRUSTED
    assert phase["detail"].endswith("the credentials were not sent")
    assert b"Proxy-Authorization" in trusted[1]
    assert b"Proxy-Authorization" not in untrusted[1]


def test_a_proxy_that_this_machine_does_not_trust_is_told_and_the_rest_is_seen(round_: Run):
    line = _line(round_, "web", "https-untrusted")
    assert (line["outcome"], line["failed_phase"]) == (Outcome.CERTIFICATE_UNTRUSTED, Phase.PROXY)
    assert (line.phase(Phase.HTTP)["outcome"], line["tls"]["genuine"]) == (Outcome.OK, True)


def test_a_proxy_without_tls_is_no_https_proxy(round_: Run):
    assert _line(round_, "web", "https-no-tls").phase(Phase.PROXY)["outcome"] == Outcome.UNEXPECTED_CONTENT


def test_a_denied_destination_is_told_by_its_403(round_: Run):
    proxy = _line(round_, "denied", "http").phase(Phase.PROXY)
    assert proxy["outcome"] == Outcome.REJECTED
    assert "403" in proxy["detail"]


def test_a_dead_destination_is_the_targets_fault(round_: Run):
    by_http = _line(round_, "closed", "http").phase(Phase.PROXY)
    assert by_http["outcome"] in (Outcome.UNAVAILABLE, Outcome.REJECTED)
    assert "503" in by_http["detail"]
    assert _line(round_, "closed", "socks").phase(Phase.PROXY)["outcome"] == Outcome.REFUSED


def test_what_lies_behind_a_failed_proxy_is_skipped(round_: Run):
    outcomes = _line(round_, "web", "http-unsigned").outcomes()
    assert (outcomes["tls"], outcomes["http"]) == (Outcome.SKIPPED, Outcome.SKIPPED)


def test_a_dead_proxy_is_refused_in_connect(round_: Run):
    line = _line(round_, "web", "http-dead")
    assert (line["outcome"], line["failed_phase"]) == (Outcome.REFUSED, Phase.CONNECT)


def test_a_web_server_is_no_http_proxy(round_: Run):
    assert _line(round_, "web", "http-no-proxy").phase(Phase.PROXY)["outcome"] in (
        Outcome.REJECTED,
        Outcome.UNEXPECTED_CONTENT,
    )


def test_a_web_server_is_no_socks_proxy(round_: Run):
    assert _line(round_, "web", "socks-no-proxy").phase(Phase.PROXY)["outcome"] in (
        Outcome.UNEXPECTED_CONTENT,
        Outcome.CLOSED,
    )


def test_address_and_addresses_are_the_proxys(round_: Run):
    line = _line(round_, "web", "socks")
    assert line["address"] == "127.0.0.1"
    assert [(each["address"], each["outcome"]) for each in line["addresses"]] == [("127.0.0.1", Outcome.OK)]
    assert (line["host"], line["port"] != 0) == (HOST, True)


def test_no_credential_is_ever_printed(round_: Run):
    for secret in (http_proxy.PASSWORD, socks.PASSWORD, "something-wrong"):
        assert secret.encode() not in round_.stdout
        assert secret not in round_.stderr
