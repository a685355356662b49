"""Verdicts from packets alone: what real clients' connections to one target, seen at one tap, have in common.

No probe and no experiment: what separates twins is what other clients, other names and other servers met at that tap.
A single connection may have any reason; what all share, or many, has one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from exporter.diagnosis.rules.common import how_often, listed, quoted
from exporter.diagnosis.rules.refusal import weigh_refusals
from exporter.diagnosis.rules.wire import CAUSES_OF
from exporter.diagnosis.tap import Tap
from exporter.diagnosis.weigh import Claim, Scales, believed
from exporter.observations import Connection
from exporter.probe.resolve import suspicion
from exporter.vocabulary import Cause, ConnectionOutcome, Phase, Tampering
from exporter.wire.distance import hops_of, is_elsewhere

#: A claim of so many connections is confirmed: no lost packet is behind it.
ENOUGH = 3
#: SMTP's reply where it isn't available and hangs up.
NOT_ACTIVE = 421

#: Alerts by which a server's side refuses a version (RFC 8446 6.2).
_VERSION = frozenset({"protocol_version", "insufficient_security"})

PassiveRule = Callable[[Tap], Iterator[Claim]]


def claim_of(scales: Scales, phase: Phase, failed: Sequence[Connection], subject: str | None = None) -> Claim:
    """Confirmed where enough connections failed so."""
    hint = "compare both sides of the gateway: `diagnose --inside FILE --outside FILE`"
    return scales.claim(subject or str(phase), phase, confirmed=len(failed) >= ENOUGH, hint=hint)


def weigh_tampering(scales: Scales, failed: Iterable[Connection]) -> None:
    """Packets of both sides show the mechanism itself."""
    for connection in failed:
        for found in connection.tampering:
            if scales.cause in CAUSES_OF.get(found.kind, ()):
                scales.add(0.9, f"seen on both sides of the gateway: {found.kind} {quoted(found.detail)}".strip())
                return


_REACH = {
    ConnectionOutcome.NO_ANSWER: (Cause.TCP_DROPPED, "SYNs get no answer"),
    ConnectionOutcome.REFUSED: (Cause.TCP_RESET, "SYNs are answered by RST"),
    ConnectionOutcome.UNREACHABLE: (Cause.TCP_UNREACHABLE, "SYNs are answered by ICMP"),
}


def led_elsewhere(tap: Tap) -> Iterator[Claim]:
    """dns_redirected: clients go to an address that no public server has, or a false one, and get nowhere.

    Overturned by: what answers there bears Microsoft's issuer, or the network is one where relays are expected.
    """
    strange = {each.server: what for each in tap.connections if (what := _strange(each.server, tap))}
    stuck = [each for each in tap.connections if each.outcome is not ConnectionOutcome.ESTABLISHED]
    failed = [each for each in stuck if each.server in strange]
    if weight := tap.count(failed):
        scales = Scales(Cause.DNS_REDIRECTED)
        addresses = listed(f"{address} ({what})" for address, what in strange.items())
        scales.add(max(weight, 0.8), f"clients are led to {addresses}, and get no further: {len(failed)} connections")
        hint = "ask the clients' resolver and another one for the name"
        confirmed = len(failed) >= ENOUGH
        yield scales.claim(str(Phase.DNS), Phase.DNS, confirmed=confirmed, hint=hint)


def _strange(server: str, tap: Tap) -> str | None:
    """What is wrong with an address; None where nothing is known to be."""
    if server in tap.walked.false_servers:
        return "where walks found nothing of Microsoft's"
    return suspicion(server, tap.expected)


def not_connected(tap: Tap) -> Iterator[Claim]:
    """tcp_dropped, tcp_reset, tcp_unreachable; partial_outage and ipv6_broken where other servers of it answer.

    Overturned by: most connections to the same server are answered; outside, the SYNs are seen to leave.
    """
    for outcome, (cause, words) in _REACH.items():
        failed = tap.ended(outcome)
        servers = {each.server for each in failed}
        alive = [each for each in tap.connections if each.outcome not in (*_REACH, ConnectionOutcome.INCOMPLETE)]
        dead = servers - {each.server for each in alive}
        if alive and dead:
            yield from _some_servers(tap, [each for each in failed if each.server in dead], alive, words)
        elif weight := tap.count(failed):
            scales = Scales(cause)
            scales.add(weight, f"{words}: {len(failed)} of {len(tap.connections)} connections")
            if any(each.retry_of for each in failed):
                scales.add(0.3, "clients try again and again")
            if any(each.server_port != failed[0].server_port for each in tap.peers if each not in tap.ended(outcome)):
                scales.add(0.2, "other ports are reached from here")
            weigh_refusals(scales, failed, (*tap.connections, *tap.peers))
            weigh_tampering(scales, failed)
            yield claim_of(scales, Phase.CONNECT, failed)


def _some_servers(tap: Tap, failed: list[Connection], alive: list[Connection], words: str) -> Iterator[Claim]:
    six = all(each.ip_version == 6 for each in failed) and all(each.ip_version == 4 for each in alive)
    scales = Scales(Cause.IPV6_BROKEN if six else Cause.PARTIAL_OUTAGE)
    scales.add(0.6 if len(failed) < ENOUGH else 0.8, f"{words} at {listed(each.server for each in failed)}")
    scales.add(0.3, f"{listed(each.server for each in alive)} answers")
    weigh_refusals(scales, failed, (*tap.connections, *tap.peers))
    weigh_tampering(scales, failed)
    yield claim_of(scales, Phase.CONNECT, failed)


def hello_unheard(tap: Tap) -> Iterator[Claim]:
    """sni_reset, sni_dropped, tls_reset, large_hello_dropped, by what other names and other hellos met there.

    Overturned by: other names, or other hellos with the same name, meet the same there (or are answered): each
    cause's rival.
    """
    for outcome in (ConnectionOutcome.HELLO_RESET, ConnectionOutcome.HELLO_UNANSWERED):
        failed = tap.ended(outcome)
        weight = tap.count(failed)
        if not weight:
            continue
        abrupt = outcome is ConnectionOutcome.HELLO_RESET
        by_name = Scales(Cause.SNI_RESET if abrupt else Cause.SNI_DROPPED)
        any_hello, large = Scales(Cause.TLS_RESET), Scales(Cause.LARGE_HELLO_DROPPED)
        said = "is reset" if abrupt else "gets no answer"
        named = listed(each.sni or "nobody" for each in failed)
        text = f"the ClientHello that names {named} {said}: {how_often(len(failed))}"
        by_name.add(weight * 0.7, text)
        large.add(0.1, text)
        if abrupt:
            any_hello.add(weight * 0.6, text)
        _from_elsewhere((by_name, any_hello), failed)
        _other_names(by_name, any_hello, tap, failed)
        _other_hellos(by_name, any_hello, large, tap, failed)
        rivals = [by_name, large, *((any_hello,) if abrupt else ())]
        weigh_tampering(max(rivals, key=lambda scales: believed(scales.pro, scales.contra)), failed)
        for scales in rivals:
            yield claim_of(scales, Phase.TLS, failed)


def forged_resets(connections: Iterable[Connection]) -> list[Connection]:
    """Those ended by a reset from another distance than the server's answer to the SYN."""
    return [
        each for each in connections
        if each.closed_by == "reset_server" and each.server_ttl and each.reset_ttl
        and is_elsewhere(each.server_ttl, each.reset_ttl)
    ]  # fmt: skip


def _from_elsewhere(claims: Iterable[Scales], failed: Sequence[Connection]) -> None:
    """Who resets isn't the server: whatever the reason, somebody in between."""
    told = [each for each in failed if each.closed_by == "reset_server" and each.server_ttl and each.reset_ttl]
    forged = forged_resets(told)
    if forged and len(forged) == len(told):
        reset, server = hops_of(forged[0].reset_ttl or 0), hops_of(forged[0].server_ttl or 0)
        for scales in claims:
            scales.add(
                0.5, f"the reset comes from {reset} hops away, the server is {server} away: it isn't the server's"
            )


def _other_names(by_name: Scales, any_hello: Scales, tap: Tap, failed: list[Connection]) -> None:
    servers, ports = {each.server for each in failed}, {each.server_port for each in failed}
    answered = [each for each in tap.peers if each.outcome is ConnectionOutcome.ESTABLISHED and each.sni]
    same_server = [each for each in answered if each.server in servers]
    same_port = [each for each in answered if each.server_port in ports]
    failing_names = {each.sni for each in tap.peers if each.outcome is failed[0].outcome and each.server_port in ports}
    if same_server:
        text = f"the same server answers other names: {listed(each.sni or '' for each in same_server)}"
        by_name.add(0.85, text)
        any_hello.against(0.9, text, by_name.cause)
    elif same_port:
        text = f"on the same port other names are answered: {listed(each.sni or '' for each in same_port)}"
        by_name.add(0.6, text)
        any_hello.against(0.6, text, by_name.cause)
    elif failing_names - {each.sni for each in failed} or (
        failing_names := {each.sni for each in tap.peers if each.outcome is failed[0].outcome}
    ):
        text = f"other names fail alike: {listed(name or 'nobody' for name in failing_names)}"
        any_hello.add(0.6, text)
        by_name.against(0.6, text, any_hello.cause)


def _other_hellos(by_name: Scales, any_hello: Scales, large: Scales, tap: Tap, failed: list[Connection]) -> None:
    """Clients of another form get through with the same name: what is minded is the form, mostly the size."""
    through = {each.ja4 for each in tap.established if each.ja4 and each.sni in {other.sni for other in failed}}
    stuck = {each.ja4 for each in failed if each.ja4}
    if not through or not stuck or through & stuck:
        return
    families = listed(each.client_family or "unknown" for each in failed)
    text = f"clients with another ClientHello get through with the same name; those stuck are {families}"
    large.add(0.7, text)
    for scales in (by_name, any_hello):
        scales.against(0.8, text, large.cause)


def refuses_version(connection: Connection) -> bool:
    """Whether the server's side refused the version."""
    alert = connection.alert
    return alert is not None and alert.sender == "server" and alert.name in _VERSION


def handshakes_failed(tap: Tap) -> Iterator[Claim]:
    """tls_version_blocked by the alert, mtu_blackhole by silence in the middle of the server's flight.

    Overturned by: hellos of the same versions are answered; without segments sent again silence is a filter's.
    """
    failed = tap.ended(ConnectionOutcome.HANDSHAKE_FAILED)
    refused = [each for each in failed if refuses_version(each)]
    if weight := tap.count(refused):
        scales = Scales(Cause.TLS_VERSION_BLOCKED)
        scales.add(max(weight, 0.7), f"{len(refused)} ClientHellos are answered by the alert protocol_version")
        weigh_tampering(scales, refused)
        yield claim_of(scales, Phase.TLS, refused)
    silent = [each for each in failed if each.alert is None and each.retransmissions > 1 and each.closed_by != "server"]
    if weight := tap.count(silent):
        scales = Scales(Cause.MTU_BLACKHOLE)
        text = f"{len(silent)} handshakes stop in the server's flight, its segments sent again and again"
        scales.add(weight, text)
        weigh_tampering(scales, silent)
        yield claim_of(scales, Phase.TLS, silent)


def out_of_service(tap: Tap) -> Iterator[Claim]:
    """service_outage: SMTP's own word that it isn't active (421, RFC 5321 4.2.2), in clear, so anybody's.

    Overturned by: other connections are greeted at the same time.
    """
    failed = [each for each in tap.ended(ConnectionOutcome.NOT_TLS) if each.refusal == NOT_ACTIVE]
    if weight := tap.count(failed):
        scales = Scales(Cause.SERVICE_OUTAGE)
        scales.add(weight, f"{len(failed)} connections are answered by 421: service not available")
        yield claim_of(scales, Phase.GREETING, failed)


def in_clear(tap: Tap) -> Iterator[Claim]:
    """starttls_stripped: mail that stays in clear where TLS should begin.

    Overturned by: outside, STARTTLS isn't offered either; most connections come to TLS.
    """
    failed = [each for each in tap.ended(ConnectionOutcome.NOT_TLS) if each.refusal != NOT_ACTIVE]
    if not (weight := tap.count(failed)):
        return
    scales = Scales(Cause.STARTTLS_STRIPPED)
    scales.add(weight, f"{len(failed)} connections never come to TLS: STARTTLS isn't offered, or refused")
    weigh_tampering(scales, failed)
    includes = frozenset({Cause.PROTOCOL_REWRITTEN})
    hint = "look at the EHLO reply on both sides of the gateway"
    confirmed = len(failed) >= ENOUGH
    yield scales.claim(str(Phase.STARTTLS), Phase.STARTTLS, includes=includes, confirmed=confirmed, hint=hint)


#: Tampering that is a fault by itself, whatever became of the connection.
_FAULTS = {
    Tampering.GREETING_REWRITTEN: (Cause.PROTOCOL_REWRITTEN, Phase.GREETING),
    Tampering.BANNER_INJECTED: (Cause.PROTOCOL_REWRITTEN, Phase.GREETING),
    Tampering.DELAY_ADDED: (Cause.SLOW_PATH, Phase.CONNECT),
    Tampering.IDLE_CUT: (Cause.IDLE_CUT, Phase.SESSION),
}


def tampered(tap: Tap) -> Iterator[Claim]:
    """What the gateway was seen to do to connections that went on all the same.

    Overturned by: nothing, where both captures have the connection whole; a side that lacks a direction is never
    compared.
    """
    done = dict.fromkeys(found.kind for each in tap.connections for found in each.tampering if found.kind in _FAULTS)
    for cause, phase in dict.fromkeys(_FAULTS[kind] for kind in done):
        scales = Scales(cause)
        weigh_tampering(scales, tap.connections)
        yield scales.claim(f"tampering {cause}", phase, confirmed=True)
