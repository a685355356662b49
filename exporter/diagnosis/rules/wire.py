"""What packets of real clients say: tampering seen on both sides of the gateway is the strongest evidence there is."""

from exporter.diagnosis.rules.common import quoted
from exporter.diagnosis.seen import Seen
from exporter.observations import Evidence, Probe
from exporter.vocabulary import Cause, Responsible, Tampering

_PAGES = frozenset({Cause.BLOCK_PAGE, Cause.CAPTIVE_PORTAL})
_TERMINATED = _PAGES | {
    Cause.TLS_INTERCEPTED,
    Cause.TENANT_RESTRICTED,
    Cause.AUTH_MECHANISM_STRIPPED,
    Cause.PROTOCOL_REWRITTEN,
}
_AT_HELLO = frozenset(
    {Cause.SNI_RESET, Cause.SNI_DROPPED, Cause.TLS_RESET, Cause.LARGE_HELLO_DROPPED, Cause.TLS_VERSION_BLOCKED}
)
_REACH = frozenset({Cause.TCP_DROPPED, Cause.TCP_RESET, Cause.TCP_UNREACHABLE, Cause.PARTIAL_OUTAGE, Cause.IPV6_BROKEN})
#: What is said may be what a filter minds: the command, or the token.
_TALK = frozenset({Cause.STARTTLS_STRIPPED, Cause.AUTH_DROPPED})

#: The causes that each kind of tampering is the mechanism of.
CAUSES_OF: dict[Tampering, frozenset[Cause]] = {
    Tampering.SYN_NOT_FORWARDED: _REACH,
    Tampering.HELLO_NOT_FORWARDED: _AT_HELLO | {Cause.MTU_BLACKHOLE},
    Tampering.RESET_FORGED: _AT_HELLO | _TALK | {Cause.TCP_RESET, Cause.IDLE_CUT},
    Tampering.RESET_NOT_FORWARDED: frozenset({Cause.TCP_DROPPED, Cause.IDLE_CUT}),
    Tampering.HELLO_REWRITTEN: _TERMINATED,
    Tampering.CERTIFICATE_REPLACED: _TERMINATED,
    Tampering.TERMINATED: _TERMINATED,
    Tampering.STARTTLS_REMOVED: frozenset({Cause.STARTTLS_STRIPPED}),
    Tampering.GREETING_REWRITTEN: frozenset({Cause.PROTOCOL_REWRITTEN, Cause.STARTTLS_STRIPPED}),
    Tampering.BANNER_INJECTED: frozenset({Cause.PROTOCOL_REWRITTEN, Cause.STARTTLS_STRIPPED}) | _PAGES,
    Tampering.PAYLOAD_DROPPED: _AT_HELLO | _TALK | {Cause.MTU_BLACKHOLE, Cause.PACKET_LOSS},
    Tampering.DELAY_ADDED: frozenset({Cause.SLOW_PATH}),
    Tampering.IDLE_CUT: frozenset({Cause.IDLE_CUT}),
}


def tampering_of(seen: Seen, probe: Probe, cause: Cause) -> Evidence | None:
    """What the gateway was seen to do to clients' connections to this target, where it is this cause's mechanism."""
    for connection in seen.connections:
        if connection.target != probe.target:
            continue
        for found in connection.tampering:
            if cause in CAUSES_OF.get(found.kind, ()):
                text = f"seen on both sides of the gateway: {found.kind} {quoted(found.detail)}".strip()
                return Evidence(observation=text, points_to=Responsible.GATEWAY, weight=0.97)
    return None
