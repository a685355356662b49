"""The other HTTP hosts: ActiveSync, the web, Graph, autodiscover, the CDN, revocation (facts 2.4, 5)."""

import json
import uuid
from urllib.parse import parse_qs, urlsplit

from exporter.lab.behaviour import Behaviour, Seen, Use
from exporter.lab.http_server import Answer, Request
from exporter.lab.sign_in import SignIn
from exporter.lab.sign_in_answers import http_date

_SIGN_IN_HOSTS = frozenset({"login.microsoftonline.com", "login.live.com"})
_CHALLENGE = (
    'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", '
    'trusted_issuers="00000001-0000-0000-c000-000000000000@*", '
    'token_types="app_asserted_user_v1 service_asserted_app_v1", '
    'authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
)
_ACTIVESYNC = "/microsoft-server-activesync"
_CBA = "https://outlook-cba.office365.com/Microsoft-Server-ActiveSync"
_AUTODISCOVER = "/autodiscover/autodiscover.json"
#: OCSPResponse { responseStatus malformedRequest(1) } (RFC 6960 4.2.1): what a responder tells an empty request.
_OCSP_MALFORMED = bytes.fromhex("30030a0101")
_PROFILE = b'{"displayName":"Some One","mail":"someone@outlook.com","id":"0123456789abcdef"}'
#: Hosts in clear on port 80.
_REVOCATION = ("ocsp", "crl", "oneocsp", "mscrl")


def answer(request: Request, behaviour: Behaviour, sign_in: SignIn) -> Answer:
    """The answer of whichever host was asked, by the Host header (the address alone doesn't tell)."""
    behaviour.traffic.count("request", behaviour.place)
    host = request.host.partition(":")[0].lower()
    if host in _SIGN_IN_HOSTS:
        return sign_in.answer(request, behaviour)
    pages = _Pages(request, behaviour)
    if host.startswith(_REVOCATION):
        return pages.revocation()
    if host.endswith("msftauth.net"):
        return pages.asset()
    if host == "graph.microsoft.com":
        return pages.graph()
    return pages.exchange()


class _Pages:
    """One request to one of these hosts."""

    def __init__(self, request: Request, behaviour: Behaviour) -> None:
        self._request, self._behaviour = request, behaviour
        self._date = ("Date", http_date(behaviour.now()))
        self._path = urlsplit(request.path).path

    def exchange(self) -> Answer:
        """outlook.office365.com, outlook.live.com and autodiscover: one front end."""
        if self._behaviour.outage:
            return self._exchange(503, body=b"The service is unavailable.", kind="text/html")
        lower = self._path.lower()
        if lower.startswith(_ACTIVESYNC):
            return self._activesync()
        if self._behaviour.throttled:
            return self._exchange(429, *self._retry_after())
        if lower.startswith(_AUTODISCOVER):
            return self._autodiscover()
        place = (
            "https://outlook.live.com/mail/"
            if "live.com" in self._request.host
            else "https://outlook.office365.com/owa/"
        )
        if self._path == "/":
            return self._exchange(302, ("Location", place))
        page = b"<!DOCTYPE html><html><head><title>Outlook</title></head><body></body></html>"
        return self._exchange(200, body=page, kind="text/html; charset=utf-8")

    def _activesync(self) -> Answer:
        """Anonymous 451 is healthy; an empty Bearer, as iOS sends it, gets the challenge."""
        if self._behaviour.throttled:
            return self._exchange(503, *self._retry_after(), ("X-MS-ASThrottle", "CommandFrequency"))
        authorization = self._request.headers.get("authorization")
        if authorization is None:
            return self._exchange(451, ("X-MS-Location", _CBA))
        token = self._token(authorization)
        if token is not None and self._behaviour.is_valid(token, Use.ACTIVESYNC):
            if not self._behaviour.permits(token, Use.ACTIVESYNC):
                return self._exchange(403)
            return self._exchange(
                200, ("MS-ASProtocolVersions", "16.1"), ("MS-Server-ActiveSync", "15.21"),
                ("MS-ASProtocolCommands", "Sync,SendMail,SmartForward,SmartReply,FolderSync,Ping,Provision"),
            )  # fmt: skip
        basic = self._behaviour.era.eas_basic_challenge
        challenge = _CHALLENGE + (',Basic Realm=""' if basic else ', error="invalid_token"')
        delay = self._behaviour.auth_delay
        return self._exchange(401, ("WWW-Authenticate", challenge), delay=delay)

    def _autodiscover(self) -> Answer:
        """Autodiscover v2; without its parameters it complains (recalled)."""
        query = parse_qs(urlsplit(self._request.path).query)
        if query.get("Protocol", [""])[0].lower() != "activesync":
            words = "A valid value must be provided for the query parameter 'Protocol'"
            return self._json(400, {"ErrorCode": "MandatoryParameterMissing", "ErrorMessage": words})
        url = "https://outlook.office365.com/Microsoft-Server-ActiveSync"
        return self._json(200, {"Protocol": "ActiveSync", "Url": url})

    def graph(self) -> Answer:
        marks = [
            ("request-id", str(uuid.uuid4())), ("client-request-id", str(uuid.uuid4())), self._date,
            ("x-ms-ags-diagnostic", '{"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"5"}}'),
        ]  # fmt: skip
        delay = self._behaviour.http_delay
        if self._behaviour.outage:
            return Answer(503, marks, delay=delay)
        if self._behaviour.throttled:
            return Answer(429, [*self._retry_after(), *marks], delay=delay)
        kind = ("Content-Type", "application/json")
        token = self._token(self._request.headers.get("authorization", ""))
        if token is not None and self._behaviour.is_valid(token, Use.GRAPH):
            return Answer(200, [kind, *marks], _PROFILE, delay)
        content = {"error": {"code": "InvalidAuthenticationToken", "message": self._graph_refusal(token)}}
        return Answer(401, [kind, *marks], json.dumps(content).encode(), delay)

    def _graph_refusal(self, token: str | None) -> str:
        issued = self._behaviour.issued.get(token or "")
        if not token:
            return "Access token is empty."
        if issued is None:
            return "CompactToken parsing failed with error code: 80049217"
        if issued.expires <= self._behaviour.now():
            return "Lifetime validation failed, the token is expired."
        return "Access token validation failure. Invalid audience."

    def asset(self) -> Answer:
        """The sign-in page's files come from a blob store behind a CDN; its root holds nothing (headers recalled)."""
        marks = [
            ("x-ms-request-id", str(uuid.uuid4())), ("x-ms-version", "2009-09-19"), ("x-azure-ref", "lab"), self._date,
        ]  # fmt: skip
        if self._behaviour.outage:
            return Answer(503, marks)
        if self._path.endswith((".js", ".css", ".svg")):
            return Answer(200, [("Content-Type", "text/plain"), *marks], b"/**/", self._behaviour.http_delay)
        return Answer(404, [("Content-Type", "application/xml"), *marks], b"<Error/>", self._behaviour.http_delay)

    def revocation(self) -> Answer:
        if self._behaviour.outage:
            return Answer(503, [self._date])
        if self._path.endswith(".crl"):
            return Answer(200, [("Content-Type", "application/pkix-crl"), self._date], b"0\x00")
        return Answer(200, [("Content-Type", "application/ocsp-response"), self._date], _OCSP_MALFORMED)

    def _token(self, authorization: str) -> str | None:
        """The token of a Bearer header, None for anything else; remembers it. No password is accepted, ever."""
        if not authorization:
            return None
        scheme, _, secret = authorization.partition(" ")
        kind = "bearer" if scheme.lower() == "bearer" else "password"
        self._behaviour.traffic.credential(Seen(self._behaviour.place, kind, "", secret.strip()))
        return secret.strip() if kind == "bearer" else None

    def _retry_after(self) -> tuple[tuple[str, str], ...]:
        after = self._behaviour.retry_after
        return (("Retry-After", str(after)),) if after is not None else ()

    def _json(self, status: int, content: object) -> Answer:
        return self._exchange(status, body=json.dumps(content).encode(), kind="application/json")

    def _exchange(
        self, status: int, *headers: tuple[str, str], body: bytes = b"", kind: str | None = None, delay: float = 0.0
    ) -> Answer:
        common = [
            ("request-id", str(uuid.uuid4())), ("X-CalculatedFETarget", "BL1P223CU001.internal.outlook.com"),
            ("X-BackEndHttpStatus", str(status)), ("X-FEProxyInfo", "BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM"),
            ("X-CalculatedBETarget", "BL1P223MB0001.NAMP223.PROD.OUTLOOK.COM"), ("X-FEEFZInfo", "BL1"),
            ("X-RUM-Validated", "1"), ("X-FEServer", "BL1P223CA0005"), ("X-BEServer", "BL1P223MB0001"),
            ("MS-CV", "Lab0000000000000.1"), ("Server", "Microsoft-IIS/10.0"), ("X-Powered-By", "ASP.NET"), self._date,
        ]  # fmt: skip
        kinds = [("Content-Type", kind)] if kind is not None else []
        return Answer(status, [*headers, *kinds, *common], body, delay or self._behaviour.http_delay)
