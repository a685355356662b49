"""Which connections a verdict rests on, and one that fared better to compare with: what is drawn and exported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exporter.diagnosis.rules.passive import refuses_version
from exporter.diagnosis.rules.passive_certificates import foreign_issuer, refuses_certificate
from exporter.diagnosis.rules.wire import CAUSES_OF
from exporter.diagnosis.seen import Seen
from exporter.diagnosis.tap import WIRE, with_targets
from exporter.observations import Connection, Verdict, WireAuth
from exporter.vocabulary import AuthOutcome, Cause, ClosedBy, ConnectionOutcome, Mechanism, Tampering

#: Connections shown for a verdict, besides the one to compare with.
MOST = 3

_UNBORN = frozenset({ConnectionOutcome.NO_ANSWER, ConnectionOutcome.REFUSED, ConnectionOutcome.UNREACHABLE})
_UNHEARD = frozenset({ConnectionOutcome.HELLO_RESET, ConnectionOutcome.HELLO_UNANSWERED})
_CUT = frozenset({ClosedBy.RESET_SERVER, ClosedBy.TIMEOUT})
_OUTCOMES = {
    Cause.TCP_DROPPED: {ConnectionOutcome.NO_ANSWER},
    Cause.TCP_RESET: {ConnectionOutcome.REFUSED},
    Cause.TCP_UNREACHABLE: {ConnectionOutcome.UNREACHABLE},
    Cause.IPV6_BROKEN: _UNBORN,
    Cause.PARTIAL_OUTAGE: _UNBORN,
    Cause.SNI_RESET: {ConnectionOutcome.HELLO_RESET},
    Cause.TLS_RESET: {ConnectionOutcome.HELLO_RESET},
    Cause.SNI_DROPPED: {ConnectionOutcome.HELLO_UNANSWERED},
    Cause.LARGE_HELLO_DROPPED: _UNHEARD,
    Cause.MTU_BLACKHOLE: {ConnectionOutcome.HANDSHAKE_FAILED, ConnectionOutcome.HELLO_UNANSWERED},
    Cause.STARTTLS_STRIPPED: {ConnectionOutcome.NOT_TLS},
    Cause.PROTOCOL_REWRITTEN: {ConnectionOutcome.NOT_TLS},
}


def _signed_in(mechanism: Mechanism, *outcomes: AuthOutcome) -> Callable[[Connection], bool]:
    def fits(connection: Connection) -> bool:
        return any(each.mechanism is mechanism and each.outcome in outcomes for each in _attempts(connection))

    return fits


def _attempts(connection: Connection) -> Sequence[WireAuth]:
    return connection.attempts or ((connection.auth,) if connection.auth is not None else ())


_password_refused = _signed_in(Mechanism.PASSWORD, AuthOutcome.REFUSED)
_token_refused = _signed_in(Mechanism.TOKEN, AuthOutcome.REFUSED)
_token_unanswered = _signed_in(Mechanism.TOKEN, AuthOutcome.UNKNOWN, AuthOutcome.ABANDONED)
_FITS: dict[Cause, Callable[[Connection], bool]] = {
    Cause.TLS_INTERCEPTED: lambda each: foreign_issuer(each) or refuses_certificate(each),
    Cause.ROOT_NOT_TRUSTED: lambda each: refuses_certificate(each),
    Cause.TLS_VERSION_BLOCKED: lambda each: refuses_version(each),
    Cause.IDLE_CUT: lambda each: each.closed_by in _CUT and each.outcome is ConnectionOutcome.ESTABLISHED,
    Cause.AUTH_DROPPED: lambda each: each.closed_by in _CUT and _token_unanswered(each),
    Cause.PASSWORD_REFUSED: lambda each: _password_refused(each) or _left(each),
    Cause.TOKEN_EXPIRED: _token_refused,
    Cause.SERVICE_OUTAGE: _token_refused,
    Cause.PACKET_LOSS: lambda each: each.retransmissions > 0,
    Cause.SLOW_PATH: lambda each: each.tcp_handshake_seconds is not None,
    Cause.SLOW_SERVICE: lambda each: each.first_reply_seconds is not None,
    Cause.SLOW_SIGN_IN: lambda each: each.reply_seconds is not None,
    Cause.UNKNOWN: lambda each: each.outcome is not ConnectionOutcome.ESTABLISHED,
}


def _left(connection: Connection) -> bool:
    return connection.auth is not None and connection.auth.outcome is AuthOutcome.ABANDONED


@dataclass(frozen=True, slots=True)
class Decisive:
    """The connections behind a verdict, the best first. `better`: one that came through, to compare with."""

    connections: tuple[Connection, ...]
    better: Connection | None = None


def decisive(seen: Seen, verdict: Verdict) -> Decisive:
    """What on the wire shows a verdict; nothing where it rests on probes alone."""
    wire = verdict.vantage.partition(":")
    known = list(with_targets(seen.connections))
    own = [each for each in known if each.target == verdict.target]
    if wire[0] == WIRE:
        own = [each for each in own if (each.interface or "") == wire[2]]
        known = [each for each in known if (each.interface or "") == wire[2]]
        rank = _rank
    else:
        rank = _done_by_the_gateway
    ranked = [(rank(verdict.cause, each), each) for each in own]
    kept = sorted((pair for pair in ranked if pair[0]), key=lambda pair: -pair[0])[:MOST]
    found = tuple(each for _, each in kept)
    return Decisive(found, _better(known, found[0]) if found else None)


def _rank(cause: Cause, connection: Connection) -> int:
    """How well it shows the cause; 0: not at all."""
    fits = connection.outcome in _OUTCOMES.get(cause, ()) or (cause in _FITS and _FITS[cause](connection))
    done = _done_by_the_gateway(cause, connection)
    if not fits and not done:
        return 0
    return 4 * bool(done) + 2 * fits + (connection.tcp_handshake_seconds is not None)


def _done_by_the_gateway(cause: Cause, connection: Connection) -> int:
    return any(cause in CAUSES_OF.get(each.kind, ()) for each in connection.tampering)


def _better(known: Sequence[Connection], shown: Connection) -> Connection | None:
    """One that was established and not tampered with: best to the same server, else to the same port."""
    fine = [
        each for each in known
        if each.outcome is ConnectionOutcome.ESTABLISHED and each.sni
        and all(done.kind is Tampering.MSS_CLAMPED for done in each.tampering)
        and each.server_port == shown.server_port and shown.outcome is not ConnectionOutcome.ESTABLISHED
    ]  # fmt: skip
    return max(fine, key=lambda each: (each.server == shown.server, each.sni != shown.sni), default=None)
