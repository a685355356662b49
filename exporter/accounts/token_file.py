"""An account's token cache: one file, 0600, replaced as a whole under a lock: a kill at any moment leaves it whole.

Where a key is given (systemd credential `token-cache-key`) it is encrypted: AES-256-GCM, the key by HKDF-SHA256
(RFC 5869). Without one it is as safe as its mode and the disk are, and `accounts` says so. A damaged file is set aside,
never deleted, and the way back is to sign in anew.
"""

import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exporter.accounts.file_owner import why
from exporter.accounts.token import Resource
from exporter.secret_files import Secret, others_can_read

#: A refresh token that isn't used dies after so long (facts 4.4), seconds.
UNUSED_SECONDS = 90 * 86_400.0
#: A cache larger than this is none, bytes.
MAX_FILE = 262_144
#: How long another process's request may keep the lock, seconds; then this one gives up for now.
LOCK_SECONDS = 45.0
#: How often the lock is tried, seconds.
_LOCK_PERIOD = 0.05
#: Name of the systemd credential that encrypts the caches, and the least of it, bytes.
KEY_CREDENTIAL, MIN_KEY = "token-cache-key", 16

_VERSION = 1
_SEALED = b"outlook-auth-exporter sealed 1\n"
_NONCE = 12


class TokenFileError(Exception):
    """The cache can't be used. The message says why and what to do, and holds no content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An access token and when it was given and expires, Unix seconds by this machine's clock."""

    token: Secret
    obtained_at: float
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the next request depends on (refresh_policy), and when a refresh last went well; Unix seconds.

    Kept with the tokens, so that a restart begins no new budget.
    """

    requests: tuple[float, ...] = ()
    failures: int = 0
    not_before: float = 0.0
    last_refresh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a cache holds. `refresh_obtained_at`: when the refresh token was given, or used last; Unix seconds.

    `belongs_to`: see Belonging; None while it is nobody's.
    """

    refresh_token: Secret | None = None
    refresh_obtained_at: float | None = None
    access: Mapping[Resource, AccessToken] = field(default_factory=dict)
    history: History = History()
    last_error: str | None = None
    last_error_at: float | None = None
    belongs_to: str | None = None

    @property
    def sign_in_expires(self) -> float | None:
        """When a refresh token that isn't used any more dies, Unix seconds."""
        if self.refresh_token is None or self.refresh_obtained_at is None:
            return None
        return self.refresh_obtained_at + UNUSED_SECONDS

    def with_access(self, resource: Resource, token: AccessToken) -> "Stored":
        """With that token in the place of the one for the same resource."""
        return replace(self, access={**self.access, resource: token})


class TokenFile:
    """One account's cache. Blocking, so it is used on a thread of its own; `path`'s directory is made where missing."""

    def __init__(self, path: Path, account: str, key: Secret | None = None) -> None:
        self.path = path
        self._account = account
        self._key = None if key is None else _derived(key)

    @property
    def encrypted(self) -> bool:
        """Whether what is written is encrypted."""
        return self._key is not None

    @contextmanager
    def locked(self, pause: Callable[[float], None] = time.sleep) -> Iterator[None]:
        """Holds the cache against other processes and threads. Raises TokenFileError where it can't be had in time.

        `pause`: sleeps between two tries; what it raises ends the wait.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise TokenFileError(f"token_cache: {self.path}: {why(error, self.path)}") from None
        try:
            _await_lock(descriptor, pause)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> Stored:
        """What is there; nothing where there is no file yet.

        Raises TokenFileError: others can read it, it can't be read, or it was damaged and has been set aside.
        """
        try:
            content = self._content()
        except FileNotFoundError:
            return Stored()
        except OSError as error:
            raise TokenFileError(f"token_cache: {self.path}: {why(error, self.path)}") from None
        try:
            return _parsed(self._opened(content))
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            pass  # what is raised in here would carry what the file holds
        raise TokenFileError(self._set_aside())

    def write(self, stored: Stored) -> None:
        """Replaces the file at once: whoever reads it sees the old content or this. Raises TokenFileError."""
        content = self._sealed(json.dumps(_plain(stored)).encode())
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}.tmp")
        try:
            self._remove_leftovers()
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, self.path)
            _sync_directory(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise TokenFileError(
                f"token_cache: {self.path}: {why(error, self.path)}; nothing of it was changed"
            ) from None

    def _remove_leftovers(self) -> None:
        """What a kill left half written; the lock is held, so nobody writes them any more."""
        for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            leftover.unlink(missing_ok=True)

    def _content(self) -> bytes:
        """One byte more than a cache may have, at most. Raises OSError, TokenFileError."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise TokenFileError(f"token_cache: {self.path}: it is no regular file; name one")
            self._refuse_others(descriptor)
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(MAX_FILE + 1)
        finally:
            os.close(descriptor)

    def _refuse_others(self, descriptor: int) -> None:
        if others_can_read(descriptor):
            raise TokenFileError(f"token_cache: {self.path}: others can read it; chmod 0600 it, and sign in anew")
        mode = self.path.parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise TokenFileError(f"token_cache: {self.path.parent}: anyone may replace files in it; chmod o-w it")

    def _sealed(self, content: bytes) -> bytes:
        if self._key is None:
            return content
        nonce = secrets.token_bytes(_NONCE)
        return _SEALED + nonce + AESGCM(self._key).encrypt(nonce, content, self._account.encode())

    def _opened(self, content: bytes) -> bytes:
        """Raises ValueError for what isn't a whole cache; TokenFileError where only the key is missing."""
        if len(content) > MAX_FILE:
            raise ValueError("too large")
        if not content.startswith(_SEALED):
            return content
        if self._key is None:
            raise TokenFileError(
                f"token_cache: {self.path}: it is encrypted, and the credential {KEY_CREDENTIAL} is missing"
            )
        sealed = content[len(_SEALED) :]
        try:
            return AESGCM(self._key).decrypt(sealed[:_NONCE], sealed[_NONCE:], self._account.encode())
        except InvalidTag:
            raise ValueError("sealed with another key, or damaged") from None

    def _set_aside(self) -> str:
        place = self.path.with_name(f"{self.path.name}.damaged-{int(time.time())}")
        try:
            os.replace(self.path, place)
        except OSError as error:
            return f"token_cache: {self.path}: it is damaged, and can't be set aside ({error.strerror})"
        return (
            f"token_cache: {self.path}: it is damaged{' or of another key' if self._key else ''} and was set aside as "
            f"{place.name}; sign in anew: outlook-auth-exporter login {self._account}"
        )


def default_path(account: str, env: Mapping[str, str]) -> Path:
    """Where an account's cache is when the configuration doesn't say (systemd.exec(5), XDG base directories)."""
    state = env.get("STATE_DIRECTORY", "").split(":")[0]
    if state:
        return Path(state) / f"{account}.token"
    home = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME", "/root")) / ".local/state")
    return Path(home) / "outlook-auth-exporter" / f"{account}.token"


def _derived(key: Secret) -> bytes:
    raw = key.reveal_bytes()
    if len(raw) < MIN_KEY:
        raise TokenFileError(
            f"the credential {KEY_CREDENTIAL} has less than {MIN_KEY} bytes; make one of 32 random ones"
        )
    return HKDF(SHA256(), 32, salt=None, info=b"outlook-auth-exporter token cache").derive(raw)


def _await_lock(descriptor: int, pause: Callable[[float], None]) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise TokenFileError("token_cache: another process has been using it for too long") from None
            pause(_LOCK_PERIOD)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain(stored: Stored) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "refresh_token": None if stored.refresh_token is None else stored.refresh_token.reveal(),
        "refresh_obtained_at": stored.refresh_obtained_at,
        "access": {
            resource: {"token": each.token.reveal(), "obtained_at": each.obtained_at, "expires_at": each.expires_at}
            for resource, each in stored.access.items()
        },
        "history": asdict(stored.history),
        "last_error": stored.last_error,
        "last_error_at": stored.last_error_at,
        "belongs_to": stored.belongs_to,
    }


def _parsed(content: bytes) -> Stored:
    """Raises ValueError, KeyError or TypeError for what isn't such a cache."""
    plain = json.loads(content)
    if not isinstance(plain, dict) or plain["version"] != _VERSION:
        raise ValueError("not a cache of this version")
    refresh, history = plain["refresh_token"], plain["history"]
    return Stored(
        refresh_token=None if refresh is None else _secret(refresh),
        refresh_obtained_at=_time(plain["refresh_obtained_at"]),
        access={Resource(name): _access(each) for name, each in plain["access"].items()},
        history=History(
            requests=tuple(float(each) for each in history["requests"]),
            failures=int(history["failures"]),
            not_before=float(history["not_before"]),
            last_refresh=_time(history["last_refresh"]),
        ),
        last_error=None if plain["last_error"] is None else str(plain["last_error"]),
        last_error_at=_time(plain["last_error_at"]),
        belongs_to=None if plain.get("belongs_to") is None else str(plain["belongs_to"]),
    )


def _access(plain: Any) -> AccessToken:
    return AccessToken(
        token=_secret(plain["token"]), obtained_at=float(plain["obtained_at"]), expires_at=float(plain["expires_at"])
    )


def _secret(text: Any) -> Secret:
    if not isinstance(text, str) or not text:
        raise ValueError("not a token")
    return Secret(text.encode())


def _time(value: Any) -> float | None:
    return None if value is None else float(value)
