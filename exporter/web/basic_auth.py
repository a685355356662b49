"""HTTP basic authentication against bcrypt hashes (RFC 7617), as exporter-toolkit does it.

A verification costs some 70 ms and is meant to, so it runs in a thread, one at a time, and a success is remembered:
by an HMAC under a random key, so that no password stays in memory. A failure is not, or a flood of wrong ones would
push out the right one. An unknown user costs what a known one costs, or the time would tell who exists.
"""

import asyncio
import base64
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

#: Successes remembered.
MAX_REMEMBERED = 100
#: bcrypt looks at so many bytes; newer libraries refuse longer passwords instead of cutting them.
BCRYPT_BYTES = 72

_NOBODY = b"." * 53  # salt and digest of a hash that no password has


class Users:
    """Checks credentials; remembers the right ones."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def accept(self, users: Mapping[str, str], authorization: str) -> bool:
        """Whether the Authorization header holds the password of one of the users (name → bcrypt hash)."""
        credentials = parse_basic(authorization)
        if credentials is None:
            return False
        user, password = credentials
        stored = users.get(user)
        proof = self._proof(user, stored or "", password)
        if proof in self._remembered:
            self._remembered.move_to_end(proof)
            return True
        async with self._one_at_a_time:
            right = await asyncio.to_thread(_matches, password, stored or _nobodys_hash(users))
        if not right or stored is None:
            return False
        self._remembered[proof] = None
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return True

    def _proof(self, user: str, stored: str, password: bytes) -> bytes:
        parts = (user.encode(), stored.encode(), password)
        return hmac.digest(self._key, b"".join(len(part).to_bytes(4) + part for part in parts), "sha256")


def parse_basic(authorization: str) -> tuple[str, bytes] | None:
    """User and password of an Authorization header, or None."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
        user, colon, password = decoded.partition(b":")
        return (user.decode(), password) if colon else None
    except ValueError:  # not base64, or a name that is not UTF-8
        return None


def _nobodys_hash(users: Mapping[str, str]) -> str:
    """A hash as dear as those of the users."""
    cost = next(iter(users.values()))[4:6]
    return f"$2b${cost}$" + _NOBODY.decode()


def _matches(password: bytes, stored: str) -> bool:
    try:
        return bcrypt.checkpw(password[:BCRYPT_BYTES], stored.encode())
    except ValueError:  # a hash or password that bcrypt can't read
        return False
