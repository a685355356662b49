"""What a ClientHello says (RFC 8446, 4.1.2): whom it wants to reach, and what its TLS stack offers.

Any bytes at all: the result is None where they are no ClientHello, and `partial` where its end is missing or its
lengths contradict each other; what stands before that is told all the same. Nothing here raises.

A gateway sees the same few stacks all day. So the bytes are walked over once; what is this connection's own (name,
random, session, keys) is taken out, and what is left, always the same for a stack, is decoded only when it is new.
"""

from functools import lru_cache
from typing import NamedTuple

from exporter.protocols.client_family import family_of
from exporter.protocols.client_offer import STACKS_OWN, Offer, key_share_groups, make_offer
from exporter.protocols.ja4 import ja4
from exporter.protocols.tls_extensions import (
    EARLY_DATA,
    ENCRYPTED_CLIENT_HELLO,
    KEY_SHARE,
    PADDING,
    PRE_SHARED_KEY,
    SERVER_NAME,
    SESSION_TICKET,
    read_extensions,
)
from exporter.protocols.tls_records import HandshakeType
from exporter.vocabulary import ClientFamily

#: Stacks remembered. Chromium alone makes a new one with each connection, for it shuffles.
MAX_STACKS = 512
#: Stacks are remembered up to so many bytes of their own, in so many extensions; usual are 300 in 18.
MAX_REMEMBERED, MAX_REMEMBERED_EXTENSIONS = 1_024, 64
#: Bytes kept of a server name; a DNS name has at most 253.
MAX_NAME = 255

_SESSION_ID = 38
_HOST_NAME = 0


class Stack(NamedTuple):
    """What is worked out once for all hellos that offer the same. `ja4` is None of a partial one."""

    offer: Offer
    ja4: str | None
    family: ClientFamily


class ClientHello(NamedTuple):
    """One ClientHello.

    `server_name` as sent, other bytes than printable ASCII as \\xNN. With `encrypted` (ECH, RFC 9849, genuine or
    GREASE: nobody can tell) it may be the name of a provider in front of the real one. `ticket`: a session of TLS 1.2
    is offered for resumption; `psk`: one of TLS 1.3. `padding`: bytes in that extension, None without it. `size`: of
    the message with its header, as it says itself.
    """

    stack: Stack
    random: bytes
    session_id: bytes
    server_name: str | None
    ticket: bool
    padding: int | None
    size: int
    partial: bool

    @property
    def offer(self) -> Offer:
        return self.stack.offer

    @property
    def versions(self) -> tuple[str, ...]:
        """Names of the versions offered, in the client's order."""
        return self.stack.offer.versions

    @property
    def alpn(self) -> tuple[bytes, ...]:
        return self.stack.offer.alpn

    @property
    def ja4(self) -> str | None:
        return self.stack.ja4

    @property
    def family(self) -> ClientFamily:
        return self.stack.family

    @property
    def psk(self) -> bool:
        return PRE_SHARED_KEY in self.stack.offer.extensions

    @property
    def early_data(self) -> bool:
        return EARLY_DATA in self.stack.offer.extensions

    @property
    def encrypted(self) -> bool:
        return ENCRYPTED_CLIENT_HELLO in self.stack.offer.extensions


def read_client_hello(message: bytes) -> ClientHello | None:
    """Of a handshake message from its first byte, as much as is there; bytes behind its end are left alone."""
    size = 4 + int.from_bytes(message[1:4])
    data = message[:size]
    if len(data) <= _SESSION_ID or data[0] != HandshakeType.CLIENT_HELLO:
        return None
    session_end = _SESSION_ID + 1 + data[_SESSION_ID]
    ciphers_end = session_end + 2 + int.from_bytes(data[session_end : session_end + 2])
    compression_end = ciphers_end + 1 + int.from_bytes(data[ciphers_end : ciphers_end + 1])
    begin = compression_end + 2
    end = begin + int.from_bytes(data[compression_end:begin])
    extensions, reached = read_extensions(data[:end], begin)
    whole = len(data) == size and (compression_end == size or reached == end == size)
    own, name, ticket, padding, kept = [], None, False, None, ciphers_end - session_end
    for kind, body in extensions:
        if kind in STACKS_OWN:
            own.append((kind, body))
            kept += len(body)
            continue
        own.append((kind, key_share_groups(body) if kind == KEY_SHARE else b""))
        if kind == SERVER_NAME:
            name = name or _host_name(body)
        elif kind == SESSION_TICKET:
            ticket = bool(body)
        elif kind == PADDING:
            padding = len(body)
    remembered = kept <= MAX_REMEMBERED and len(own) <= MAX_REMEMBERED_EXTENSIONS
    stack = (_stack if remembered else _new_stack)(
        data[4:6], data[session_end + 2 : ciphers_end], data[ciphers_end + 1 : compression_end], tuple(own), whole
    )
    return ClientHello(stack, data[6:38], data[39:session_end], name, ticket, padding, size, not whole)


def _new_stack(
    legacy: bytes, ciphers: bytes, compression: bytes, extensions: tuple[tuple[int, bytes], ...], whole: bool
) -> Stack:
    offer = make_offer(legacy, ciphers, compression, extensions)
    return Stack(offer, ja4(offer), family_of(offer)) if whole else Stack(offer, None, ClientFamily.UNKNOWN)


_stack = lru_cache(maxsize=MAX_STACKS)(_new_stack)


def _host_name(body: bytes) -> str | None:
    """The first host name of a server_name extension (RFC 6066, 3), None where it is cut or there is none."""
    at = 2
    while at + 3 <= len(body):
        end = at + 3 + (body[at + 1] << 8 | body[at + 2])
        if body[at] == _HOST_NAME:
            name = body[at + 3 : end][:MAX_NAME]
            return _printable(name) if name and end <= len(body) else None
        at = end
    return None


def _printable(name: bytes) -> str:
    text = name.decode("latin-1")
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if " " < c <= "~" and c != "\\" else f"\\x{ord(c):02x}" for c in text)
