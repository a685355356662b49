"""Headers tell who answers; a gateway's page has none of Microsoft's signs."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols import http
from exporter.vocabulary import OfferedMechanism

LOGIN, OUTLOOK = "login.microsoftonline.com", "outlook.office365.com"
GUID = "a7990881-fed4-4781-8b5d-443fccee2f00"
EXCHANGE_CHALLENGE = (
    'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", '
    'trusted_issuers="00000001-0000-0000-c000-000000000000@*", '
    'token_types="app_asserted_user_v1 service_asserted_app_v1", '
    'authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
)
_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["location", "date", "www-authenticate", "retry-after", "set-cookie", "request-id", "p3p", "server"]
        ),
        st.one_of(
            st.text(st.characters(max_codepoint=255)),
            st.sampled_from(['Bearer realm="', "Basic,,", 'a="\\"", NTLM', "http://[", "²", "9" * 30, " 5 ", "//x"]),
        ),
    )
)


@pytest.mark.parametrize(
    ("host", "header", "marker"),
    [
        (LOGIN, ("x-ms-request-id", GUID), "x-ms-request-id"),
        (LOGIN, ("x-ms-ests-server", "2.1.12651.7 - SCUS ProdSlices"), "x-ms-ests-server"),
        (LOGIN, ("p3p", 'CP="DSP CUR OTPi IND OTRi ONL FIN"'), "p3p"),
        (LOGIN, ("set-cookie", "esctx=PAQABAAEAAAD; domain=.login.microsoftonline.com; path=/"), "set-cookie"),
        (LOGIN, ("set-cookie", "x-ms-gateway-slice=estsfd; path=/; secure; httponly"), "set-cookie"),
        ("login.live.com", ("ppserver", "PPV: 30 H: BL02EPF0001D9E1 V: 0"), "ppserver"),
        ("login.live.com", ("set-cookie", "MSPRequ=id=N&lt=1700000000; path=/"), "set-cookie"),
        (OUTLOOK, ("request-id", GUID), "request-id"),
        (OUTLOOK, ("x-feserver", "SJ0PR05CA0071"), "x-feserver"),
        (OUTLOOK, ("ms-cv", "gQiZp9T+gUeLXUQ/zO4vAA.0"), "ms-cv"),
        (OUTLOOK, ("x-ms-location", "https://outlook-cba.office365.com/Microsoft-Server-ActiveSync"), "x-ms-location"),
        (OUTLOOK, ("x-ms-diagnostics", '4000000;reason="Flighting"'), "x-ms-diagnostics"),
        ("graph.microsoft.com", ("x-ms-ags-diagnostic", '{"ServerInfo":{}}'), "x-ms-ags-diagnostic"),
        ("aadcdn.msftauth.net", ("x-azure-ref", "20261124T000000Z-x"), "x-azure-ref"),
    ],
)
def test_microsofts_marks(host: str, header: tuple[str, str], marker: str):
    assert http.is_microsoft([("server", "x"), header, ("date", "x")], host) == marker


@pytest.mark.parametrize(
    "header",
    [
        ("restrict-access-confirm", "1"),
        ("server", "Microsoft-IIS/10.0"),
        ("x-powered-by", "ASP.NET"),
        ("request-id", "42"),
        ("x-azure-ref", "20261124T000000Z-x"),
        ("set-cookie", "webfilter_session=esctx; path=/"),
        ("p3p", 'CP="NOI"'),
        ("via", "1.1 proxy (x-ms-request-id)"),
        ("alt-svc", 'h3=":443"'),
    ],
)
def test_what_a_gateway_may_send_too_is_no_mark(header: tuple[str, str]):
    assert http.is_microsoft([header], OUTLOOK) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("login.live.com", True),
        ("OUTLOOK.com.", True),
        ("evil-outlook.com", False),
        ("outlook.com.gateway.example", False),
        ("block.opendns.com", False),
        ("", False),
    ],
)
def test_microsofts_names(host: str, expected: bool):
    assert http.is_microsoft_host(host) is expected


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://login.microsoftonline.com/{tenantid}/v2.0", True),
        ("https://sts.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad/", True),
        ("https://login.live.com", True),
        ("https://login.microsoftonline.com.gateway.example/", False),
        ("http://login.microsoftonline.com/x", False),
        ("https://login.microsoftonline.com/a b", False),
    ],
)
def test_issuers(issuer: str, expected: bool):
    assert http.is_issuer(issuer) is expected


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://www.office.com/login#", "www.office.com"),
        ("https://10.1.2.3:8090/ips/block/webcat?cat=8", "10.1.2.3"),
        ("//Gateway.Example/blocked", "gateway.example"),
        ("/relative", None),
        ("http://[broken", "http://[broken"),
    ],
)
def test_where_a_redirect_leads(location: str, host: str | None):
    assert http.redirect_host([("location", location)]) == host
    assert http.redirect_host([]) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([EXCHANGE_CHALLENGE + ', error="invalid_token"'], {OfferedMechanism.BEARER}),
        ([EXCHANGE_CHALLENGE + ',Basic Realm=""'], {OfferedMechanism.BEARER, OfferedMechanism.BASIC}),
        (['Basic Realm="",Negotiate'], {OfferedMechanism.BASIC, OfferedMechanism.NEGOTIATE}),
        (["NTLM", "bearer"], {OfferedMechanism.NTLM, OfferedMechanism.BEARER}),
        (['Digest realm="a, Basic b", qop="auth"'], {OfferedMechanism.OTHER}),
        (['Basic realm="say \\", Negotiate"'], {OfferedMechanism.BASIC}),
        ([""], set()),
        ([], set()),
    ],
)
def test_challenges(values: list[str], expected: set[OfferedMechanism]):
    found = http.challenges([("www-authenticate", value) for value in values])
    assert set(found) == expected
    assert len(found) == len(expected)


def test_the_date():
    date = datetime(2026, 11, 24, 0, 26, 1, tzinfo=UTC)
    assert http.date_of([("date", "Tue, 24 Nov 2026 00:26:01 GMT")]) == date
    assert http.date_of([("date", "yesterday")]) is None
    assert http.date_of([]) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120.0), (" 5 ", 5.0), ("999999", 86_400.0), ("9" * 30, None), ("²", None), ("-1", None), ("1.5", None),
     ("Tue, 24 Nov 2026 00:26:01 GMT", None), ("", None)],
)  # fmt: skip
def test_retry_after(value: str, seconds: float | None):
    assert http.retry_after([("retry-after", value)]) == seconds


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        ("Tue, 24 Nov 2026 00:28:01 GMT", 120.0),
        ("Tue, 24 Nov 2026 00:00:00 GMT", 0.0),
        ("Fri, 24 Nov 2045 00:00:00 GMT", 86_400.0),
        ("soon", None),
    ],
)
def test_retry_after_a_date_counts_by_the_servers_own_clock(until: str, seconds: float | None):
    assert http.retry_after([("date", "Tue, 24 Nov 2026 00:26:01 GMT"), ("retry-after", until)]) == seconds


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b'{"error":"invalid_request","error_description":"AADSTS900144: The request body must contain\\r\\nTrace"}',
            "AADSTS900144: The request body must contain Trace",
        ),
        (b'{"error":"invalid_request"}', "invalid_request"),
        (b'{"error":"invalid_request","error_description":""}', "invalid_request"),
        (b'{"error":{"code":"InvalidAuthenticationToken"}}', None),
        (b"[]", None),
        (b"<html>blocked</html>", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b"9" * 10_000, None),
        (b"", None),
    ],
)
def test_oauth_errors(body: bytes, told: str | None):
    assert http.oauth_error(body) == told


@given(_HEADERS)
def test_headers_of_any_kind_never_raise(headers: list[tuple[str, str]]):
    http.is_microsoft(headers, OUTLOOK)
    http.redirect_host(headers)
    http.challenges(headers)
    http.date_of(headers)
    http.retry_after(headers)


@given(st.binary())
def test_bodies_of_any_kind_never_raise(body: bytes):
    http.oauth_error(body)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b'{"error":{"code":"ErrorAccessDenied","message":"Access\\nis  denied."}}',
            "ErrorAccessDenied: Access is denied.",
        ),
        (b'{"error":{"code":"x"}}', "x: "),
        (b'{"error":{"code":7,"message":"x"}}', None),
        (b'{"error":"invalid_grant"}', None),
        (b'{"error":[]}', None),
        (b"[]", None),
        (b"null", None),
        (b"<html>", None),
        (b"", None),
        (b"[" * 100_000, None),
    ],
)
def test_graph_errors(body: bytes, told: str | None):
    assert http.graph_error(body) == told


@given(st.binary())
def test_any_body_has_a_graph_error_or_none(body: bytes):
    http.graph_error(body)
