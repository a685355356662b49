"""Whose a cache is: the application's, at its identity provider, with its secret; or the password's.

What another one left there is nobody's any more. So no token goes to a provider that didn't give it, and what a person
has mended is tried at once: the pause was for the wrong secret. The hour's budget goes on.
"""

import hashlib
import secrets
from dataclasses import replace

from exporter.accounts.msal_bridge import Credentials
from exporter.accounts.token_file import History, Stored
from exporter.secret_files import Secret
from exporter.settings_account import AccountSettings

#: RFC 8018 5.2: some ten milliseconds a guess, for a password may be a short one, and files are copied. No scrypt: what
#: it takes of memory, on several threads, stays with the process.
_ROUNDS, _SALT, _LENGTH = 20_000, 16, 16


class Belonging:
    """What a cache belongs to. Only a salted hash of it is stored."""

    def __init__(self, *parts: Secret | str | None) -> None:
        self._parts = Secret(b"".join(map(_framed, parts)))
        self._marks: dict[str, str] = {}

    @classmethod
    def of(cls, account: AccountSettings, credentials: Credentials) -> "Belonging":
        """Of an account that asks for tokens."""
        proof = (credentials.client_secret, credentials.certificate, credentials.private_key)
        return cls(account.authority_or_default(), account.client_id, *proof)

    def same_as(self, other: "Belonging") -> bool:
        """Whether both are the same application, provider and secret."""
        return self._parts.reveal_bytes() == other._parts.reveal_bytes()

    def kept(self, stored: Stored) -> Stored:
        """What of a cache's content is of use. One that belongs to nobody yet is taken."""
        if stored.belongs_to is None:
            return replace(stored, belongs_to=self._mark(secrets.token_hex(_SALT)))
        salt = stored.belongs_to.partition(":")[0]
        if secrets.compare_digest(self._mark(salt).encode(), stored.belongs_to.encode()):
            return stored
        return Stored(history=History(requests=stored.history.requests), belongs_to=self._mark(salt))

    def _mark(self, salt: str) -> str:
        if salt not in self._marks:
            found = hashlib.pbkdf2_hmac("sha256", self._parts.reveal_bytes(), salt.encode(), _ROUNDS, _LENGTH)
            self._marks = {salt: f"{salt}:{found.hex()}"}
        return self._marks[salt]


def _framed(part: Secret | str | None) -> bytes:
    """With its length before it, so that no two lists of parts are the same bytes."""
    content = b"" if part is None else part.reveal_bytes() if isinstance(part, Secret) else part.encode()
    return b"%d:%b" % (len(content), content)
