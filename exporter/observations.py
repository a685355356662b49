"""What was seen: plain frozen data. Everything downstream is a pure function of these.

They are what the contract prints: `as_json` gives one line of JSON, `schema` its JSON Schema.
Times are aware UTC datetimes, durations are seconds, `None` means not known.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from exporter.vocabulary import (
    AuthOutcome,
    Cause,
    ClientFamily,
    ClosedBy,
    ConnectionOutcome,
    Mechanism,
    OfferedMechanism,
    Outcome,
    Phase,
    Protocol,
    Responsible,
    Tampering,
)

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressResult:
    """TCP to one address of the name: outcome, and seconds from connect() to writable."""

    address: str
    outcome: Outcome
    seconds: float | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseResult:
    """One phase of a walk. `measured_at` is set where the result is kept from an earlier round (the canary)."""

    phase: Phase
    outcome: Outcome
    seconds: float | None = None
    detail: str | None = None
    measured_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInfo:
    """A certificate as presented; names are cleaned text of the network."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsResult:
    """What a handshake told.

    `trusted`: this machine's store, clock and name check accept the chain, as a client here would.
    `genuine`: signatures verify up to a known Microsoft root key, right name, in date by the corrected clock.
    `signatures_genuine` is the first part of that alone; None where the chain is incomplete, so that it can't be told.
    `reasons`: every certificate outcome that applies, the one reported first.
    `own_seconds`: of the phase's seconds, those in which the server's bytes lay here until our answer left.
    """

    version: str | None = None
    cipher: str | None = None
    group: str | None = None
    alpn: str | None = None
    trusted: bool | None = None
    genuine: bool | None = None
    signatures_genuine: bool | None = None
    issuer_organization: str | None = None
    issuer_common_name: str | None = None
    chain: tuple[CertificateInfo, ...] = ()
    reasons: tuple[Outcome, ...] = ()
    alert: str | None = None
    stack: str | None = None
    own_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthResult:
    """The canary's fate, and what the server offers. `offered` None: capabilities weren't reached."""

    offered: tuple[OfferedMechanism, ...] | None = None
    mechanism: Mechanism | None = None
    outcome: AuthOutcome | None = None
    reply: str | None = None
    meaning: str | None = None
    measured_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUse:
    """Where an account's token came from: `identity_provider`, `cache` or `broker`."""

    source: str
    seconds: float | None = None
    expires_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountResult:
    """One configured account tried at this target.

    `error`: in words, who must do what; `failed_phase` None: signed in, and the mailbox answered where it was asked.
    `withheld`: why the secret was not sent, where it wasn't.
    """

    name: str
    mechanism: Mechanism
    outcome: AuthOutcome
    error: str | None = None
    reply: str | None = None
    seconds: float | None = None
    token: TokenUse | None = None
    failed_phase: Phase | None = None
    cause: Cause | None = None
    responsible: Responsible | None = None
    acts: str | None = None
    withheld: str | None = None
    time: datetime | None = None
    phases: tuple[PhaseResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostResult:
    """One host of a target that has several (sign_in_assets, revocation)."""

    host: str
    outcome: Outcome
    failed_phase: Phase | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One walk to one target from one vantage.

    `outcome` is the first phase outcome that isn't ok, and speaks of the path, never of an account.
    A target of several hosts is reported by its worst host; `hosts` has them all.
    """

    time: datetime
    target: str
    protocol: Protocol
    host: str
    port: int
    address: str | None
    ip_version: int | None
    vantage: str
    outcome: Outcome
    failed_phase: Phase | None
    addresses: tuple[AddressResult, ...] = ()
    phases: tuple[PhaseResult, ...] = ()
    tls: TlsResult | None = None
    auth: AuthResult = field(default_factory=AuthResult)
    accounts: tuple[AccountResult, ...] = ()
    clock_skew_seconds: float | None = None
    hosts: tuple[HostResult, ...] = ()
    retry_after_seconds: float | None = None

    def phase(self, phase: Phase) -> PhaseResult | None:
        """The result of that phase, or None where the walk has no such phase."""
        return next((result for result in self.phases if result.phase is phase), None)

    @property
    def measured(self) -> bool:
        """False where this walk never began: its vantage isn't there, or there was no time."""
        return self.outcome is not Outcome.SKIPPED or any(
            result.outcome is not Outcome.SKIPPED and result.measured_at is None for result in self.phases
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WireAlert:
    """A TLS alert seen on the way. `name` and `level` are None where it was encrypted; `sender` prints as `from`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "alias_generator": lambda name: "from" if name == "sender" else name
    }

    name: str | None
    level: str | None
    sender: str  # client or server
    encrypted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WireAuth:
    """One attempt to sign in, as lengths and directions of records tell. `seconds`: how long the answer took."""

    mechanism: Mechanism
    outcome: AuthOutcome
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TamperingSeen:
    """What the gateway did to this connection; `direction` is to_server or to_client."""

    kind: Tampering
    direction: str | None = None
    detail: str | None = None


# Not frozen, though nobody changes one: a frozen dataclass sets its fields by a call each, which with so many took a
# thirtieth of reading a capture.
@dataclass(slots=True, kw_only=True)
class Connection:
    """A client's connection, read from its packets. Fields as in the contract; `bytes_*` are payload.

    `reply_seconds`: from the client's request to the server's first reply to it. `refusal`: the SMTP code by which the
    server would not go on in clear (421, 454 …). `server_ttl`, `reset_ttl`: time to live, or hop limit, of the SYN-ACK
    and of the first reset from the server's side. `resumed`: an earlier TLS session went on, so that no certificate was
    sent; `hello_retry`: the server asked for another hello first (RFC 8446, 4.1.4). None where it wasn't seen.
    """

    start: datetime
    end: datetime
    client: str | None
    client_port: int | None
    server: str
    server_port: int
    ip_version: int
    vlan: tuple[int, ...] = ()
    interface: str | None = None
    target: str | None = None
    sni: str | None = None
    outcome: ConnectionOutcome
    alert: WireAlert | None = None
    tls_version: str | None = None
    cipher: str | None = None
    group: str | None = None
    ja4: str | None = None
    client_family: ClientFamily | None = None
    certificate_issuer: str | None = None
    tcp_handshake_seconds: float | None = None
    tls_handshake_seconds: float | None = None
    first_reply_seconds: float | None = None
    auth: WireAuth | None = None
    attempts: tuple[WireAuth, ...] = ()
    bytes_sent: int | None = None
    bytes_received: int | None = None
    closed_by: ClosedBy | None = None
    retry_of: int = 0
    tampering: tuple[TamperingSeen, ...] = ()
    retransmissions: int = 0
    reply_seconds: float | None = None
    refusal: int | None = None
    server_ttl: int | None = None
    reset_ttl: int | None = None
    resumed: bool | None = None
    hello_retry: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One observation that speaks for a cause; `weight` 0 to 1."""

    observation: str
    points_to: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong, who has to act, how sure we are, and what to do."""

    target: str
    vantage: str
    account: str | None
    cause: Cause
    responsible: Responsible
    confidence: float
    evidence: tuple[Evidence, ...]
    journeys: tuple[str, ...]
    remedy: str
    runbook: str
    next_experiment: str | None = None


_ADAPTERS: "dict[type, TypeAdapter[Any]]" = {}


def _adapter(kind: type) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter  # it takes longer to import than a small capture to read

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def as_json(observation: Any) -> str:
    """One line of JSON as the contract prints it."""
    return _adapter(type(observation)).dump_json(observation, by_alias=True).decode()


def from_json(kind: type, line: str | bytes) -> Any:
    """The observation a line of JSON holds. Raises pydantic.ValidationError naming the field."""
    return _adapter(kind).validate_json(line)


def schema(kind: type) -> dict[str, Any]:
    """The JSON Schema of an observation."""
    return _adapter(kind).json_schema(mode="serialization", by_alias=True)
