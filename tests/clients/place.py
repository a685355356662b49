"""A port of a running server: what is spoken there, who may sign in, and what its log says of a connection."""

from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.vocabulary import Mechanism, Protocol
from tests.clients.truth import Truth

USER = "someone@example.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`truth` gives a connection's attempts by the address it came from; `secrets` the right password and token."""

    server: str
    protocol: Protocol
    port: int
    starttls: bool
    tls: str  # a word of tests.clients.tls_policy
    truth: Callable[[str], Truth]
    secrets: dict[Mechanism, str]
    microsoft: bool = False
    user: str = USER
    refusals_only: frozenset[Mechanism] = field(default_factory=frozenset)  # refused whatever is sent
