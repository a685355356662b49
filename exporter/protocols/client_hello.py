"""What a ClientHello says (RFC 8446, 4.1.2): whom it wants to reach, and what its TLS stack offers.

Any bytes at all: the result is None where they are no ClientHello, and `partial` where its end is missing or its
lengths contradict each other; what stands before that is told all the same. Nothing here raises.

A gateway sees the same few stacks all day. So the bytes are walked over once; what is this connection's own (name,
random, session, keys) is taken out, and what is left, always the same for a stack, is decoded only when it is new.
"""

import struct
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
#: A stack's own bytes, up to which it is remembered; 400 are usual.
MAX_REMEMBERED = 1_024
#: Bytes kept of a server name; a DNS name has at most 253.
MAX_NAME = 255

_SESSION_ID = 38
_HOST_NAME = 0
_HEAD = struct.Struct(">HH")
_unpack_head, _pack_head = _HEAD.unpack_from, _HEAD.pack


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
    reached, extensions, name, ticket, padding = _extensions(data[:end], begin)
    whole = len(data) == size and (compression_end == size or reached == end == size)
    fixed = data[4:6], data[session_end + 2 : ciphers_end], data[ciphers_end + 1 : compression_end]
    remembered = len(extensions) + ciphers_end - session_end <= MAX_REMEMBERED
    stack = (_stack if remembered else _new_stack)(*fixed, extensions, whole)
    return ClientHello(stack, data[6:38], data[39:session_end], name, ticket, padding, size, not whole)


def _extensions(data: bytes, at: int) -> tuple[int, bytes, str | None, bool, int | None]:
    """Where they end; those that are the stack's own as they are, the others without content; name, ticket, padding."""
    blanked = []
    name, ticket, padding = None, False, None
    size = len(data)
    while at + 4 <= size:
        kind, length = _unpack_head(data, at)
        end = at + 4 + length
        if kind in STACKS_OWN:
            blanked.append(data[at:end])
        elif kind == KEY_SHARE:
            groups = key_share_groups(data[at + 4 : end])
            blanked.append(_pack_head(kind, len(groups)) + groups)
        else:
            blanked.append(_pack_head(kind, 0))
            if kind == SERVER_NAME:
                name = name or _host_name(data[at + 4 : end])
            elif kind == SESSION_TICKET:
                ticket = length > 0
            elif kind == PADDING:
                padding = length
        at = end
    return at, b"".join(blanked), name, ticket, padding


def _new_stack(legacy: bytes, ciphers: bytes, compression: bytes, extensions: bytes, whole: bool) -> Stack:
    offer = make_offer(legacy, ciphers, compression, read_extensions(extensions, 0)[0])
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
