"""Microsoft's known words, of any year, as one data file (`replies.yaml`) that an administrator can extend.

Its words change: a line that matches no entry is *not known*, and reported as such with its text, never guessed.
Invariant: a reply is known only if one pattern is the whole of it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from exporter.vocabulary import Phase, Protocol

#: A file of replies larger than this is no such file, bytes.
MAX_FILE = 1_048_576
#: Longest line that is matched, characters: a pattern must not work on megabytes.
MAX_MATCHED = 4_096


class Meaning(StrEnum):
    """What a known reply says."""

    GREETING = "greeting"
    READY = "ready"  # the go-ahead for TLS
    CAPABILITY = "capability"  # the end of a list of capabilities
    CHALLENGE = "challenge"  # goes on: the server awaits a response
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
    TENANT_RESTRICTED = "tenant_restricted"  # a gateway's tenant-restriction headers, not the account
    SCOPE_MISSING = "scope_missing"  # a good token without the permission
    WRONG_AUDIENCE = "wrong_audience"  # a good token for another service
    LIVENESS = "liveness"  # the identity provider's refusal of an empty request


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

#: The parts of replies that vary, for patterns to name as <tag>, <where>, ... Those that cleaning replaces are
#: accepted cleaned too, for a recorded round is judged again when it is replayed.
PARTS: dict[str, str] = {
    "tag": r"[A-Za-z0-9._-]{1,64}",  # of an IMAP command
    "encoded": r"(?: \[[A-Za-z0-9+/]{0,1024}={0,2}\])?",  # the front end's name; forms of some years lack it
    "host": r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253})",
    "where": r"(?: \[[A-Za-z0-9.-]{0,255}(?: [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,16}Z [0-9A-F]{16})?\])?",
    "date": r"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}",
    "session": r"(?: \[[0-9A-F]{16}\])?",
    "number": r"[0-9]{1,9}",
    "word": r"[A-Za-z0-9_.-]{1,64}",
    "more": r".{0,3000}",  # only behind a number or sentence that decides alone
}
_PART = re.compile(r"(?<!\(\?P)(?<!\\)<([a-z_]{1,32})>")

_STEPS = frozenset({*map(str, Phase), "any"})
_CONFIDENCES = frozenset("DOR")
_FIELDS = {"id", "protocol", "step", "pattern", "meaning", "since", "until", "source", "confidence"}


class RepliesFileError(Exception):
    """A file of known replies can't be used; the message names the file and the entry."""


@dataclass(frozen=True, slots=True)
class KnownReply:
    """One form of Microsoft's words.

    `since`, `until`: when it was seen; `confidence`: D documented, O observed, R recalled.
    """

    id: str
    protocols: frozenset[Protocol]
    steps: frozenset[str]
    pattern: re.Pattern[str]
    meaning: Meaning
    since: str | None
    until: str | None
    source: str
    confidence: str

    def fits(self, protocol: Protocol, step: str, line: str) -> bool:
        """Whether it is said at that step of that protocol, and is the whole line."""
        said_here = protocol in self.protocols and bool(self.steps & {step, "any"})
        return said_here and len(line) <= MAX_MATCHED and self.pattern.fullmatch(line) is not None


class Replies:
    """All known replies; later entries (an administrator's) come first."""

    def __init__(self, known: Iterable[KnownReply]) -> None:
        self.known = tuple(known)

    @classmethod
    def load(cls, extra: Path | None = None) -> "Replies":
        """The built-in replies, preceded by those of `extra`. Raises RepliesFileError."""
        built_in = resources.files("exporter.protocols").joinpath("replies.yaml").read_text("utf-8")
        known = _parse(built_in, "replies.yaml")
        if extra is None:
            return cls(known)
        mine = _parse(_read(extra), str(extra))
        replaced = {reply.id for reply in mine}
        return cls([*mine, *(reply for reply in known if reply.id not in replaced)])

    def judge(self, protocol: Protocol, step: str, line: str) -> KnownReply | None:
        """The known reply that is the whole line, or None. `step` is a phase's name.

        `line`: of a mail protocol as sent, without its line end; on sign-in the OAuth error_description (white space
        collapsed), or the error where there is none; of ActiveSync "HTTP 401 " and the challenge (or x-ms-diagnostics);
        of Graph "HTTP 401 CODE: MESSAGE".
        """
        return next((reply for reply in self.known if reply.fits(protocol, step, line)), None)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RepliesFileError(f"{file}: {error}") from error
    if len(data) > MAX_FILE:
        raise RepliesFileError(f"{file}: larger than {MAX_FILE} bytes")
    return text


def _parse(text: str, file: str) -> list[KnownReply]:
    try:
        entries = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RepliesFileError(f"{file}: not YAML: {error}") from error
    if not isinstance(entries, list):
        raise RepliesFileError(f"{file}: a list of replies is expected")
    known = [_entry(entry, f"{file}[{index}]") for index, entry in enumerate(entries)]
    for index, reply in enumerate(known):
        if any(reply.id == other.id for other in known[:index]):
            raise RepliesFileError(f"{file}[{index}].id: {reply.id} is there already")
    return known


def _entry(entry: Any, place: str) -> KnownReply:
    if not isinstance(entry, Mapping):
        raise RepliesFileError(f"{place}: a mapping is expected")
    if unknown := set(map(str, entry)) - _FIELDS:
        raise RepliesFileError(f"{place}.{min(unknown)}: not one of {', '.join(sorted(_FIELDS))}")
    for field in ("id", "protocol", "step", "pattern", "meaning", "source"):
        if field not in entry:
            raise RepliesFileError(f"{place}.{field}: missing")
    place = f"{place} ({entry['id']})"
    since, until = entry.get("since"), entry.get("until")
    return KnownReply(
        id=str(entry["id"]),
        protocols=frozenset(Protocol(name) for name in _words(entry["protocol"], list(Protocol), f"{place}.protocol")),
        steps=frozenset(_words(entry["step"], sorted(_STEPS), f"{place}.step")),
        pattern=_compiled(str(entry["pattern"]), f"{place}.pattern"),
        meaning=Meaning(*_words(str(entry["meaning"]), list(Meaning), f"{place}.meaning")),
        since=None if since is None else str(since),
        until=None if until is None else str(until),
        source=str(entry["source"]),
        confidence=_words(str(entry.get("confidence", "O")), sorted(_CONFIDENCES), f"{place}.confidence")[0],
    )


def _words(value: Any, allowed: Sequence[str], place: str) -> list[str]:
    """One word or a list of them, each of the allowed ones."""
    words = [str(word) for word in value] if isinstance(value, list) else [str(value)]
    for word in words:
        if word not in allowed:
            raise RepliesFileError(f"{place}: {word!r} is not one of {', '.join(allowed)}")
    if not words:
        raise RepliesFileError(f"{place}: empty")
    return words


def _compiled(pattern: str, place: str) -> re.Pattern[str]:
    for name in _PART.findall(pattern):
        if name not in PARTS:
            raise RepliesFileError(f"{place}: <{name}> is not one of {', '.join(PARTS)}; write a literal < as \\<")
    try:
        return re.compile(_PART.sub(lambda match: PARTS[match[1]], pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise RepliesFileError(f"{place}: {error}") from error
