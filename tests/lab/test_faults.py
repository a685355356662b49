"""Every fault by its symptom, seen with plain means, and a negative control: the other side, or an untouched target."""

import asyncio
import json
import re
import smtplib
import socket
import ssl
import statistics
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

import dns.asyncquery
import dns.exception
import dns.message
import pytest
from OpenSSL import SSL

from exporter.catalogue import TARGETS
from exporter.lab import faults as lab_faults
from exporter.lab.faults import FAULTS, VARIANTS
from exporter.lab.lab import Lab
from exporter.vocabulary import Cause
from tests.lab.clients import Clients, issuer, raw
from tests.lab.credentials import xoauth2

IMAP, SMTP, POP = "imap-mail.outlook.com", "smtp-mail.outlook.com", "pop-mail.outlook.com"
WORK, PERSONAL, WEB = "login.microsoftonline.com", "login.live.com", "outlook.live.com"
TOKEN_PATH = "/common/oauth2/v2.0/token"
SHORT = 0.3
Result = TypeVar("Result")

AUTH_LINE = f"A1 AUTHENTICATE XOAUTH2 {xoauth2()}\r\n".encode()


@asynccontextmanager
async def fault(lab: Lab, name: str) -> AsyncIterator[None]:
    """The lab under a fault, and healthy again afterwards."""
    await lab.set_fault(name)
    yield
    await lab.set_fault(None)


async def run(action: Callable[[], Result]) -> Result:
    return await asyncio.to_thread(action)


def resets(action: Callable[[], object]) -> bool:
    with pytest.raises(ConnectionResetError):
        action()
    return True


def is_reset(sock: ssl.SSLSocket) -> bool:
    with raw(sock) as below:
        return resets(lambda: below.recv(1))


def times_out(action: Callable[[], object]) -> bool:
    with pytest.raises(TimeoutError):
        action()
    return True


def seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def works(clients: Clients, host: str = IMAP, port: int = 993, name: str | None = "") -> bool:
    with clients.tls(host, port, name=name) as sock:
        return bool(sock.recv(10)) if port != 443 else True


def impatient(clients: Clients, host: str = IMAP, port: int = 993, **options: str | None) -> None:
    """A handshake that waits for a short time only."""
    sock = clients.connect(host, port)
    sock.settimeout(SHORT)
    context = clients.context()
    context.check_hostname = False
    clients.opened.append(context.wrap_socket(sock, server_hostname=options.get("name", host)))


# --- the data itself


def test_faults_are_named_by_causes_and_concern_known_targets() -> None:
    assert set(FAULTS) <= {cause.value for cause in Cause}
    for name, each in {**FAULTS, **VARIANTS}.items():
        assert name.partition(".")[0] == each.cause
        assert set(each.targets) <= set(TARGETS)
        assert set(each.targets) <= each.affected
        assert re.fullmatch(r"[A-Z].{20,120}\.", each.shows)
        ways = [each.lie, each.reach, each.treatment, each.outlook or None]
        assert sum(way is not None for way in ways) == 1


def test_every_fault_of_the_brief_is_there() -> None:
    wanted = (
        "dns_failure dns_redirected tcp_dropped tcp_reset sni_reset sni_dropped tls_reset large_hello_dropped "
        "tls_intercepted certificate_expired certificate_not_yet_valid certificate_name_mismatch "
        "certificate_chain_incomplete root_not_trusted tls_version_blocked starttls_stripped auth_mechanism_stripped "
        "protocol_rewritten captive_portal block_page auth_dropped throttled service_outage partial_outage "
        "slow_sign_in slow_service idle_cut slow_path"
    )
    assert set(wanted.split()) <= set(FAULTS)


async def test_an_unknown_fault_changes_nothing(lab: Lab) -> None:
    await lab.set_fault("tcp_reset")
    with pytest.raises(KeyError):
        await lab.set_fault("tcp_rest")
    assert lab.fault == "tcp_reset"


async def test_switching_takes_milliseconds_and_leaves_no_trace(lab: Lab, clients: Clients) -> None:
    took = []
    for name in [*FAULTS, *VARIANTS, None]:
        began = time.monotonic()
        await lab.set_fault(name)
        took.append(time.monotonic() - began)
    assert statistics.median(took) < 0.02
    assert await run(lambda: works(clients))
    assert await run(lambda: clients.https(WORK, "POST", TOKEN_PATH)[0]) == 400


async def test_switches_set_by_hand_survive_a_fault(lab: Lab, clients: Clients) -> None:
    lab.outlook.behaviour.retry_after = 7
    async with fault(lab, "throttled"):
        assert (await run(lambda: clients.https(WEB)))[1]["retry-after"] == "7"
    assert lab.outlook.behaviour.retry_after == 7
    assert lab.outlook.behaviour.throttled is False


# --- name


async def resolve(lab: Lab, name: str = IMAP, kind: str = "A", *, side: str = "clients") -> dns.message.Message:
    server = lab.clients_dns if side == "clients" else lab.wan_dns
    query = dns.message.make_query(name, kind)
    return await dns.asyncquery.udp(query, server.address, port=server.port, timeout=SHORT)


@pytest.mark.parametrize(
    ("name", "code"),
    [("dns_failure", "NXDOMAIN"), ("dns_failure.servfail", "SERVFAIL"), ("dns_failure.empty", "NOERROR")],
)
async def test_dns_failure(lab: Lab, name: str, code: str) -> None:
    async with fault(lab, name):
        reply = await resolve(lab)
        assert (reply.rcode().name, [rrset.rdtype.name for rrset in reply.answer if rrset.rdtype.name == "A"]) == (
            code,
            [],
        )
        assert len((await resolve(lab, side="wan")).answer[0]) == 2
        assert (await resolve(lab, WORK)).answer
    assert (await resolve(lab)).answer


async def test_dns_silence(lab: Lab) -> None:
    async with fault(lab, "dns_failure.silence"):
        with pytest.raises(dns.exception.Timeout):
            await resolve(lab)
        assert (await resolve(lab, side="wan")).answer


async def test_dns_redirected(lab: Lab) -> None:
    async with fault(lab, "dns_redirected"):
        assert [str(item) for item in (await resolve(lab, WORK)).answer[0]] == ["0.0.0.0"]
        assert str((await resolve(lab)).answer[0][0]).startswith("127.61.")
        with pytest.raises(ConnectionRefusedError), socket.socket() as sock:
            sock.connect(("0.0.0.0", 443 + lab.shift))


async def test_ipv6_broken(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "ipv6_broken"):
        (item,) = (await resolve(lab, kind="AAAA")).answer[0]
        with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_INET6) as sock:
            sock.connect((str(item), 993 + lab.shift))
        assert await run(lambda: works(clients))


# --- reach


async def test_tcp_reset(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "tcp_reset"):
        for host, port in ((IMAP, 993), (IMAP, 143), (SMTP, 587), (POP, 995)):
            with pytest.raises(ConnectionRefusedError):
                await run(lambda host=host, port=port: clients.connect(host, port))  # type: ignore[misc]
        assert await run(lambda: works(clients.on("outside")))
        assert await run(lambda: works(clients, WORK, 443))
    assert await run(lambda: works(clients))


async def test_tcp_dropped(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "tcp_dropped"):
        for index in (0, 1):
            with socket.socket() as sock:
                sock.settimeout(SHORT)
                with pytest.raises(TimeoutError):
                    await run(lambda sock=sock, index=index: sock.connect((lab.inside[IMAP][index], 993 + lab.shift)))  # type: ignore[misc]
        assert await run(lambda: works(clients.on("outside")))
        assert await run(lambda: works(clients, WORK, 443))
    assert await run(lambda: works(clients))


@pytest.mark.parametrize("side", ["inside", "outside"])
async def test_partial_outage(lab: Lab, clients: Clients, side: str) -> None:
    async with fault(lab, "partial_outage"):
        assert await run(lambda: works(clients.on(side, 0)))
        with pytest.raises(ConnectionRefusedError):
            await run(lambda: clients.on(side, 1).connect(IMAP, 993))


async def test_only_required_rows_are_open(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "tcp_dropped.required_only"):
        with socket.socket() as sock:
            sock.settimeout(SHORT)
            with pytest.raises(TimeoutError):
                await run(lambda: sock.connect((lab.inside[PERSONAL][0], 443 + lab.shift)))
        assert await run(lambda: works(clients, WORK, 443))


async def test_slow_path(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "slow_path"):
        inside = await run(lambda: seconds(lambda: works(clients)))
        outside = await run(lambda: seconds(lambda: works(clients.on("outside"))))
    assert inside > 1
    assert outside < inside / 2


async def test_mtu_blackhole(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "mtu_blackhole"):
        assert await run(lambda: times_out(lambda: impatient(clients)))
        assert await run(lambda: clients.smtp().ehlo()[0]) == 250
        assert await run(lambda: works(clients.on("outside")))


# --- TLS


async def test_sni_reset(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "sni_reset"):
        for host in (WORK, PERSONAL):
            assert await run(lambda host=host: resets(lambda: clients.tls(host, 443)))  # type: ignore[misc]
        assert await run(lambda: works(clients, WORK, 443, name=None))
        assert await run(lambda: works(clients, WEB, 443))
        assert await run(lambda: works(clients.on("outside"), WORK, 443))


async def test_sni_dropped(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "sni_dropped"):
        assert await run(lambda: times_out(lambda: impatient(clients, WORK, 443)))
        assert await run(lambda: works(clients, WORK, 443, name=None))


async def test_tls_reset(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "tls_reset"):
        for name in (IMAP, "www.example.com", None):
            assert await run(lambda name=name: resets(lambda: impatient(clients, name=name)))  # type: ignore[misc]
        smtp = await run(clients.smtp)
        assert await run(lambda: resets(lambda: smtp.starttls(context=clients.context())))
        assert await run(lambda: works(clients, WORK, 443))


def large_hello(clients: Clients, host: str) -> str:
    """A handshake as today's clients begin it, with a post-quantum key share; the version it led to."""
    sock = clients.connect(host, 443)
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(SHORT * 1e6)))
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), sock)
    connection.set_tlsext_host_name(host.encode())
    connection.set_connect_state()
    connection.do_handshake()
    return connection.get_protocol_version_name()


async def test_large_hello_dropped(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "large_hello_dropped"):
        with pytest.raises((SSL.WantReadError, SSL.SysCallError)):
            await run(lambda: large_hello(clients, WORK))
        small = clients.context()
        small.set_ecdh_curve("secp384r1")  # OpenSSL 3.5 sends a post-quantum key share too
        await run(lambda: clients.tls(WORK, 443, context=small))
        assert await run(lambda: large_hello(clients.on("outside"), WORK)) == "TLSv1.3"
    assert await run(lambda: large_hello(clients, WORK)) == "TLSv1.3"


def verification_failure(clients: Clients, host: str = IMAP, port: int = 993) -> str:
    with pytest.raises(ssl.SSLCertVerificationError) as raised:
        clients.tls(host, port)
    return raised.value.verify_message


async def test_tls_intercepted(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "tls_intercepted"):
        assert "self-signed certificate in certificate chain" in await run(lambda: verification_failure(clients))
        smtp = await run(clients.smtp)
        with pytest.raises(ssl.SSLCertVerificationError):
            await run(lambda: smtp.starttls(context=clients.context()))
        assert await run(lambda: works(clients.on("outside")))
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=lab.pki.inspection.pem.decode())
        sock = await run(lambda: clients.tls(IMAP, 993, context=context))
        assert issuer(sock.getpeercert()) == "Fortinet"
        assert b"Microsoft Exchange IMAP4" in await run(lambda: sock.recv(200))


async def test_what_a_client_says_to_an_interceptor_is_on_record(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "tls_intercepted.trusted"):
        sock = await run(lambda: clients.tls(IMAP, 993))
        assert issuer(sock.getpeercert()) == "Contoso Ltd"
        await run(lambda: sock.recv(200))
        await run(lambda: sock.sendall(AUTH_LINE))
        assert await run(lambda: sock.recv(200)) == b"A1 NO AUTHENTICATE failed.\r\n"
        assert (f"{IMAP}:993", AUTH_LINE) in lab.gateway.seen


async def test_an_interceptor_upgrades_both_sides(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "tls_intercepted.trusted"):
        smtp = await run(clients.smtp)
        await run(lambda: smtp.starttls(context=clients.context()))
        assert (await run(smtp.ehlo))[0] == 250
        assert smtp.has_extn("AUTH")
        assert isinstance(smtp.sock, ssl.SSLSocket)
        assert issuer(smtp.sock.getpeercert()) == "Contoso Ltd"


@pytest.mark.parametrize("side", ["inside", "outside"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("certificate_expired", "certificate has expired"),
        ("certificate_not_yet_valid", "certificate is not yet valid"),
        ("certificate_name_mismatch", "Hostname mismatch"),
        ("certificate_chain_incomplete", "unable to get local issuer certificate"),
        ("root_not_trusted", "unable to get local issuer certificate"),
    ],
)
async def test_certificates_at_every_vantage(lab: Lab, clients: Clients, name: str, message: str, side: str) -> None:
    async with fault(lab, name):
        assert message in await run(lambda: verification_failure(clients.on(side)))
        assert await run(lambda: works(clients.on(side), WORK, 443))
    assert await run(lambda: works(clients.on(side)))


async def test_a_root_that_is_not_trusted_is_genuine_all_the_same(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "root_not_trusted"):
        context = ssl.create_default_context(cafile=str(lab.pki.roots_file))
        sock = await run(lambda: clients.tls(IMAP, 993, context=context))
        assert issuer(sock.getpeercert()) == "DigiCert Inc"


async def test_tls_version_blocked(lab: Lab, clients: Clients) -> None:
    old = ssl.create_default_context(cafile=str(lab.trust_store()))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with fault(lab, "tls_version_blocked"):
        with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_PROTOCOL_VERSION"):
            await run(lambda: clients.tls(WORK, 443))
        assert (await run(lambda: clients.tls(WORK, 443, context=old))).version() == "TLSv1.2"
    async with fault(lab, "tls_version_blocked.all"):
        with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_PROTOCOL_VERSION"):
            await run(lambda: clients.tls(WORK, 443, context=old))


# --- application


async def test_starttls_stripped(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "starttls_stripped"):
        smtp = await run(clients.smtp)
        await run(smtp.ehlo)
        assert not smtp.has_extn("STARTTLS")
        assert smtp.has_extn("CHUNKING")
        assert await run(lambda: smtp.docmd("STARTTLS")) == (500, b"5.5.1 Command unrecognized")
        outside = await run(clients.on("outside").smtp)
        await run(outside.ehlo)
        assert outside.has_extn("STARTTLS")


async def test_starttls_masked(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "starttls_stripped.masked"):
        smtp = await run(clients.smtp)
        assert smtp.banner == (220, b"*" * 80)
        assert b"\nXXXXXXXA\n" in (await run(smtp.ehlo))[1]
        assert (await run(lambda: smtp.docmd("STARTTLS")))[0] == 500


async def test_auth_mechanism_stripped(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "auth_mechanism_stripped"):
        imap = await run(clients.imap)
        assert "AUTH=XOAUTH2" not in imap.capabilities
        assert "LOGINDISABLED" in imap.capabilities
        pop = await run(clients.pop)
        assert (await run(pop.capa))["SASL"] == ["PLAIN"]
        smtp = await run(clients.smtp)
        await run(lambda: smtp.starttls(context=clients.context()))
        await run(smtp.ehlo)
        assert smtp.esmtp_features["auth"].split() == ["LOGIN"]
        assert "AUTH=XOAUTH2" in (await run(clients.on("outside").imap)).capabilities


async def test_protocol_rewritten(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "protocol_rewritten"):
        assert (await run(clients.imap)).welcome == b"* OK IMAP4 Mail Proxy ready"
        assert (await run(clients.pop)).getwelcome() == b"+OK POP3 Mail Proxy ready"
        assert (await run(clients.smtp)).banner[1] == b"mailproxy.contoso.example ESMTP Mail Proxy"


async def test_captive_portal(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "captive_portal"):
        for host, port in ((WORK, 443), (WEB, 443), ("ocsp.digicert.com", 80)):
            status, headers, _ = await run(lambda host=host, port=port: clients.https(host, port=port))  # type: ignore[misc]
            assert (status, headers["location"]) == (302, "http://10.0.0.1/login")
        assert lab.counts["request"] == 0  # the real servers never heard of it
        assert await run(lambda: clients.on("outside").https(WORK, "POST", TOKEN_PATH)[0]) == 400


async def test_block_page(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "block_page"):
        status, headers, body = await run(lambda: clients.https(WORK, "POST", TOKEN_PATH))
        assert status == 403
        assert b"blocked by your organization" in body
        assert not [name for name in headers if name.startswith("x-ms")]
        assert await run(lambda: works(clients))


async def test_auth_dropped(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "auth_dropped"):
        sock = await run(lambda: clients.tls(IMAP, 993))
        await run(lambda: sock.recv(200))
        await run(lambda: sock.sendall(b"A0 AUTHENTICATE XOAUTH2 eA==\r\n"))
        assert await run(lambda: sock.recv(200)) == b"A0 BAD Command Argument Error. 12\r\n"
        await run(lambda: sock.sendall(AUTH_LINE))
        assert await run(lambda: is_reset(sock))
        assert lab.counts["token"] == 1
    async with fault(lab, "auth_dropped.silent"):
        sock = await run(lambda: clients.tls(IMAP, 993))
        await run(lambda: sock.recv(200))
        sock.settimeout(SHORT)
        await run(lambda: sock.sendall(AUTH_LINE))
        assert await run(lambda: times_out(lambda: sock.recv(200)))


@pytest.mark.parametrize("name", ["idle_cut", "idle_cut.reset"])
async def test_idle_cut(lab: Lab, clients: Clients, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_faults, "IDLE", 0.4)
    async with fault(lab, name):
        sock = await run(lambda: clients.tls(IMAP, 993))
        await run(lambda: sock.recv(200))
        for _ in range(3):  # kept alive, it lives on
            await asyncio.sleep(0.2)
            await run(lambda: sock.sendall(b"A1 NOOP\r\n"))
            assert await run(lambda: sock.recv(200)) == b"A1 OK NOOP completed.\r\n"
        await asyncio.sleep(0.6)
        if name == "idle_cut":
            sock.settimeout(SHORT)
            await run(lambda: sock.sendall(b"A2 NOOP\r\n"))
            assert await run(lambda: times_out(lambda: sock.recv(200)))
        else:
            assert await run(lambda: is_reset(sock))


async def test_tenant_restricted(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "tenant_restricted"):
        body = (await run(lambda: clients.https(WORK, "POST", TOKEN_PATH)))[2]
        assert json.loads(body)["error_codes"] == [500021]
        outside = (await run(lambda: clients.on("outside").https(WORK, "POST", TOKEN_PATH)))[2]
        assert json.loads(outside)["error_codes"] == [900144]


# --- service


@pytest.mark.parametrize("side", ["inside", "outside"])
async def test_throttled(lab: Lab, clients: Clients, side: str) -> None:
    async with fault(lab, "throttled"):
        status, headers, _ = await run(lambda: clients.on(side).https(WORK, "POST", TOKEN_PATH))
        assert (status, headers["retry-after"]) == (429, "30")
        sock = await run(lambda: clients.on(side).tls(IMAP, 993))
        await run(lambda: sock.recv(200))
        await run(lambda: sock.sendall(AUTH_LINE))
        assert (await run(lambda: sock.recv(200))).startswith(b"A1 BAD Request is throttled. Suggested Backoff Time: ")


@pytest.mark.parametrize("side", ["inside", "outside"])
async def test_service_outage(lab: Lab, clients: Clients, side: str) -> None:
    async with fault(lab, "service_outage"):
        smtp = await run(clients.on(side).smtp)
        assert smtp.banner[0] == 421
        with pytest.raises(smtplib.SMTPServerDisconnected):
            await run(smtp.ehlo)
        status, headers, body = await run(lambda: clients.on(side).https(WORK, "POST", TOKEN_PATH))
        assert (status, json.loads(body)["error_codes"]) == (503, [90033])
        assert headers["x-ms-request-id"]
        assert await run(lambda: clients.on(side).https("ocsp.digicert.com", port=80)[0]) == 200


async def test_slow_sign_in_and_slow_service(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "slow_sign_in"):
        lab.outlook.behaviour.overlay = {place: {"token_delay": 0.5} for place in lab.outlook.behaviour.overlay}
        assert await run(lambda: seconds(lambda: clients.https(WORK, "POST", TOKEN_PATH))) >= 0.5
        assert await run(lambda: seconds(lambda: clients.tls(WORK, 443))) < 0.4
    assert FAULTS["slow_sign_in"].outlook == {"token_delay": 4.0}
    assert FAULTS["slow_service"].outlook == {"greeting_delay": 3.0, "http_delay": 3.0}
    lab.outlook.behaviour.greeting_delay = lab.outlook.behaviour.http_delay = 0.4
    assert await run(lambda: seconds(clients.pop)) >= 0.4
    assert await run(lambda: seconds(lambda: clients.https(WEB))) >= 0.4


async def test_clock_skew(lab: Lab, clients: Clients) -> None:
    async with fault(lab, "clock_skew"):
        for host in (WORK, WEB, "graph.microsoft.com"):
            headers = (await run(lambda host=host: clients.https(host)))[1]  # type: ignore[misc]
            ahead = parsedate_to_datetime(headers["date"]) - datetime.now(UTC)
            assert timedelta(minutes=9) < ahead < timedelta(minutes=11)
