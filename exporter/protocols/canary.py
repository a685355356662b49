"""The canary: a well-formed token that was never valid, for a user who can't exist.

Nobody's account can be locked by it, and a server that parses tokens sees at once that it expired in 2020.
"""

import base64
import json
import random

#: RFC 6761: `.invalid` never exists.
CANARY_USER = "canary@outlook-auth-exporter.invalid"

_ISSUED, _EXPIRED = 1_577_836_800, 1_577_840_400  # 2020-01-01T00:00Z, an hour later
_SIGNATURE_BYTES = 256  # RS256 with a 2048-bit key
#: Real access tokens have 1.2 to 3 kB; this one about 1,500 bytes, so that a filter on long lines meets it.
_TARGET_SIZE = 1_500


def canary_token(randomness: random.Random) -> str:
    """A JWT (RFC 7519), RS256, expired in 2020, its signature random bytes."""
    header = {"typ": "JWT", "alg": "RS256", "kid": "canary"}
    claims = {
        "aud": "https://outlook.office.com",
        "iss": "https://outlook-auth-exporter.invalid/",
        "iat": _ISSUED,
        "nbf": _ISSUED,
        "exp": _EXPIRED,
        "upn": CANARY_USER,
        "scp": "IMAP.AccessAsUser.All POP.AccessAsUser.All SMTP.Send",
        "note": "A canary of outlook-auth-exporter: worthless by design, it proves that the path carries tokens.",
    }
    signature = _encoded(randomness.randbytes(_SIGNATURE_BYTES))
    bare = len(_part(header)) + len(_part(claims)) + len(signature) + 2
    claims["padding"] = "0" * max((_TARGET_SIZE - bare) * 3 // 4, 0)
    return f"{_part(header)}.{_part(claims)}.{signature}"


def _part(content: dict[str, object] | dict[str, str]) -> str:
    return _encoded(json.dumps(content, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
