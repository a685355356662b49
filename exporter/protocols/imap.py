"""IMAP as seen by a client that signs in: responses and the few commands (RFC 3501, 9051, 4959).

Invariant of the reader: bytes become responses in order, or one ProtocolViolation; never another error.
"""

import re
from dataclasses import dataclass

from exporter.protocols import sasl
from exporter.protocols.lines import MAX_REPLY, LineBuffer, refusal, text_of
from exporter.vocabulary import OfferedMechanism

_STATUSES = frozenset({"OK", "NO", "BAD", "BYE", "PREAUTH"})
_TAGGED_STATUSES = frozenset({"OK", "NO", "BAD"})
_TAG = re.compile(rb"[!#$&\',\-./0-9:;<=>?@A-Z\[^_`a-z|}~]{1,64}")  # RFC 3501, 9: tag
_LITERAL = re.compile(rb"\{([0-9]{1,20})\+?\}$")
_CAPABILITY_CODE = re.compile(r"\[CAPABILITY ([^\]]*)\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ImapResponse:
    """One response. `tag` is "*", "+" or the command's; `text` is what follows the status (or the tag, without one)."""

    tag: str
    status: str | None
    text: str
    line: str


class ImapReader:
    """Bytes in, responses out; literals belong to the response that announces them."""

    def __init__(self) -> None:
        self._lines = LineBuffer()
        self._collected = bytearray()  # of a response with literals, so far
        self._literal: int | None = None  # bytes of the literal that is awaited

    def feed(self, data: bytes) -> None:
        """Never raises."""
        self._lines.feed(data)

    @property
    def pending(self) -> bytes:
        """What has arrived and is no whole response yet."""
        return bytes(self._collected) + self._lines.pending

    def next_response(self) -> ImapResponse | None:
        """The next response, None when more bytes are needed. Raises ProtocolViolation."""
        while True:
            if self._literal is not None and not self._take_literal(self._literal):
                return None
            line = self._lines.next_line()
            if line is None:
                return None
            self._collect(line)
            self._literal = self._announced(line)
            if self._literal is None:
                whole = bytes(self._collected)
                self._collected.clear()
                return self._parse(whole)
            self._collect(b"\r\n")

    def _take_literal(self, length: int) -> bool:
        literal = self._lines.take(length)
        if literal is None:
            return False
        self._collect(literal)
        self._literal = None
        return True

    def _collect(self, part: bytes) -> None:
        if len(self._collected) + len(part) > MAX_REPLY:
            self._give_up(f"a response of more than {MAX_REPLY} bytes")
        self._collected += part

    def _announced(self, line: bytes) -> int | None:
        """The length of the literal that follows this line; status texts and continuations have none."""
        match = _LITERAL.search(line)
        if match is None or not self._collected.startswith(b"* ") or _status(self._collected[2:]) is not None:
            return None
        length = int(match[1])
        if len(self._collected) + length > MAX_REPLY:
            self._give_up(f"a literal of {length} bytes is announced")
        return length

    def _give_up(self, detail: str) -> None:
        self._collected.clear()
        self._lines.violate(detail)

    def _parse(self, line: bytes) -> ImapResponse:
        tag, _, rest = line.partition(b" ")
        status = _status(rest) if tag != b"+" else None
        if not _plausible(tag, status):
            self._lines.violate(refusal("an IMAP response", line))
        text = rest if status is None else rest[len(status) :].removeprefix(b" ")
        return ImapResponse(tag=tag.decode("ascii"), status=status, text=text_of(text), line=text_of(line))


def _status(rest: bytes | bytearray) -> str | None:
    word = bytes(rest[:8]).partition(b" ")[0].upper().decode("ascii", "replace")
    return word if word in _STATUSES else None


def _plausible(tag: bytes, status: str | None) -> bool:
    if tag in (b"*", b"+"):
        return True
    return status in _TAGGED_STATUSES and _TAG.fullmatch(tag) is not None


def capabilities(response: ImapResponse) -> tuple[str, ...] | None:
    """What `* CAPABILITY …` or the code `[CAPABILITY …]` of a status lists, as sent; None in other responses."""
    if response.status is not None:
        match = _CAPABILITY_CODE.match(response.text)
        return tuple(match[1].split()) if match else None
    name, *listed = response.text.split() or [""]
    return tuple(listed) if response.tag == "*" and name.upper() == "CAPABILITY" else None


def offered(listed: tuple[str, ...]) -> tuple[OfferedMechanism, ...]:
    """Ways to sign in, in the server's order, each once; the LOGIN command unless LOGINDISABLED forbids it."""
    names = [capability.upper() for capability in listed]
    mechanisms = [sasl.mechanism(name.removeprefix("AUTH=")) for name in names if name.startswith("AUTH=")]
    if "LOGINDISABLED" not in names:
        mechanisms.append(OfferedMechanism.LOGIN_COMMAND)
    return tuple(dict.fromkeys(mechanisms))


def capability(tag: str) -> bytes:
    return _command(tag, "CAPABILITY")


def authenticate_xoauth2(tag: str, initial_response: str | None = None) -> bytes:
    """With the initial response in the same line (SASL-IR, RFC 4959), or without, to await "+"."""
    return _command(tag, "AUTHENTICATE XOAUTH2" + (f" {initial_response}" if initial_response else ""))


def authenticate_plain(tag: str, initial_response: str | None = None) -> bytes:
    """As `authenticate_xoauth2`, for PLAIN (RFC 4616)."""
    return _command(tag, "AUTHENTICATE PLAIN" + (f" {initial_response}" if initial_response else ""))


def login(tag: str, user: str, password: str) -> bytes:
    """LOGIN with quoted strings (RFC 3501 9: quoted), which are 7-bit. Raises ValueError for what can't be quoted."""
    return _command(tag, f"LOGIN {_quoted(user)} {_quoted(password)}")


def list_root(tag: str) -> bytes:
    """The hierarchy's delimiter (RFC 3501 6.3.8): needs the mailbox, tells nothing of its content, changes nothing."""
    return _command(tag, 'LIST "" ""')


def starttls(tag: str) -> bytes:
    return _command(tag, "STARTTLS")


def logout(tag: str) -> bytes:
    return _command(tag, "LOGOUT")


def _quoted(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ValueError("a user or password that isn't printable ASCII can't be sent by LOGIN")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _command(tag: str, words: str) -> bytes:
    return f"{tag} {words}\r\n".encode("ascii")
