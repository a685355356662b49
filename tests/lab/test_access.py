"""What a token of the lab's sign-in opens: by protocol, by permission, until it expires or is taken back (facts 2.1, 4)."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from exporter.lab.access import MailboxState, Use, is_for, permits, resources
from exporter.lab.behaviour import Behaviour
from exporter.lab.http_server import Request
from exporter.lab.imap_server import ImapServer
from exporter.lab.pop_server import PopServer
from exporter.lab.sign_in import App, SignIn
from exporter.lab.smtp_server import SmtpServer
from exporter.lab.web_pages import answer
from tests.lab.credentials import USER, xoauth2
from tests.lab.transcript import said

IMAP, POP, SMTP = (
    f"https://outlook.office.com/{name}" for name in ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send")
)
EAS = "https://outlook.office365.com/EAS.AccessAsUser.All"
GRAPH = "https://graph.microsoft.com/User.Read"
NOT_CONNECTED = "a2 BAD User is authenticated but not connected."
REFUSED_BY_SMTP = "535 5.7.3 Authentication unsuccessful"
REFUSED_BY_POP = "-ERR Authentication failure: unknown user name or bad password."


class World:
    """The sign-in host and the mail hosts, without a wire between."""

    def __init__(self, **switches: Any) -> None:
        self.behaviour = Behaviour(**switches)
        self.sign_in = SignIn(user=USER)

    def ask(self, path: str, **form: str) -> dict[str, Any]:
        request = Request("POST", "login.microsoftonline.com", path, {}, urlencode(form).encode())
        loaded = json.loads(self.sign_in.answer(request, self.behaviour).body)
        assert isinstance(loaded, dict)
        return loaded

    def signed_in(self, scope: str, tenant: str = "consumers") -> dict[str, Any]:
        code = self.ask(f"/{tenant}/oauth2/v2.0/devicecode", client_id="app", scope=scope)["device_code"]
        self.sign_in.decide_device_codes()
        grant = "urn:ietf:params:oauth:grant-type:device_code"
        return self.ask(f"/{tenant}/oauth2/v2.0/token", client_id="app", grant_type=grant, device_code=code)

    def refresh(self, token: str, tenant: str = "consumers", **form: str) -> dict[str, Any]:
        grant = {"client_id": "app", "grant_type": "refresh_token", "refresh_token": token}
        return self.ask(f"/{tenant}/oauth2/v2.0/token", **{**grant, **form})

    def imap(self, token: str, user: str = USER) -> list[str]:
        line = f"a1 AUTHENTICATE XOAUTH2 {xoauth2(token, user)}"
        return said(ImapServer(self.behaviour), line, 'a2 LIST "" ""')

    def smtp(self, token: str, user: str = USER) -> str:
        server = SmtpServer(self.behaviour, starttls=False)
        return said(server, f"AUTH XOAUTH2 {xoauth2(token, user)}")[0]

    def pop(self, token: str, user: str = USER) -> str:
        return said(PopServer(self.behaviour), "AUTH XOAUTH2", xoauth2(token, user))[1]

    def http(self, method: str, host: str, path: str, token: str) -> tuple[int, bytes]:
        request = Request(method, host, path, {"authorization": f"Bearer {token}"})
        got = answer(request, self.behaviour, self.sign_in)
        return got.status, got.body

    def graph(self, token: str) -> tuple[int, str]:
        status, body = self.http("GET", "graph.microsoft.com", "/v1.0/me", token)
        return status, json.loads(body).get("error", {}).get("message", "")

    def activesync(self, token: str) -> int:
        return self.http("OPTIONS", "outlook.office365.com", "/Microsoft-Server-ActiveSync", token)[0]


def test_a_token_with_all_mail_permissions_opens_the_mailbox_by_each_protocol():
    world = World()
    token = world.signed_in(f"{IMAP} {POP} {SMTP} offline_access")["access_token"]
    listed = r'* LIST (\Noselect \HasChildren) "/" ""'
    assert world.imap(token) == ["a1 OK AUTHENTICATE completed.", listed, "a2 OK LIST completed."]
    assert world.smtp(token) == "235 2.7.0 Authentication successful"
    assert world.pop(token) == "+OK User successfully authenticated."


def test_without_the_permission_imap_accepts_and_then_is_not_connected_the_others_refuse():
    world = World()
    token = world.signed_in(SMTP)["access_token"]
    assert world.imap(token) == ["a1 OK AUTHENTICATE completed.", NOT_CONNECTED]
    assert world.pop(token) == REFUSED_BY_POP
    assert world.smtp(world.signed_in(IMAP)["access_token"]).startswith(REFUSED_BY_SMTP)


def test_a_token_for_another_service_or_user_is_no_token():
    world = World()
    for_graph = world.signed_in(GRAPH)["access_token"]
    assert world.imap(for_graph)[0] == "a1 NO AUTHENTICATE failed."
    for_mail = world.signed_in(f"{IMAP} {SMTP}")["access_token"]
    assert world.imap(for_mail, "other@outlook.com")[0] == "a1 NO AUTHENTICATE failed."
    assert world.smtp(for_mail, "other@outlook.com").startswith(REFUSED_BY_SMTP)
    assert world.graph(for_mail) == (401, "Access token validation failure. Invalid audience.")
    assert world.graph(for_graph)[0] == 200
    assert world.graph("")[1] == "Access token is empty."
    assert world.graph("EwBnonsense")[1].startswith("CompactToken parsing failed")


def test_expired_and_taken_back():
    world = World()
    token = world.signed_in(f"{IMAP} {GRAPH.replace('graph.microsoft.com', 'outlook.office.com')}")["access_token"]
    assert world.imap(token)[0] == "a1 OK AUTHENTICATE completed."
    world.behaviour.at("somewhere").revoke("another@outlook.com")
    assert world.imap(token)[0] == "a1 OK AUTHENTICATE completed."
    world.behaviour.at("somewhere").revoke(USER)
    assert world.imap(token)[0] == "a1 NO AUTHENTICATE failed."
    token, for_graph = world.signed_in(IMAP)["access_token"], world.signed_in(GRAPH)["access_token"]
    world.behaviour.clock_offset = 3601
    assert world.imap(token)[0] == "a1 NO AUTHENTICATE failed."
    assert world.graph(for_graph)[1] == "Lifetime validation failed, the token is expired."


def test_activesync_wants_its_own_permission():
    world = World()
    assert world.activesync(world.signed_in(EAS)["access_token"]) == 200
    assert world.activesync(world.signed_in(IMAP)["access_token"]) == 403
    assert world.activesync(world.signed_in(GRAPH)["access_token"]) == 401


@pytest.mark.parametrize(
    ("state", "imap", "smtp", "pop"),
    [
        (MailboxState.NOT_CONNECTED, NOT_CONNECTED, "235", "+OK"),
        (MailboxState.IMAP_OFF, NOT_CONNECTED, "235", "+OK"),
        (MailboxState.POP_OFF, "a2 OK LIST completed.", "235", REFUSED_BY_POP),
        (MailboxState.SMTP_OFF, "a2 OK LIST completed.", "disabled for the Mailbox.", "+OK"),
        (MailboxState.SMTP_OFF_FOR_TENANT, "a2 OK LIST completed.", "disabled for the Tenant.", "+OK"),
        (MailboxState.CRITERIA, "a2 OK LIST completed.", "did not meet the criteria", "+OK"),
        (MailboxState.ACCOUNT_ISSUE, "a2 OK LIST completed.", "account has an issue.", "+OK"),
    ],
)
def test_states_of_one_mailbox(state: MailboxState, imap: str, smtp: str, pop: str):
    world = World(mailbox_states={USER: frozenset({state})})
    token = world.signed_in(f"{IMAP} {POP} {SMTP}")["access_token"]
    assert world.imap(token)[-1] == imap
    assert smtp in world.smtp(token)
    assert world.pop(token).startswith(pop)


def test_a_throttled_mailbox_leaves_others_alone():
    world = World(mailbox_states={USER: frozenset({MailboxState.THROTTLED})})
    world.behaviour.delegates["shared@contoso.example"] = frozenset({USER})
    token = world.signed_in(f"{IMAP} {SMTP} {POP}")["access_token"]
    assert world.imap(token)[0].startswith("a1 BAD Request is throttled.")
    assert world.smtp(token).startswith("432 4.3.2")
    assert world.pop(token).startswith("-ERR [SYS/TEMP]")
    assert world.imap(token, "shared@contoso.example")[0] == "a1 OK AUTHENTICATE completed."


def test_a_correct_password_of_a_mailbox_whose_smtp_is_off():
    world = World(smtp_passwords={"printer@contoso.example": "right"})
    lines = ("AUTH LOGIN", "cHJpbnRlckBjb250b3NvLmV4YW1wbGU=", "cmlnaHQ=")
    assert said(SmtpServer(world.behaviour, starttls=False), *lines)[-1].startswith("235")
    world.behaviour.mailbox_states["printer@contoso.example"] = frozenset({MailboxState.SMTP_OFF})
    assert "disabled for the Mailbox" in said(SmtpServer(world.behaviour, starttls=False), *lines)[-1]


@pytest.mark.parametrize(("tenant", "many", "more"), [("consumers", 28000, 70000), ("contoso.example", 70011, 65001)])
def test_a_refresh_asks_for_less_never_for_more_nor_for_two_services(tenant: str, many: int, more: int):
    world = World()
    first = world.signed_in(f"{IMAP} {SMTP} offline_access", tenant)["refresh_token"]
    less = world.refresh(first, tenant, scope=f"{IMAP} openid profile offline_access")
    assert world.imap(less["access_token"])[-1] == "a2 OK LIST completed."
    assert world.smtp(less["access_token"]).startswith(REFUSED_BY_SMTP)
    again = world.refresh(less["refresh_token"], tenant, scope=SMTP)
    assert world.smtp(again["access_token"]).startswith("235")
    assert world.refresh(first, tenant, scope=f"{IMAP} {GRAPH}")["error_codes"] == [many]
    assert world.refresh(first, tenant, scope=POP)["error_codes"] == [more]


@pytest.mark.parametrize(("tenant", "number"), [("consumers", 70000), ("contoso.example", 700082)])
def test_a_refresh_token_dies_of_disuse(tenant: str, number: int):
    world = World()
    token = world.signed_in(IMAP, tenant)["refresh_token"]
    world.behaviour.clock_offset = 89 * 86_400.0
    token = world.refresh(token, tenant)["refresh_token"]
    world.behaviour.clock_offset = 179 * 86_400.0
    refused = world.refresh(token, tenant)
    assert refused["error_codes"] == [number]
    assert ("inactive for 90.00:00:00" in refused["error_description"]) == (number == 700082)


def test_an_application_asks_for_default_and_nothing_else():
    world = World()
    world.sign_in.apps["app"] = App(secret="right")
    form = {"client_id": "app", "grant_type": "client_credentials", "client_secret": "right"}
    good = world.ask("/t/oauth2/v2.0/token", **form, scope="https://outlook.office365.com/.default")
    assert world.imap(good["access_token"], "anybody@contoso.example")[-1] == "a2 OK LIST completed."
    assert world.ask("/t/oauth2/v2.0/token", **form, scope=IMAP)["error_codes"] == [1002012]
    graph = world.ask("/t/oauth2/v2.0/token", **form, scope="https://graph.microsoft.com/.default")
    assert world.imap(graph["access_token"], "anybody@contoso.example")[0] == "a1 NO AUTHENTICATE failed."


def test_one_application_may_be_refused_while_others_are_served():
    world = World(client_errors={"broken": "70000.abuse"})
    token = world.signed_in(IMAP)["refresh_token"]
    assert "access_token" in world.refresh(token)
    refused = world.refresh(token, client_id="broken")
    assert refused["error_description"].startswith("AADSTS70000: User account is found to be in service abuse mode.")


def test_scopes_are_read_as_written():
    assert resources(f"{IMAP} {EAS} offline_access openid") == {"outlook"}
    assert resources(f"{GRAPH} {IMAP}") == {"graph", "outlook"}
    assert resources("") == frozenset()
    assert resources("https://contoso.example/x") == {"contoso.example"}
    assert is_for("", Use.GRAPH)
    assert permits("", Use.POP)
    assert permits("IMAP.AccessAsUser.All", Use.IMAP)
    assert not permits("IMAP.AccessAsUser.All", Use.SMTP)
