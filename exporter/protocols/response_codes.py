"""What standard response codes say of a refused sign-in, for servers that aren't Microsoft's: a relay of one's own.

IMAP: RFC 5530 and RFC 2221; SMTP: enhanced codes of RFC 4954 and RFC 3463; POP: RFC 3206 and RFC 2449.
Microsoft's own sentences are judged by `replies`, before these.
"""

import re

from exporter.protocols.replies import Meaning
from exporter.vocabulary import Protocol

_IN_BRACKETS = re.compile(r"(?:[^ ]{1,64} (?:NO|BAD|BYE)|-ERR) \[([A-Z/-]{2,32})(?: [^\]]{0,256})?\]", re.IGNORECASE)
_ENHANCED = re.compile(r"([45])[0-9]{2}[ -]([45]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")

_CODES = {
    "AUTHENTICATIONFAILED": Meaning.TOKEN_REFUSED,
    "AUTHORIZATIONFAILED": Meaning.TOKEN_REFUSED,
    "EXPIRED": Meaning.TOKEN_REFUSED,
    "AUTH": Meaning.TOKEN_REFUSED,
    "CONTACTADMIN": Meaning.ACCOUNT_ISSUE,
    "NOPERM": Meaning.NOT_CONNECTED,
    "NONEXISTENT": Meaning.NOT_CONNECTED,
    "UNAVAILABLE": Meaning.UNAVAILABLE,
    "SERVERBUG": Meaning.UNAVAILABLE,
    "SYS/TEMP": Meaning.UNAVAILABLE,
    "SYS/PERM": Meaning.UNAVAILABLE,
    "IN-USE": Meaning.BUSY,
    "INUSE": Meaning.BUSY,
    "LIMIT": Meaning.THROTTLED,
    "LOGIN-DELAY": Meaning.THROTTLED,
}
_ENHANCED_CODES = {
    "5.7.8": Meaning.TOKEN_REFUSED,  # RFC 4954: authentication credentials invalid
    "5.7.9": Meaning.UNRECOGNIZED_MECHANISM,
    "4.7.0": Meaning.UNAVAILABLE,  # RFC 4954: temporary authentication failure
}


def meaning(protocol: Protocol, line: str) -> Meaning | None:
    """What the code of a refusal means, None where there is none, or where it says nothing of signing in.

    A temporary refusal of SMTP (4yz) without a known code is `unavailable` (RFC 5321 4.2.1). Which kind of credential
    was refused the code doesn't say: `token_refused` stands for both.
    """
    if protocol is Protocol.SMTP:
        match = _ENHANCED.match(line)
        if match is not None and (found := _ENHANCED_CODES.get(match[2])) is not None:
            return found
        return Meaning.UNAVAILABLE if re.match(r"4[0-9]{2}(?: |-|$)", line) else None
    if protocol in (Protocol.IMAP, Protocol.POP):
        match = _IN_BRACKETS.match(line)
        return _CODES.get(match[1].upper()) if match is not None else None
    return None
