"""What the sign-in hosts remember: applications, device codes, and what refresh tokens stand for (facts 4.3, 4.4)."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.lab.behaviour import MAX_SEEN

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class App:
    """A registered application: how it proves who it is, where it must."""

    secret: str | None = None
    key: rsa.RSAPublicKey | None = None


@dataclass(slots=True)
class DeviceCode:
    """A device code and what became of it: pending, approved or declined."""

    client: str
    scope: str
    expires: datetime
    state: str = "pending"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a refresh token stands for."""

    user: str
    client: str
    scope: str
    personal: bool
    issued: datetime


def remember(table: dict[str, Value], key: str, value: Value) -> None:
    """Notes it; the oldest of too many is forgotten."""
    if len(table) >= MAX_SEEN:
        del table[next(iter(table))]
    table[key] = value
