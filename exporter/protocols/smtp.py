"""SMTP submission as seen by a client that signs in (RFC 5321, 3207, 4954, 2034).

Invariant of the reader: bytes become replies in order, or one ProtocolViolation; never another error.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from exporter.protocols import sasl
from exporter.protocols.dates import DATE_PATTERN, parse_date
from exporter.protocols.lines import MAX_REPLY, MAX_REPLY_LINES, LineBuffer, refusal, text_of
from exporter.vocabulary import OfferedMechanism

_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)  # RFC 5321, 4.2
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")  # RFC 2034, 4
#: Cisco ASA's and PIX's SMTP inspection overwrites what it dislikes: "250-XXXXXXXA", "220 ****2*0".
_MASKED_KEYWORD = re.compile(r"X{4,}[A-Z]?(?: .*)?")
_MASKED_BANNER = re.compile(r"\*{4,}")
_READY_AT = re.compile(rf" ready at (?P<date>{DATE_PATTERN})")


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """One reply. `lines` are the texts behind the code (an enhanced code stays in them), `line` the first, as sent."""

    code: int
    enhanced: str | None
    lines: tuple[str, ...]
    line: str

    @property
    def text(self) -> str:
        return " ".join(self.lines)


class SmtpReader:
    """Bytes in, whole replies out."""

    def __init__(self) -> None:
        self._lines = LineBuffer()
        self._collected: list[bytes] = []  # lines of a reply that isn't complete
        self._collected_bytes = 0

    def feed(self, data: bytes) -> None:
        """Never raises."""
        self._lines.feed(data)

    @property
    def pending(self) -> bytes:
        """What has arrived and is no whole reply yet."""
        return b"".join(line + b"\r\n" for line in self._collected) + self._lines.pending

    def next_reply(self) -> SmtpReply | None:
        """The next reply, None when more bytes are needed. Raises ProtocolViolation."""
        while (line := self._lines.next_line()) is not None:
            match = _REPLY_LINE.fullmatch(line)
            if match is None:
                self._lines.violate(refusal("an SMTP reply", line))
            elif self._collected and self._collected[0][:3] != match[1]:
                self._lines.violate(refusal(f"the reply {text_of(self._collected[0][:3])} continued", line))
            elif match[2] == b"-":
                self._collect(line)
            else:
                lines = [*self._collected, line]
                self._forget()
                return _reply(lines)
        return None

    def _collect(self, line: bytes) -> None:
        self._collected_bytes += len(line) + 2
        if self._collected_bytes > MAX_REPLY or len(self._collected) >= MAX_REPLY_LINES:
            self._forget()
            self._lines.violate(f"a reply of more than {MAX_REPLY} bytes or {MAX_REPLY_LINES} lines")
        self._collected.append(line)

    def _forget(self) -> None:
        self._collected, self._collected_bytes = [], 0


def _reply(lines: list[bytes]) -> SmtpReply:
    texts = tuple(text_of(line[4:]) for line in lines)
    enhanced = _ENHANCED.match(texts[0])
    return SmtpReply(int(lines[0][:3]), enhanced[1] if enhanced else None, texts, text_of(lines[0]))


def extensions(reply: SmtpReply) -> dict[str, str]:
    """EHLO keyword in capitals → parameters (RFC 5321, 4.1.1.1). The old form "AUTH=LOGIN" is read as AUTH too."""
    found: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        keyword, _, first = keyword.upper().partition("=")
        values = (found.get(keyword, ""), first, parameters.strip())
        found[keyword] = " ".join(value for value in values if value)
    return found


def masked(reply: SmtpReply) -> bool:
    """Whether a firewall wrote over the greeting or over keywords of EHLO."""
    return any(_MASKED_KEYWORD.fullmatch(line) or _MASKED_BANNER.search(line) for line in reply.lines)


def offered(listed: dict[str, str]) -> tuple[OfferedMechanism, ...]:
    """Ways to sign in, in the server's order, each once; none without AUTH (as before STARTTLS)."""
    return tuple(dict.fromkeys(sasl.mechanism(name) for name in listed.get("AUTH", "").split()))


def greeting_date(text: str) -> datetime | None:
    """The server's clock in Microsoft's greeting ("… ready at Thu, 10 Oct 2024 22:49:55 +0000 [08DC…]"), UTC."""
    match = _READY_AT.search(text)
    return parse_date(match["date"]) if match else None


def ehlo(name: str) -> bytes:
    return f"EHLO {name}\r\n".encode("ascii")


def starttls() -> bytes:
    return b"STARTTLS\r\n"


def auth_xoauth2(initial_response: str | None = None) -> bytes:
    """With the initial response in the same line (RFC 4954, 4), or without, to await 334."""
    return ("AUTH XOAUTH2" + (f" {initial_response}" if initial_response else "") + "\r\n").encode("ascii")


def auth_plain(message: str) -> bytes:
    """`message`: as `sasl.plain` makes it."""
    return f"AUTH PLAIN {message}\r\n".encode("ascii")


def auth_login() -> bytes:
    """The user's name and the password follow on lines of their own, each after a 334."""
    return b"AUTH LOGIN\r\n"


def quit_() -> bytes:
    return b"QUIT\r\n"
