"""What an experiment showed: the same way walked again with one thing changed, as plain frozen data."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exporter.vocabulary import CONVERSATION_GOES_ON, Outcome, Phase


class Kind(StrEnum):
    """What was changed."""

    AGAIN = "again"  # nothing
    DEAD_ADDRESS = "dead_address"  # once more, an address that failed while others worked
    SECOND_RESOLVER = "second_resolver"
    DNS_OVER_TCP = "dns_over_tcp"
    DNS_AT_TTL = "dns_at_ttl"
    OTHER_ADDRESS = "other_address"  # walked to as the second resolver has it
    OTHER_PORT = "other_port"  # of the same host
    CONTROL_HOST = "control_host"  # a neutral host on the same path
    SYN_AT_TTL = "syn_at_ttl"
    HELLO_AT_TTL = "hello_at_ttl"
    NO_NAME = "no_name"  # in the ClientHello, as those below
    OTHER_NAME = "other_name"
    SMALL_HELLO = "small_hello"
    TLS_1_2 = "tls_1_2"
    TLS_1_3 = "tls_1_3"
    OLD_TLS = "old_tls"
    NO_ALPN = "no_alpn"
    OTHER_FINGERPRINT = "other_fingerprint"
    SPLIT_HELLO = "split_hello"
    SMALL_SEGMENTS = "small_segments"  # a small MSS, both ways
    SMALL_ANSWER = "small_answer"  # a ClientHello that can only be answered by an alert
    PATIENT = "patient"  # 30 s for what timed out
    LONG_COMMAND = "long_command"  # a long line before any authentication
    SHORT_CANARY = "short_canary"
    LONG_BEHIND = "long_behind"  # the long line behind that one's refusal, on the same connection
    OTHER_CHAIN = "other_chain"  # the leaf checked with intermediates that other hosts present
    PAGE = "page"  # who answered, looked at closely
    LOSS = "loss"  # TCP handshakes, how many of which needed a segment sent again
    HOLD = "hold"  # kept idle, then asked something


#: Of repeated TCP handshakes so many (share, and at least so many) that lost a segment are more than bad luck.
LOSSY_SHARE, LOSSY_COUNT = 0.15, 4

#: The server's TLS was met: whatever it said, nothing on the way kept the ClientHello from it.
_TLS_ANSWERS = CONVERSATION_GOES_ON | {Outcome.ALERT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One experiment about a target from a vantage.

    `outcome`: how `phase`, the one in question, ended. `ttl`: of the packets in question. `control`: done where nothing
    is wrong, to compare with. `addresses`: a resolver's answer. `acknowledged`: whether the ClientHello was, by the
    kernel's account; `retransmissions`, `out_of_order`: segments. `private`: the page is a private address's.
    `tried`, `hit`: counts of a repeated experiment. `idle`: seconds kept idle. `connections`: what it cost.
    """

    experiment: Kind
    time: datetime
    target: str
    vantage: str
    host: str
    port: int
    outcome: Outcome
    phase: Phase | None = None
    address: str | None = None
    seconds: float | None = None
    detail: str | None = None
    ttl: int | None = None
    control: bool = False
    addresses: tuple[str, ...] = ()
    genuine: bool | None = None
    acknowledged: bool | None = None
    retransmissions: int | None = None
    out_of_order: int | None = None
    private: bool | None = None
    tried: int | None = None
    hit: int | None = None
    idle: float | None = None
    connections: int = 1

    @property
    def is_lossy(self) -> bool:
        """Of repeated handshakes: whether so many lost a segment that it isn't bad luck."""
        return (self.hit or 0) >= LOSSY_COUNT and (self.hit or 0) >= LOSSY_SHARE * (self.tried or 1)

    @property
    def answered(self) -> bool:
        """Whether what was asked for got an answer from the other end (an alert is one)."""
        return self.outcome in (_TLS_ANSWERS if self.phase is Phase.TLS else {Outcome.OK})
