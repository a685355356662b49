"""Mail's clear text up to STARTTLS, sans-IO: what was spoken and answered, and nothing that could be a secret.

Of a client's line the command's name is kept, with AUTH and AUTHENTICATE the mechanism's, and nothing else: the line is
overwritten in the buffer it came in, whatever it is: arguments of AUTH, LOGIN, AUTHENTICATE, USER, PASS, MAIL and RCPT
among it, and what follows a command that signs in, until the server's last word on it.
"""

from collections import deque
from enum import StrEnum
from typing import Final

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol

#: Bytes of each side that are read as text; a dialogue before STARTTLS has some hundred.
MAX_TEXT: Final = 16_384
#: Bytes of a client's line that are looked at: the names stand in front.
MAX_NAMES: Final = 64
#: Of a server's line: IMAP lists its capabilities in one.
MAX_SERVER_LINE: Final = 4_096
#: Commands that may wait for their reply.
MAX_PIPELINED: Final = 32
#: Sign-ins of one connection that are kept.
MAX_SIGN_INS: Final = 16

_MECHANISMS = {
    b"PLAIN": Mechanism.PASSWORD, b"LOGIN": Mechanism.PASSWORD,
    b"XOAUTH2": Mechanism.TOKEN, b"OAUTHBEARER": Mechanism.TOKEN,
}  # fmt: skip
_WITH_MECHANISM = frozenset({b"AUTH", b"AUTHENTICATE"})
_PASSWORDS = frozenset({b"LOGIN", b"PASS", b"APOP"})
_UPGRADES = frozenset({b"STARTTLS", b"STLS"})
_GREETS = frozenset({b"EHLO", b"HELO", b"LHLO"})
_KNOWN: Final = _WITH_MECHANISM | _PASSWORDS | _UPGRADES | _GREETS | {b"USER", b"CAPA", b"DATA", b"BDAT"}
#: First bytes of TLS records; no line of text begins with one.
_TLS = frozenset({0x14, 0x15, 0x16, 0x17})


class StartTls(StrEnum):
    """How far the upgrade got."""

    ABSENT = "absent"  # what the server offers was read, and it wasn't there
    OFFERED = "offered"  # and not asked for
    ASKED = "asked"
    REFUSED = "refused"
    ACCEPTED = "accepted"


class ClearSignIn:
    """An attempt to sign in without TLS. `asked`, `answered`: when its last bytes passed each way, nanoseconds."""

    __slots__ = ("answered", "asked", "mechanism", "outcome")

    def __init__(self, mechanism: Mechanism, asked: int) -> None:
        self.mechanism = mechanism
        self.asked = asked
        self.answered: int | None = None
        self.outcome = AuthOutcome.ABANDONED


class ClearText:
    """One connection's dialogue. Feed each side's bytes in order; both ways give back how many were taken.

    `upgraded`: what follows on both sides is TLS. `over`: nothing more is to be learned. `refusal`: the SMTP code with
    which the server refused to go on (421, 454, …). Lengths are in bytes with their line ends.
    """

    __slots__ = (
        "_client_bytes", "_client_line", "_greeted", "_listing", "_reply_length", "_secret", "_server_bytes",
        "_server_line", "_tags", "_waiting", "banner_length", "ehlo_reply_length", "over", "protocol", "refusal",
        "sign_ins", "spoken", "starttls", "upgraded",
    )  # fmt: skip

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.starttls: StartTls | None = None
        self.upgraded = False
        self.over = False
        self.spoken = False  # the server said a whole line
        self.refusal: int | None = None
        self.banner_length: int | None = None
        self.ehlo_reply_length: int | None = None
        self.sign_ins: list[ClearSignIn] = []
        self._secret = False  # the client signs in: nothing it sends is looked at
        self._client_line = bytearray()  # the beginning of its unfinished line, not beyond its names
        self._server_line = bytearray()
        self._greeted = False
        self._waiting: deque[bytes] = deque()  # commands without their reply, in SMTP and POP
        self._tags: dict[bytes, bytes] = {}  # and in IMAP
        self._reply_length = 0
        self._listing = False  # inside a reply of POP that ends with a dot
        self._client_bytes = self._server_bytes = 0

    # ---- the client ------------------------------------------------------------------------------------------------

    def client(self, buffer: bytearray, time: int) -> int:
        """Takes what the client sent at `time`; what is taken is overwritten."""
        position = 0
        while position < len(buffer) and not self._client_waits():
            if not self._client_line and buffer[position] in _TLS:
                self.upgraded = True
                break
            newline = buffer.find(b"\n", position)
            end = len(buffer) if newline < 0 else newline + 1
            self._client_piece(buffer, position, end, time)
            buffer[position:end] = b"x" * (end - position)
            position = end
        self._client_bytes += position
        if self._client_bytes > MAX_TEXT:
            self.over = True
        return position

    def _client_waits(self) -> bool:
        """Behind STARTTLS nothing is text or TLS before the server's answer."""
        return self.upgraded or self.over or self.starttls is StartTls.ASKED

    def _client_piece(self, buffer: bytearray, start: int, end: int, time: int) -> None:
        if self._secret:
            if self.sign_ins:
                self.sign_ins[-1].asked = time
            return
        line = self._client_line
        whole = buffer[end - 1] == 0x0A
        line += buffer[start : min(end, start + MAX_NAMES - len(line))]
        names = bytes(line).upper().split(b" ", 3)
        if self.protocol is Protocol.IMAP:
            names = [bytes(line).split(b" ", 1)[0], *names[1:]]
        else:
            names.insert(0, b"")
        if not whole:
            self._forget_arguments(names)
            return
        line[:] = b""
        names = [name.strip() for name in names]
        self._command(names[0], names[1] if len(names) > 1 else b"", names[2] if len(names) > 2 else b"", time)

    def _forget_arguments(self, names: list[bytes]) -> None:
        """Of an unfinished line nothing is kept behind the names."""
        wanted = 3 if len(names) > 1 and names[1] in _WITH_MECHANISM else 2
        if len(names) > wanted or len(self._client_line) >= MAX_NAMES:
            kept = b" ".join(names[1 if not names[0] else 0 : wanted])[: MAX_NAMES - 1] + b" "
            self._client_line[:] = kept

    def _command(self, tag: bytes, name: bytes, mechanism: bytes, time: int) -> None:
        if name not in _KNOWN:
            name = b""
        if self.protocol is Protocol.IMAP:
            if len(self._tags) < MAX_PIPELINED:
                self._tags[tag] = name
        elif len(self._waiting) < MAX_PIPELINED:
            self._waiting.append(name)
        if name in _UPGRADES:
            self.starttls = StartTls.ASKED
        elif name in _WITH_MECHANISM and (mechanism or self.protocol is not Protocol.POP):
            self._begin_sign_in(_MECHANISMS.get(mechanism, Mechanism.OTHER), time)
        elif name == b"USER" or (name in _PASSWORDS and not self._has_user()):
            self._begin_sign_in(Mechanism.PASSWORD, time)
            self._secret = name != b"USER"
        elif name in _PASSWORDS:
            self.sign_ins[-1].asked = time
            self._secret = True
        elif name == b"BDAT":
            self.over = True

    def _has_user(self) -> bool:
        """Whether USER was said and waits for its PASS."""
        return bool(self.sign_ins) and self.sign_ins[-1].answered is None

    def _begin_sign_in(self, mechanism: Mechanism, time: int) -> None:
        self._secret = True
        if len(self.sign_ins) >= MAX_SIGN_INS:
            del self.sign_ins[0]
        self.sign_ins.append(ClearSignIn(mechanism, time))

    # ---- the server ------------------------------------------------------------------------------------------------

    def server(self, buffer: bytes | bytearray, time: int) -> int:
        """Takes what the server sent at `time`."""
        position = 0
        while position < len(buffer) and not self.upgraded and not self.over:
            if not self._server_line and buffer[position] in _TLS:
                self.upgraded = True
                break
            newline = buffer.find(b"\n", position)
            end = len(buffer) if newline < 0 else newline + 1
            self._server_line += buffer[position : min(end, position + MAX_SERVER_LINE - len(self._server_line))]
            self._reply_length += end - position
            position = end
            if newline >= 0:
                line = bytes(self._server_line).rstrip(b"\r\n")
                self._server_line.clear()
                self._server_says(line, time)
        self._server_bytes += position
        if self._server_bytes > MAX_TEXT:
            self.over = True
        return position

    def _server_says(self, line: bytes, time: int) -> None:
        self.spoken = True
        if self.protocol is Protocol.SMTP:
            self._smtp_line(line, time)
        elif self.protocol is Protocol.IMAP:
            self._imap_line(line, time)
        else:
            self._pop_line(line, time)

    def _smtp_line(self, line: bytes, time: int) -> None:
        if not line[:3].isdigit():
            return
        code = int(line[:3])
        if code == 250 and line[4:].upper().strip() == b"STARTTLS":
            self.starttls = StartTls.OFFERED
        if line[3:4] == b"-":
            return
        length, self._reply_length = self._reply_length, 0
        if code == 421 or (code != 220 and not self._greeted):
            self.refusal = code
        if self._greeted:
            self._smtp_reply(self._waiting.popleft() if self._waiting else b"", code, length, time)
        elif code == 220:
            self.banner_length = length
        self._greeted = True

    def _smtp_reply(self, name: bytes, code: int, length: int, time: int) -> None:
        if name in _GREETS and code == 250:
            self.ehlo_reply_length = length
            if self.starttls is None:
                self.starttls = StartTls.ABSENT
        elif name in _UPGRADES:
            self._upgrade_answered(code == 220)
            if code != 220:
                self.refusal = code
        elif name in _WITH_MECHANISM:
            self._smtp_sign_in(name, code, time)
        elif name == b"DATA" and code == 354:
            self.over = True

    def _smtp_sign_in(self, name: bytes, code: int, time: int) -> None:
        if code == 334:
            self._waiting.appendleft(name)
        elif code == 235:
            self._sign_in_answered(AuthOutcome.ACCEPTED, time)
        else:
            self._sign_in_answered(AuthOutcome.REFUSED if code >= 500 else AuthOutcome.THROTTLED, time)

    def _imap_line(self, line: bytes, time: int) -> None:
        length, self._reply_length = self._reply_length, 0
        words = line.upper().split(b" ", 2)
        if words[0] == b"*":
            if not self._greeted:
                self._greeted, self.banner_length = True, length
            if b"CAPABILITY " in line.upper() and self.starttls in (None, StartTls.ABSENT, StartTls.OFFERED):
                offered = b"STARTTLS" in line.upper().replace(b"]", b" ").split()
                self.starttls = StartTls.OFFERED if offered else StartTls.ABSENT
        elif words[0] != b"+" and len(words) > 1:
            good = words[1] == b"OK"
            name = self._tags.pop(line.split(b" ", 1)[0], b"")
            if name in _UPGRADES:
                self._upgrade_answered(good)
            elif name in _WITH_MECHANISM or name in _PASSWORDS:
                self._sign_in_answered(AuthOutcome.ACCEPTED if good else AuthOutcome.REFUSED, time)

    def _pop_line(self, line: bytes, time: int) -> None:
        if self._listing:
            if line.upper() == b"STLS":
                self.starttls = StartTls.OFFERED
            self._listing = line != b"."
            return
        length, self._reply_length = self._reply_length, 0
        if not line.startswith((b"+OK", b"-ERR")):
            return
        good = line.startswith(b"+OK")
        if not self._greeted:
            self._greeted, self.banner_length = True, length
            return
        name = self._waiting.popleft() if self._waiting else b""
        if name == b"CAPA" and good:
            self._listing = True
            self.starttls = StartTls.ABSENT
        elif name in _UPGRADES:
            self._upgrade_answered(good)
        elif name in _PASSWORDS or name in _WITH_MECHANISM or (name == b"USER" and not good):
            self._sign_in_answered(AuthOutcome.ACCEPTED if good else AuthOutcome.REFUSED, time)

    def _upgrade_answered(self, good: bool) -> None:
        self.starttls = StartTls.ACCEPTED if good else StartTls.REFUSED
        self.upgraded = good

    def _sign_in_answered(self, outcome: AuthOutcome, time: int) -> None:
        self._secret = False
        if self.sign_ins:
            self.sign_ins[-1].outcome = outcome
            self.sign_ins[-1].answered = time
        self.over = self.over or outcome is AuthOutcome.ACCEPTED
