"""XOAUTH2 and its kin: what goes into the base64 of an AUTH command.

Sources: Microsoft "Authenticate an IMAP, POP or SMTP connection using OAuth", RFC 7628 (OAUTHBEARER), RFC 4422.
"""

import base64
import binascii
import json

from exporter.vocabulary import OfferedMechanism

#: Gives an authentication exchange up (RFC 4422, 3.5; RFC 3501, 6.2.2; RFC 4954, 4).
CANCEL = b"*\r\n"
#: Names are at most 20 characters (RFC 4422, 3.1); longer ones are `other` without a look.
_KNOWN = {mechanism.value.upper(): mechanism for mechanism in OfferedMechanism}
_ONLY_HTTP = frozenset({OfferedMechanism.BASIC, OfferedMechanism.BEARER, OfferedMechanism.NEGOTIATE})
_NOT_SASL = frozenset({OfferedMechanism.LOGIN_COMMAND, OfferedMechanism.OTHER})


def xoauth2(user: str, token: str) -> str:
    """The initial response, base64. Raises ValueError for what can't be put into it."""
    if any(character in user + token for character in "\x01\r\n\0"):
        raise ValueError("a user or token with control characters can't be sent by XOAUTH2")
    message = f"user={user}\x01auth=Bearer {token}\x01\x01"
    return base64.b64encode(message.encode()).decode("ascii")


def plain(user: str, password: str) -> str:
    """The message of PLAIN (RFC 4616), base64. Raises ValueError for what can't be put into it."""
    if "\0" in user + password:
        raise ValueError("a user or password with NUL can't be sent by PLAIN")
    return encoded(f"\0{user}\0{password}")


def encoded(text: str) -> str:
    """Base64 of UTF-8, as the answers to AUTH LOGIN's prompts are sent."""
    return base64.b64encode(text.encode()).decode("ascii")


def response_line(encoded: str) -> bytes:
    """A response on a line of its own, after the server's continuation (POP always, others without SASL-IR)."""
    return encoded.encode("ascii") + b"\r\n"


def parse_challenge(encoded: str) -> str | None:
    """The JSON that a refusing server may send as a last challenge (RFC 7628, 3.2.2; Google with XOAUTH2), decoded.

    Microsoft never sends it: on a Microsoft host it tells that another server answers. None if it isn't base64 of JSON.
    """
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
        challenge = json.loads(decoded)
    except (binascii.Error, ValueError, RecursionError):
        return None
    return decoded if isinstance(challenge, dict) else None


def mechanism(name: str) -> OfferedMechanism:
    """A SASL mechanism's name as the fixed word for it, `other` for those outside the list."""
    found = _KNOWN.get(name.upper(), OfferedMechanism.OTHER)
    return OfferedMechanism.OTHER if found in _ONLY_HTTP | _NOT_SASL else found
