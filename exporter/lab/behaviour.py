"""Switches of the embedded Outlook.com, and what reached it."""

import base64
import binascii
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.lab.era import ERAS, Era


class Then(StrEnum):
    """What a server does after a reply."""

    GO_ON = "go on"
    START_TLS = "start TLS"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes for the client, how long they are held back (seconds), and what follows."""

    data: bytes
    then: Then = Then.GO_ON
    delay: float = 0.0


@dataclass(slots=True)
class Behaviour:
    """How the servers behave; may be changed at any time.

    `split`: replies are written so many bytes at a time (0: whole). Delays are seconds.
    """

    year: str = "2026"
    greeting_delay: float = 0.0
    auth_delay: float = 0.0
    token_delay: float = 0.0
    outage: bool = False
    throttled: bool = False
    retry_after: int = 30
    not_connected: bool = False
    split: int = 0
    valid_tokens: set[str] = field(default_factory=set)
    token_error: int | None = None
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def era(self) -> Era:
        return ERAS[self.year]

    def accepts(self, initial_response: str) -> bool:
        """Whether an XOAUTH2 initial response holds a valid token (facts 3); counts the attempt."""
        self.counts["token"] += 1
        try:
            text = base64.b64decode(initial_response, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        _, _, rest = text.partition("\x01auth=Bearer ")
        return rest.removesuffix("\x01\x01") in self.valid_tokens
