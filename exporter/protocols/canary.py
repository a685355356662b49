"""A well-formed, worthless token for a user that can't exist: refused by Microsoft in its own words, or by nobody.

It is as long as a real one (about 1,500 bytes), for a gateway may treat long lines differently; it expired in 2020, its
signature is random, and it says openly what it is.
"""

import base64
import json
from random import Random

#: RFC 2606: no such top-level domain, so nobody's account is touched.
CANARY_USER = "canary@outlook-auth-exporter.invalid"

_SIGNATURE_BYTES = 256  # RS256 with a 2048-bit key
_TOKEN_LENGTH = 1_500
_ISSUED = 1_577_836_800  # 2020-01-01T00:00:00Z
_LIFETIME = 3_900  # seconds


def canary_token(source: Random) -> str:
    """A JWT (RFC 7519) signed RS256 by random bytes, new at each call."""
    tenant, key = _guid(source), _encode(source.randbytes(20))
    header = _part({"typ": "JWT", "alg": "RS256", "x5t": key, "kid": key})
    signature = _encode(source.randbytes(_SIGNATURE_BYTES))
    claims: dict[str, str | int] = {
        "aud": "https://outlook.office.com",
        "iss": f"https://sts.windows.net/{tenant}/",
        "iat": _ISSUED,
        "nbf": _ISSUED,
        "exp": _ISSUED + _LIFETIME,
        "app_displayname": "outlook-auth-exporter canary: worthless on purpose",
        "appid": _guid(source),
        "name": "canary",
        "oid": _guid(source),
        "scp": "IMAP.AccessAsUser.All POP.AccessAsUser.All SMTP.Send",
        "sub": _encode(source.randbytes(32)),
        "tid": tenant,
        "upn": CANARY_USER,
        "ver": "1.0",
    }
    room = (_TOKEN_LENGTH - len(header) - len(signature) - 2) * 3 // 4
    padding = room - len(_json({**claims, "xms_st": ""}))
    claims["xms_st"] = _encode(source.randbytes(padding))[:padding]
    return f"{header}.{_part(claims)}.{signature}"


def _guid(source: Random) -> str:
    digits = source.randbytes(16).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _json(claims: dict[str, str | int]) -> bytes:
    return json.dumps(claims, separators=(",", ":")).encode()


def _part(claims: dict[str, str | int]) -> str:
    return _encode(_json(claims))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
