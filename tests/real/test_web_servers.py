"""nginx, with every fault of a certificate, a handshake or a page; and mitmproxy as a gateway that ends TLS."""

import pytest

from exporter.vocabulary import AuthOutcome, Outcome, Phase
from tests.real.certificates import Authority
from tests.real.mitmproxy import Mitmproxy
from tests.real.nginx import PORTAL, Nginx
from tests.real.probing import Line, Run, probe

FAULTS = {
    "wrong_name": Outcome.CERTIFICATE_NAME_MISMATCH,
    "expired": Outcome.CERTIFICATE_EXPIRED,
    "not_yet_valid": Outcome.CERTIFICATE_NOT_YET_VALID,
    "incomplete": Outcome.CERTIFICATE_CHAIN_INCOMPLETE,
    "self_signed": Outcome.CERTIFICATE_UNTRUSTED,
}


def _targets(nginx: Nginx) -> list[dict[str, object]]:
    targets: list[dict[str, object]] = [
        {"name": name, "protocol": "http" if name.startswith("plain") else "https", "host": "localhost", "port": port}
        for name, port in nginx.ports.items()
    ]
    plain = nginx.ports["plain_http"]
    healthy = nginx.ports["healthy"]
    return [
        *targets,
        {"name": "tls_to_plain_http", "protocol": "https", "host": "localhost", "port": plain},
        {"name": "plain_http_to_tls", "protocol": "http", "host": "localhost", "port": healthy},
        {"name": "by_address", "protocol": "https", "host": "127.0.0.1", "port": healthy},
        {"name": "sign_in", "protocol": "sign_in", "host": "localhost", "port": healthy},
        {"name": "activesync", "protocol": "activesync", "host": "localhost", "port": nginx.ports["forbidden"]},
    ]


@pytest.fixture(scope="module")
def known(authority: Authority, nginx: Nginx) -> Run:
    """The test's root is genuine: what is wrong is wrong in itself."""
    return probe(_targets(nginx), root_file=authority.root_file)


@pytest.fixture(scope="module")
def foreign(authority: Authority, nginx: Nginx, mitmproxy: Mitmproxy) -> Run:
    """The test's root is trusted on this machine, and isn't Microsoft's: an enterprise's gateway."""
    intercepted = {"name": "intercepted", "protocol": "https", "host": "localhost", "port": mitmproxy.port}
    return probe([*_targets(nginx), intercepted], root_file=authority.root_file, genuine=False)


def _tls(line: Line) -> tuple[str, bool | None, bool | None]:
    return line.phase(Phase.TLS)["outcome"], line["tls"]["trusted"], line["tls"]["genuine"]


def test_the_faultless_server_is_ok(known: Run):
    assert known["healthy"]["outcome"] == Outcome.OK
    assert known["healthy"]["failed_phase"] is None
    assert _tls(known["healthy"]) == (Outcome.OK, True, True)


@pytest.mark.parametrize(
    ("target", "version", "cipher", "group"),
    [
        ("tls12", "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_", "secp256r1"),
        ("tls13", "TLSv1.3", "TLS_AES_", "x25519"),
        ("retry", "TLSv1.3", "TLS_AES_", "secp384r1"),
    ],
)
def test_version_cipher_and_group_are_what_was_negotiated(
    known: Run, target: str, version: str, cipher: str, group: str
):
    tls = known[target]["tls"]
    assert known[target]["outcome"] == Outcome.OK
    assert (tls["version"], tls["group"]) == (version, group)
    assert tls["cipher"].startswith(cipher)
    assert tls["stack"]


@pytest.mark.parametrize("target", ["tls10", "tls11"])
def test_an_old_server_refuses_our_versions(known: Run, target: str):
    line = known[target]
    assert (line["outcome"], line["failed_phase"]) == (Outcome.PROTOCOL_VERSION_REFUSED, Phase.TLS)
    assert line.phase(Phase.HTTP)["outcome"] == Outcome.SKIPPED


@pytest.mark.parametrize(("target", "outcome"), FAULTS.items())
def test_a_certificate_fault_is_named_and_the_conversation_goes_on(known: Run, target: str, outcome: Outcome):
    line = known[target]
    assert (line["outcome"], line["failed_phase"]) == (outcome, Phase.TLS)
    assert line["tls"]["trusted"] is False
    assert line["tls"]["reasons"] == [outcome]
    assert line.phase(Phase.HTTP)["outcome"] != Outcome.SKIPPED


@pytest.mark.parametrize("target", FAULTS)
def test_the_chain_of_a_refused_certificate_is_kept(known: Run, nginx: Nginx, target: str):
    chain = known[target]["tls"]["chain"]
    assert len(chain) == (1 if target in ("incomplete", "self_signed") else 2)
    assert chain[0]["not_after"] == nginx.certificates[target].not_after.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_every_reason_that_applies_is_told(known: Run):
    reasons = known["expired_wrong_name"]["tls"]["reasons"]
    assert set(reasons) == {Outcome.CERTIFICATE_EXPIRED, Outcome.CERTIFICATE_NAME_MISMATCH}


def test_a_certificate_that_cannot_be_read_is_untrusted_and_costs_nobody_else_anything(known: Run):
    line = known["unreadable"]
    assert (line["outcome"], line["failed_phase"]) == (Outcome.CERTIFICATE_UNTRUSTED, Phase.TLS)
    assert (line["tls"]["trusted"], line["tls"]["genuine"], line["tls"]["chain"]) == (False, False, [])
    assert line.phase(Phase.TLS)["detail"] == "certificate_untrusted: the certificate can't be read"
    assert line.phase(Phase.HTTP)["outcome"] != Outcome.SKIPPED


def test_genuine_is_unknown_where_the_chain_is_incomplete(known: Run):
    assert known["incomplete"]["tls"]["genuine"] is None
    assert known["self_signed"]["tls"]["genuine"] is False


def test_an_address_is_checked_against_the_certificates_addresses(known: Run):
    assert known["by_address"]["outcome"] == Outcome.OK


@pytest.mark.parametrize("target", ["healthy", "tls12", "tls13"])
def test_trusted_here_is_not_genuine(foreign: Run, target: str):
    assert _tls(foreign[target]) == (Outcome.OK, True, False)


@pytest.mark.parametrize("target", ["healthy", "forbidden", "redirect", "not_found", "plain_forbidden"])
def test_a_page_that_is_not_microsofts_is_unexpected(foreign: Run, target: str):
    line = foreign[target]
    assert (line["outcome"], line["failed_phase"]) == (Outcome.UNEXPECTED_CONTENT, Phase.HTTP)


def test_a_block_page_and_a_portal_are_told_in_their_own_words(foreign: Run):
    assert "blocked by policy" in foreign["forbidden"].phase(Phase.HTTP)["detail"]
    assert PORTAL in foreign["redirect"].phase(Phase.HTTP)["detail"]


def test_a_503_is_unavailable(foreign: Run):
    assert foreign["unavailable"].phase(Phase.HTTP)["outcome"] == Outcome.UNAVAILABLE


@pytest.mark.parametrize(("target", "phase"), [("sign_in", Phase.TOKEN), ("activesync", Phase.HTTP)])
def test_a_page_at_a_sign_in_is_unexpected_and_no_refusal(foreign: Run, target: str, phase: Phase):
    line = foreign[target]
    assert (line["outcome"], line["failed_phase"]) == (Outcome.UNEXPECTED_CONTENT, phase)
    assert line["auth"]["outcome"] in (None, AuthOutcome.UNKNOWN)  # unknown where the canary met the page itself


def test_tls_to_a_plain_http_port_is_unexpected_content(known: Run):
    line = known["tls_to_plain_http"]
    assert (line["outcome"], line["failed_phase"]) == (Outcome.UNEXPECTED_CONTENT, Phase.TLS)
    assert "HTTP/1.1 400" in line.phase(Phase.TLS)["detail"]


def test_plain_http_to_a_tls_port_is_unexpected_content(known: Run):
    line = known["plain_http_to_tls"]
    assert (line["outcome"], line["failed_phase"]) == (Outcome.UNEXPECTED_CONTENT, Phase.HTTP)


def test_an_intercepting_gateway_is_untrusted_and_not_genuine(foreign: Run):
    line = foreign["intercepted"]
    assert line.phase(Phase.TLS)["outcome"] in (Outcome.CERTIFICATE_UNTRUSTED, Outcome.CERTIFICATE_CHAIN_INCOMPLETE)
    assert line["tls"]["trusted"] is False
    assert line["tls"]["genuine"] is not True
    assert line["tls"]["issuer_organization"] == "mitmproxy"


def test_an_intercepting_gateway_that_the_machine_trusts_is_ok_and_not_genuine(mitmproxy: Mitmproxy):
    targets = [{"name": "intercepted", "protocol": "https", "host": "localhost", "port": mitmproxy.port}]
    run = probe(targets, root_file=mitmproxy.root_file, genuine=False)
    assert _tls(run["intercepted"]) == (Outcome.OK, True, False)


def test_servers_clocks_are_compared(known: Run):
    assert abs(known["healthy"]["clock_skew_seconds"]) <= 2
