"""The lab as a whole: what clients of the standard library find there, side by side, quickly stopped, counted."""

import asyncio
import base64
import imaplib
import json
import socket
import ssl
import time
from pathlib import Path

import dns.asyncquery
import dns.message
import pytest

from exporter.catalogue import TARGETS
from exporter.lab.lab import Lab
from exporter.lab.pki import Pki
from exporter.lab.places import places
from tests.lab.clients import TIMEOUT, Clients, issuer
from tests.lab.credentials import TOKEN, USER, xoauth2

IMAP, SMTP, POP, LOGIN = (
    "imap-mail.outlook.com", "smtp-mail.outlook.com", "pop-mail.outlook.com", "login.microsoftonline.com",
)  # fmt: skip


def raw_initial_response() -> bytes:
    return base64.b64decode(xoauth2())


@pytest.mark.parametrize("side", ["inside", "outside"])
async def test_imap(lab: Lab, clients: Clients, side: str) -> None:
    def talk() -> None:
        imap = clients.on(side).imap()
        assert "LOGINDISABLED" in imap.capabilities
        with pytest.raises(imaplib.IMAP4.error, match=r"AUTHENTICATE failed\."):
            imap.authenticate("XOAUTH2", lambda _challenge: raw_initial_response())
        with pytest.raises(imaplib.IMAP4.error, match=r"Basic authentication is disabled\."):
            imap.login(USER, "secret")
        imap.logout()

    await asyncio.to_thread(talk)
    assert (lab.counts["token"], lab.counts["password"]) == (1, 1)
    assert lab.counts[f"token {IMAP}:993"] == 1


@pytest.mark.parametrize("side", ["inside", "outside"])
async def test_imap_and_pop_with_starttls(lab: Lab, clients: Clients, side: str) -> None:
    def talk() -> None:
        imap = clients.on(side).imap_in_clear()
        assert "STARTTLS" in imap.capabilities
        context = clients.context()
        context.check_hostname = False  # imaplib names "lab"; the chain is verified all the same
        imap.starttls(context)
        assert "AUTH=XOAUTH2" in imap.capabilities
        imap.logout()

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("side", ["inside", "outside"])
async def test_smtp(lab: Lab, clients: Clients, side: str) -> None:
    lab.outlook.behaviour.valid_tokens.add(TOKEN)

    def talk() -> None:
        smtp = clients.on(side).smtp()
        assert smtp.banner[0] == 220
        smtp.ehlo()
        assert not smtp.has_extn("AUTH")
        smtp.starttls(context=clients.context())
        smtp.ehlo()
        assert smtp.esmtp_features["auth"].split() == ["LOGIN", "XOAUTH2"]
        assert smtp.docmd("AUTH", f"XOAUTH2 {xoauth2()}") == (235, b"2.7.0 Authentication successful")
        smtp.quit()

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("side", ["inside", "outside"])
async def test_pop(lab: Lab, clients: Clients, side: str) -> None:
    def talk() -> None:
        pop = clients.on(side).pop()
        assert pop.capa()["SASL"] == ["XOAUTH2"]
        pop.quit()

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("side", ["inside", "outside"])
async def test_web_and_sign_in(lab: Lab, clients: Clients, side: str) -> None:
    def talk() -> None:
        web = clients.on(side)
        status, headers, body = web.https(LOGIN, "POST", "/common/oauth2/v2.0/token")
        assert (status, json.loads(body)["error_codes"]) == (400, [900144])
        assert headers["x-ms-request-id"] == json.loads(body)["trace_id"]
        assert web.https("outlook.office365.com", "OPTIONS", "/Microsoft-Server-ActiveSync")[0] == 451
        assert web.https("ocsp.digicert.com", port=80)[0] == 200

    await asyncio.to_thread(talk)


async def test_tls_is_as_the_facts_say(lab: Lab, clients: Clients) -> None:
    def talk() -> dict[str, tuple[str | None, str | None, str]]:
        seen = {}
        for host, port in ((IMAP, 993), (POP, 995), (LOGIN, 443), ("outlook.live.com", 443)):
            context = clients.context()
            context.set_alpn_protocols(["h2", "http/1.1"])
            with clients.tls(host, port, context=context) as sock:
                seen[host] = sock.version(), sock.selected_alpn_protocol(), issuer(sock.getpeercert())
        return seen

    assert await asyncio.to_thread(talk) == {
        IMAP: ("TLSv1.2", None, "DigiCert Inc"),
        POP: ("TLSv1.2", None, "DigiCert Inc"),
        LOGIN: ("TLSv1.3", None, "DigiCert Inc"),
        "outlook.live.com": ("TLSv1.3", "http/1.1", "DigiCert Inc"),
    }


async def test_the_two_resolvers_lead_to_the_two_sides(lab: Lab) -> None:
    found = {}
    for name, server in (("clients", lab.clients_dns), ("wan", lab.wan_dns)):
        query = dns.message.make_query(IMAP, "A")
        reply = await dns.asyncquery.udp(query, server.address, port=server.port, timeout=TIMEOUT)
        found[name] = tuple(sorted(str(item) for item in reply.answer[0]))
    assert found == {"clients": lab.inside[IMAP], "wan": lab.outside[IMAP]}
    assert all(address.startswith("127.61.") for address in lab.inside[IMAP])
    assert all(address.startswith("127.60.") for address in lab.outside[IMAP])


@pytest.mark.parametrize("split", [1, 7])
async def test_replies_may_be_split_anywhere(lab: Lab, clients: Clients, split: int) -> None:
    lab.outlook.behaviour.split = split

    def talk() -> tuple[int, int]:
        outside = clients.on("outside")
        sock = outside.tls(IMAP, 993)
        sizes = [len(sock.recv(4096)) for _ in range(20)]
        smtp = outside.smtp()
        smtp.starttls(context=clients.context())
        code, _ = smtp.ehlo()
        return max(sizes), code

    assert await asyncio.to_thread(talk) == (split, 250)


async def test_delays(lab: Lab, clients: Clients) -> None:
    lab.outlook.behaviour.greeting_delay = 0.2
    lab.outlook.behaviour.token_delay = 0.3

    def talk() -> tuple[float, float]:
        began = time.monotonic()
        clients.imap()
        greeted = time.monotonic()
        clients.https(LOGIN, "POST", "/common/oauth2/v2.0/token")
        return greeted - began, time.monotonic() - greeted

    imap, token = await asyncio.to_thread(talk)
    assert 0.2 <= imap < 1
    assert 0.3 <= token < 1


async def test_an_idle_connection_hears_bye(lab: Lab, clients: Clients) -> None:
    lab.outlook.behaviour.idle_timeout = 0.1

    def talk() -> bytes:
        with clients.tls(IMAP, 993) as sock:
            said = b""
            while data := sock.recv(4096):
                said += data
        return said

    assert (await asyncio.to_thread(talk)).endswith(b"* BYE Connection is closed. 13\r\n")


async def test_a_tls_hello_in_clear_ports_and_plain_text_on_tls_ports(lab: Lab, clients: Clients) -> None:
    def talk() -> None:
        with clients.connect(IMAP, 993) as sock:
            sock.sendall(b"A1 CAPABILITY\r\n")
            while sock.recv(4096):
                pass
        with pytest.raises(ssl.SSLError):
            clients.tls(SMTP, 587)

    await asyncio.to_thread(talk)


async def test_every_place_answers_on_both_sides(lab: Lab, clients: Clients) -> None:
    def reach() -> None:
        for place in places():
            for side in ("inside", "outside"):
                for index in (0, 1):
                    clients.on(side, index).connect(place.host, place.port).close()

    await asyncio.to_thread(reach)


async def test_the_configuration_names_every_target_at_its_port(lab: Lab) -> None:
    configuration = lab.configuration()
    ports = {entry["name"]: entry["port"] for entry in configuration["probe"]["custom"]}
    assert ports == {name: target.port + lab.shift for name, target in TARGETS.items()}
    assert [vantage["name"] for vantage in configuration["vantages"]] == ["clients", "wan"]
    assert json.loads(json.dumps(configuration)) == configuration
    assert lab.environment() == {"SSL_CERT_FILE": str(lab.pki.trust_file)}


async def test_labs_run_side_by_side_and_stop_within_a_second(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with Lab.start(tmp_path / "a") as first:
        async with Lab.start(tmp_path / "b", era="2023") as second:
            both = [Clients(first), Clients(second)]
            talking = [await asyncio.to_thread(clients.imap) for clients in both]
            assert ["LOGINDISABLED" in imap.capabilities for imap in talking] == [True, False]
            began = time.monotonic()
        assert time.monotonic() - began < 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(OSError, match="refused"):
        both[0].connect(IMAP, 993)
    for clients in both:
        clients.close()


def test_keys_are_nobody_elses_to_read(tmp_path: Path) -> None:
    Pki(tmp_path).context(IMAP)
    assert {file.stat().st_mode & 0o077 for file in tmp_path.glob("*.genuine.pem")} == {0}


def test_an_unknown_certificate(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such certificate: odd"):
        Pki(tmp_path).context(IMAP, "odd")


async def test_a_range_that_somebody_listens_in_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = 62_000, 63_000  # no other test's lab is there, and no client's port
    monkeypatch.setattr("exporter.lab.lab._SHIFTS", range(taken, free + 1, 1_000))
    monkeypatch.setattr("random.shuffle", lambda _shifts: None)
    with socket.socket() as other:
        other.bind(("127.61.1.5", taken + 993))
        other.listen()
        async with Lab.start(tmp_path) as lab:
            assert lab.shift == free
            with pytest.raises(OSError, match="no free range"):
                async with Lab.start(tmp_path):
                    pass


async def test_a_gateway_whose_upstream_is_dead_resets(lab: Lab, clients: Clients) -> None:
    await lab.outlook.stop()

    def talk() -> None:
        clients.connect(IMAP, 993).recv(10)

    with pytest.raises(ConnectionResetError):  # whoever is slow to look meets it in connect() already
        await asyncio.to_thread(talk)


async def test_a_client_that_leaves_is_left_by_the_server(lab: Lab, clients: Clients) -> None:
    sock = await asyncio.to_thread(clients.tls, IMAP, 993)
    await asyncio.to_thread(sock.recv, 200)
    sock.close()
    async with asyncio.timeout(2):
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - nobody tells when a server has noticed
            await asyncio.sleep(0.01)


async def test_a_restart_drops_connections(lab: Lab, clients: Clients) -> None:
    sock = await asyncio.to_thread(clients.on("outside").tls, IMAP, 993)
    await asyncio.to_thread(sock.recv, 200)
    lab.outlook.drop_connections()
    assert await asyncio.to_thread(sock.recv, 200) == b""
