"""What HTTP headers tell of who answers (facts 5); no I/O, h11 does the parsing.

Headers are (name, value) pairs, names lower-cased.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from exporter.protocols.dates import parse_date
from exporter.vocabulary import OfferedMechanism

#: Names under which Microsoft answers, mail, sign-in and the pages it redirects to.
MICROSOFT_DOMAINS = (
    "outlook.com", "office365.com", "office.com", "office.net", "hotmail.com", "live.com", "microsoft.com",
    "microsoftonline.com", "microsoftonline-p.com", "windows.net", "windows.com", "msidentity.com", "msftidentity.com",
    "msftauth.net", "msauth.net", "cloud.microsoft", "microsoftonline.us", "office365.us", "outlook.cn",
    "microsoftonline.cn", "msftauthimages.net", "msauthimages.net", "azureedge.net", "msn.com", "akadns.net",
    "msocsp.com", "digicert.com", "globalsign.com", "outlookmobile.com", "acompli.net", "azure.com",
)  # fmt: skip

#: Headers that only Microsoft's front ends set, with any x-ms-*. Server: Microsoft-IIS is no sign (a gateway may run
#: it), and Restrict-Access-Confirm proves nothing alone.
_MARKERS = (
    "x-feserver", "x-beserver", "x-calculatedfetarget", "x-calculatedbetarget", "x-feproxyinfo", "x-feefzinfo",
    "x-firsthopcafeefz", "x-rum-validated", "x-diaginfo", "x-owa-version", "ms-server-activesync",
    "ms-asprotocolversions", "ppserver", "ms-cv", "x-msedge-ref",
)  # fmt: skip
#: Azure's front door stands before anyone's sites: a sign only where it is known to be, at the sign-in page's files.
_FRONT_DOOR_MARKERS = ("x-azure-ref", "x-azure-ref-originshield")
_FRONT_DOOR_DOMAINS = ("msftauth.net", "msauth.net", "msftauthimages.net", "msauthimages.net")
_SIGN_IN_COOKIES = re.compile(
    r"(?:fpc|esctx[^=]{0,64}|stsservicecookie|x-ms-gateway-slice|buid|ESTSAUTH[A-Z]{0,16}|MSPRequ|MSPOK|uaid|OParams)="
)
_ESTS_P3P = "DSP CUR OTPi IND OTRi ONL FIN"
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_SCHEMES = {
    "basic": OfferedMechanism.BASIC,
    "bearer": OfferedMechanism.BEARER,
    "negotiate": OfferedMechanism.NEGOTIATE,
    "ntlm": OfferedMechanism.NTLM,
}
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"')
_SCHEME = re.compile(r"(?:^|,)\s*+([A-Za-z][A-Za-z0-9-]{0,63})(?=\s++[A-Za-z]|\s*+(?:,|$))")
#: Seconds of Retry-After that are believed, at most: whoever says ten years must not end all probing.
MAX_RETRY_AFTER = 86_400.0
_ISSUER = re.compile(
    r"https://(?:login\.microsoftonline\.(?:com|us)|login\.partner\.microsoftonline\.cn|sts\.windows\.net"
    r"|login\.live\.com)(?:/[^\s]{0,200})?"
)

Headers = Sequence[tuple[str, str]]


def is_microsoft(headers: Headers, host: str) -> str | None:
    """Which header shows that Microsoft answered, or None. A sign, not a proof: an intercepting proxy passes it on."""
    for name, value in headers:
        if name in _MARKERS or name.startswith("x-ms-"):
            return name
        if name in _FRONT_DOOR_MARKERS and _lies_under(host, _FRONT_DOOR_DOMAINS):
            return name
        if name == "request-id" and _GUID.fullmatch(value.strip()):
            return name
        if (name == "p3p" and _ESTS_P3P in value) or (name == "set-cookie" and _SIGN_IN_COOKIES.match(value)):
            return name
    return None


def is_microsoft_host(host: str) -> bool:
    """Whether a name lies under one of Microsoft's domains (or of the CAs whose revocation hosts we probe)."""
    return _lies_under(host, MICROSOFT_DOMAINS)


def _lies_under(host: str, domains: tuple[str, ...]) -> bool:
    name = host.lower().rstrip(".")
    return any(name == domain or name.endswith(f".{domain}") for domain in domains)


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
    return None if value is None else parse_date(value)


def challenges(headers: Headers) -> tuple[OfferedMechanism, ...]:
    """The schemes of all WWW-Authenticate headers (RFC 9110 11.6.1); Exchange joins them in one header."""
    found: set[OfferedMechanism] = set()
    for name, value in headers:
        if name == "www-authenticate":
            schemes = _SCHEME.findall(_QUOTED.sub('""', value))
            found.update(_SCHEMES.get(scheme.lower(), OfferedMechanism.OTHER) for scheme in schemes)
    return tuple(sorted(found))


def retry_after(headers: Headers) -> float | None:
    """Seconds of Retry-After (RFC 9110 10.2.3), MAX_RETRY_AFTER at most; nonsense is None.

    A date is as far away as it is from the server's own Date: our clock may be wrong.
    """
    value = next((value for name, value in headers if name == "retry-after"), "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return min(float(value), MAX_RETRY_AFTER)
    until, now = parse_date(value), date_of(headers)
    if until is None or now is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER)


def graph_error(body: bytes) -> str | None:
    """ "CODE: MESSAGE" of an OData error body, as Microsoft Graph answers; None where it is no such body."""
    try:
        content = json.loads(body)
        error = content["error"]
        code, message = error["code"], error.get("message", "")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return f"{code}: {' '.join(str(message).split())}" if isinstance(code, str) else None


def oauth_error(body: bytes) -> str | None:
    """`error_description` of an OAuth error body (RFC 6749 5.2), else its `error`; None where it is no such body."""
    content = json_object(body)
    if content is None or not isinstance(content.get("error"), str):
        return None
    description = content.get("error_description")
    return " ".join(description.split()) if isinstance(description, str) and description else str(content["error"])


def json_object(body: bytes) -> dict[str, Any] | None:
    """A body that is a JSON object, parsed; None for anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
