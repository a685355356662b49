"""What HTTP headers tell of who answers (facts 5); no I/O, h11 does the parsing.

Headers are (name, value) pairs, names lower-cased.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from exporter.protocols.sasl import http_scheme
from exporter.vocabulary import OfferedMechanism

#: Names under which Microsoft answers, mail, sign-in and the pages it redirects to.
MICROSOFT_DOMAINS = (
    "outlook.com", "office365.com", "office.com", "office.net", "hotmail.com", "live.com", "microsoft.com",
    "microsoftonline.com", "microsoftonline-p.com", "windows.net", "windows.com", "msidentity.com", "msftidentity.com",
    "msftauth.net", "msauth.net", "cloud.microsoft", "microsoftonline.us", "office365.us", "outlook.cn",
    "microsoftonline.cn", "msftauthimages.net", "msauthimages.net", "azureedge.net", "msn.com", "akadns.net",
    "msocsp.com", "digicert.com", "globalsign.com", "outlookmobile.com", "acompli.net", "azure.com",
)  # fmt: skip

#: Headers that Microsoft's front ends set and no gateway's page has. Restrict-Access-Confirm proves nothing alone.
_MARKERS = (
    "x-ms-request-id", "x-ms-ests-server", "x-ms-srs", "x-ms-clitelem", "x-ms-diagnostics", "x-ms-location",
    "x-ms-ags-diagnostic", "x-ms-route-info", "x-ms-version", "x-ms-correlation-id", "x-feserver", "x-beserver",
    "x-calculatedfetarget", "x-calculatedbetarget", "x-feproxyinfo", "x-feefzinfo", "x-firsthopcafeefz",
    "x-rum-validated", "x-diaginfo", "x-owa-version", "ms-server-activesync", "ms-asprotocolversions", "ppserver",
    "ms-cv", "x-msedge-ref", "x-azure-ref", "x-azure-ref-originshield",
)  # fmt: skip
_ESTS_COOKIES = re.compile(r"(?:fpc|esctx[^=]*|stsservicecookie|x-ms-gateway-slice|buid|MSPRequ|MSPOK|uaid|OParams)=")
_ESTS_P3P = "DSP CUR OTPi IND OTRi ONL FIN"
_ISSUER = re.compile(
    r"https://(?:login\.microsoftonline\.(?:com|us)|login\.partner\.microsoftonline\.cn|sts\.windows\.net"
    r"|login\.live\.com)(?:/[^\s]{0,200})?"
)

Headers = Sequence[tuple[str, str]]


def is_microsoft(headers: Headers, host: str) -> str | None:
    """Which header shows that Microsoft answered, or None. A sign, not a proof: an intercepting proxy passes it on."""
    names = {name: value for name, value in headers}
    for marker in _MARKERS:
        if marker in names:
            return marker
    if "request-id" in names and ("client-request-id" in names or "www-authenticate" in names or "x-ms" in str(names)):
        return "request-id"
    if _ESTS_P3P in names.get("p3p", ""):
        return "p3p"
    return next(("set-cookie" for name, value in headers if name == "set-cookie" and _ESTS_COOKIES.match(value)), None)


def is_microsoft_host(host: str) -> bool:
    """Whether a name lies under one of Microsoft's domains (or of the CAs whose revocation hosts we probe)."""
    name = host.lower().rstrip(".")
    return any(name == domain or name.endswith(f".{domain}") for domain in MICROSOFT_DOMAINS)


def is_issuer(issuer: str) -> bool:
    """Whether an OpenID issuer is a Microsoft identity provider's (facts 5)."""
    return _ISSUER.fullmatch(issuer) is not None


def redirect_host(headers: Headers) -> str | None:
    """The host a Location names; None where there is none or it stays on this host."""
    location = next((value for name, value in headers if name == "location"), None)
    if location is None:
        return None
    try:
        return urlsplit(location).hostname
    except ValueError:
        return location[:255]


def date_of(headers: Headers) -> datetime | None:
    """The server's clock (RFC 9110 6.6.1), resolution one second."""
    value = next((value for name, value in headers if name == "date"), None)
    if value is None:
        return None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else None


def challenges(headers: Headers) -> tuple[OfferedMechanism, ...]:
    """The schemes of all WWW-Authenticate headers (RFC 9110 11.6.1); Exchange joins them in one header."""
    found: set[OfferedMechanism] = set()
    for name, value in headers:
        if name == "www-authenticate":
            found.update(http_scheme(scheme) for scheme in _schemes(value))
    return tuple(sorted(found))


def _schemes(value: str) -> Iterable[str]:
    """Scheme names: a token at the start or behind a comma that isn't followed by "=" (auth-param)."""
    return re.findall(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)(?=\s+[A-Za-z]|\s*(?:,|$))", re.sub(r'"[^"]*"', '""', value))


def retry_after(headers: Headers) -> float | None:
    """Seconds of Retry-After (RFC 9110 10.2.3); a date or nonsense is None. Capped at an hour."""
    value = next((value for name, value in headers if name == "retry-after"), "")
    return min(float(value), 3600.0) if value.strip().isdigit() and len(value) < 10 else None


def oauth_error(body: bytes) -> str | None:
    """`error_description` of an OAuth error body (RFC 6749 5.2), else its `error`; None where it is no such body."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("error"), str):
        return None
    description = content.get("error_description")
    return " ".join(description.split()) if isinstance(description, str) and description else str(content["error"])
