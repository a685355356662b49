"""Where tokens are asked for and which: never another host than the account's authority, one resource a request."""

import pytest

from exporter.accounts.authority import Authority, grant_of
from exporter.accounts.msal_bridge import Carrier, Credentials, NotAnswered, ask, begin_device_flow
from exporter.accounts.request import Reply, Request
from exporter.accounts.token import Grant, Resource
from exporter.probe.conversation_http import Answer
from exporter.settings_account import AccountSettings

PERSON = AccountSettings.model_validate(
    {"name": "p", "kind": "oauth_personal", "username": "u@x.example", "client_id": "c"}
)
APP = AccountSettings.model_validate(
    {"name": "a", "kind": "oauth_work", "client_id": "c", "client_secret_file": "/s",
     "authority": "https://login.microsoftonline.us/contoso.example"}
)  # fmt: skip
OTHER = AccountSettings.model_validate(
    {
        "name": "o",
        "kind": "oauth_work",
        "client_id": "c",
        "client_secret_file": "/s",
        "authority": "https://idp.example/t",
    }
)


def test_defaults_by_kind():
    assert Authority.of(PERSON).url == "https://login.microsoftonline.com/consumers"
    assert (grant_of(PERSON), grant_of(APP)) == (Grant.REFRESH_TOKEN, Grant.CLIENT_CREDENTIALS)
    with pytest.raises(ValueError, match="no token"):
        Authority.of(AccountSettings.model_validate({"name": "x", "kind": "app_password"}))


def test_scopes_of_a_person_are_those_of_the_mail_protocols_and_one_resource():
    scopes = Authority.of(PERSON).scopes(PERSON, Resource.EXCHANGE)
    assert "https://outlook.office.com/IMAP.AccessAsUser.All" in scopes
    assert {scope.rpartition("/")[0] for scope in scopes} == {"https://outlook.office.com"}
    assert Authority.of(PERSON).scopes(PERSON, Resource.GRAPH) == ("https://graph.microsoft.com/User.Read",)


def test_national_clouds_have_their_own_hosts():
    assert Authority.of(APP).scopes(APP, Resource.EXCHANGE) == ("https://outlook.office365.us/.default",)
    assert Authority.of(APP).scopes(APP, Resource.GRAPH) == ("https://graph.microsoft.us/.default",)
    china = Authority("https://login.partner.microsoftonline.cn/t")
    assert china.scopes(APP, Resource.EXCHANGE) == ("https://partner.outlook.cn/.default",)


class Scripted:
    """Answers in turn, and what was asked."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.asked: list[Request] = []
        self._answers = list(answers)

    def __call__(self, request: Request) -> Reply:
        self.asked.append(request)
        status, text = self._answers.pop(0)
        return Reply(answer=Answer(status=status, headers=[], body=text.encode(), sent=1.0, ended=2.0))


GIVEN = '{"token_type": "Bearer", "access_token": "EwB-t", "expires_in": 3600}'


def test_microsofts_own_endpoint_needs_no_metadata():
    carry = Scripted((200, GIVEN))
    answer = ask(APP, Carrier(Authority.of(APP), carry), Grant.CLIENT_CREDENTIALS, ("s/.default",), credentials=_app())
    assert answer["access_token"] == "EwB-t"
    [request] = carry.asked
    assert (request.method, request.host, request.port) == ("POST", "login.microsoftonline.us", 443)
    assert request.path == "/contoso.example/oauth2/v2.0/token"
    assert "the-secret" not in repr(request)


def test_another_providers_metadata_are_asked_for_without_any_secret():
    metadata = '{"issuer": "https://idp.example/t", "authorization_endpoint": "https://idp.example/a", "token_endpoint": "https://idp.example/token"}'
    carry = Scripted((200, metadata), (200, GIVEN))
    answer = ask(OTHER, Carrier(Authority.of(OTHER), carry), Grant.CLIENT_CREDENTIALS, ("s",), credentials=_app())
    assert answer["access_token"] == "EwB-t"
    assert [(each.method, each.body is None) for each in carry.asked] == [("GET", True), ("POST", False)]


def test_metadata_that_name_another_host_get_no_secret():
    metadata = '{"issuer": "https://idp.example/t", "authorization_endpoint": "https://idp.example/a", "token_endpoint": "https://evil.example/token"}'
    carry = Scripted((200, metadata), (200, GIVEN))
    answer = ask(OTHER, Carrier(Authority.of(OTHER), carry), Grant.CLIENT_CREDENTIALS, ("s",), credentials=_app())
    assert answer == {}
    assert [each.method for each in carry.asked] == ["GET"]


def test_a_redirect_is_an_answer_and_nothing_is_sent_after_it():
    carry = Scripted((307, "https://evil.example/token"))
    assert ask(APP, Carrier(Authority.of(APP), carry), Grant.CLIENT_CREDENTIALS, ("s",), credentials=_app()) == {}
    assert len(carry.asked) == 1


def test_a_second_request_in_one_acquisition_is_refused():
    carrier = Carrier(Authority.of(APP), Scripted((400, "{}"), (200, GIVEN)))
    carrier.post("https://login.microsoftonline.us/contoso.example/oauth2/v2.0/token", data={"a": "b"})
    with pytest.raises(NotAnswered, match="second request"):
        carrier.post("https://login.microsoftonline.us/contoso.example/oauth2/v2.0/token", data={"a": "b"})


@pytest.mark.parametrize(
    "url",
    [
        "http://login.microsoftonline.us/t",
        "https://login.microsoftonline.us:444/t",
        "https://x.example/t",
        "https:///t",
    ],
)
def test_no_other_place_is_asked(url: str):
    carry = Scripted()
    with pytest.raises(NotAnswered, match="authority's own host"):
        Carrier(Authority.of(APP), carry).post(url, data={})
    assert carry.asked == []


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"access_token": 7}', '"x"', "{" * 5000])
def test_answers_that_are_none_end_without_a_token(text: str):
    carry = Scripted((200, text))
    answer = ask(APP, Carrier(Authority.of(APP), carry), Grant.CLIENT_CREDENTIALS, ("s",), credentials=_app())
    assert not isinstance(answer.get("access_token"), str)


@pytest.mark.parametrize(
    ("said", "polled"),
    [("7", 7), ("0", 1), ("-3", 1), ("2.5", 2), ("1e9", 60), ('"9"', 9)],
)
def test_a_devices_code_is_polled_for_at_a_pace_that_msal_can_keep(said: str, polled: int):
    code = '{"device_code": "d", "user_code": "u", "verification_uri": "https://x.example", "expires_in": 900, '
    carry = Scripted((200, f'{code}"interval": {said}}}'))
    flow = begin_device_flow(PERSON, Carrier(Authority.of(PERSON), carry), ("s",))
    assert (flow["device_code"], flow["interval"]) == ("d", polled)


def _app() -> Credentials:
    from exporter.secret_files import Secret

    return Credentials(client_secret=Secret(b"the-secret"))
