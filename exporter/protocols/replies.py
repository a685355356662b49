"""Microsoft's known words, of any year, as one data file (`replies.yaml`) that an administrator can extend.

Its words change: a line that matches no entry is *not known*, and reported as such with its text, never guessed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from exporter.vocabulary import Protocol

#: A file of replies larger than this is no such file, bytes.
MAX_FILE = 1_048_576
#: Longest line that is matched, characters: a pattern must not work on megabytes.
MAX_MATCHED = 4_096


class Meaning(StrEnum):
    """What a known reply says."""

    GREETING = "greeting"
    READY = "ready"
    ACCEPTED = "accepted"
    TOKEN_REFUSED = "token_refused"
    PASSWORD_REFUSED = "password_refused"
    BASIC_AUTH_DISABLED = "basic_auth_disabled"
    BAD_ARGUMENTS = "bad_arguments"
    UNRECOGNIZED_MECHANISM = "unrecognized_mechanism"
    NOT_CONNECTED = "not_connected"
    NOT_AUTHENTICATED = "not_authenticated"
    PROTOCOL_DISABLED = "protocol_disabled"
    CONDITIONAL_ACCESS = "conditional_access"
    ACCOUNT_ISSUE = "account_issue"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    BUSY = "busy"
    TLS_TOO_OLD = "tls_too_old"
    SIGNING_OFF = "signing_off"
    LIVENESS = "liveness"


#: Refusals of a worthless token by which Microsoft shows that the path carries authentication.
IS_EXPECTED_REFUSAL = frozenset(
    {
        Meaning.TOKEN_REFUSED,
        Meaning.PASSWORD_REFUSED,
        Meaning.BASIC_AUTH_DISABLED,
        Meaning.BAD_ARGUMENTS,
        Meaning.PROTOCOL_DISABLED,
        Meaning.CONDITIONAL_ACCESS,
        Meaning.ACCOUNT_ISSUE,
        Meaning.LIVENESS,
    }
)

_FIELDS = {"id", "protocol", "step", "pattern", "meaning", "since", "until", "source", "confidence"}


class RepliesFileError(Exception):
    """A file of known replies can't be used; the message names the file and the entry."""


@dataclass(frozen=True, slots=True)
class KnownReply:
    """One form of Microsoft's words."""

    id: str
    protocols: frozenset[Protocol]
    steps: frozenset[str]
    pattern: re.Pattern[str]
    meaning: Meaning
    source: str


class Replies:
    """All known replies; later entries (an administrator's) come first."""

    def __init__(self, known: Iterable[KnownReply]) -> None:
        self.known = tuple(known)

    @classmethod
    def load(cls, extra: Path | None = None) -> "Replies":
        """The built-in replies, preceded by those of `extra`. Raises RepliesFileError."""
        built_in = resources.files("exporter.protocols").joinpath("replies.yaml").read_text("utf-8")
        known = _parse(built_in, "replies.yaml")
        if extra is not None:
            try:
                data = extra.read_bytes()[: MAX_FILE + 1]
                text = data.decode("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise RepliesFileError(f"{extra}: {error}") from error
            if len(data) > MAX_FILE:
                raise RepliesFileError(f"{extra}: larger than {MAX_FILE} bytes")
            mine = _parse(text, str(extra))
            replaced = {reply.id for reply in mine}
            known = [*mine, *(reply for reply in known if reply.id not in replaced)]
        return cls(known)

    def judge(self, protocol: Protocol, step: str, line: str) -> KnownReply | None:
        """The known reply that is the whole line, or None. `step` is a phase's name."""
        if len(line) > MAX_MATCHED:
            return None
        return next(
            (
                reply
                for reply in self.known
                if protocol in reply.protocols and ("any" in reply.steps or step in reply.steps)
                if reply.pattern.fullmatch(line)
            ),
            None,
        )


def _parse(text: str, file: str) -> list[KnownReply]:
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RepliesFileError(f"{file}: not YAML: {error}") from error
    if not isinstance(entries, list):
        raise RepliesFileError(f"{file}: a list of replies is expected")
    return [_entry(entry, f"{file}[{index}]") for index, entry in enumerate(entries)]


def _entry(entry: Any, place: str) -> KnownReply:
    if not isinstance(entry, Mapping):
        raise RepliesFileError(f"{place}: a mapping is expected")
    if unknown := set(entry) - _FIELDS:
        raise RepliesFileError(f"{place}.{sorted(map(str, unknown))[0]}: not one of {', '.join(sorted(_FIELDS))}")
    for field in ("id", "protocol", "step", "pattern", "meaning", "source"):
        if field not in entry:
            raise RepliesFileError(f"{place}.{field}: missing")
    try:
        return KnownReply(
            id=str(entry["id"]),
            protocols=frozenset(Protocol(name) for name in _list(entry["protocol"])),
            steps=frozenset(_list(entry["step"])),
            pattern=re.compile(str(entry["pattern"])),
            meaning=Meaning(entry["meaning"]),
            source=str(entry["source"]),
        )
    except (ValueError, re.error) as error:
        raise RepliesFileError(f"{place} ({entry['id']}): {error}") from error


def _list(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
