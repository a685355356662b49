"""Verdicts from packets alone: the passive rules over each tap, placed by the contract's table."""

from collections.abc import Sequence

from exporter.catalogue import TARGETS
from exporter.diagnosis.causes import Where
from exporter.diagnosis.decide import UNNAMED, Judged, faults_among, named, verdict_of
from exporter.diagnosis.place import OUTSIDE_VANTAGE, Placed, by_cause
from exporter.diagnosis.rules.passive import (
    PassiveRule,
    forged_resets,
    handshakes_failed,
    hello_unheard,
    in_clear,
    led_elsewhere,
    not_connected,
    out_of_service,
    tampered,
)
from exporter.diagnosis.rules.passive_certificates import certificates, product_of
from exporter.diagnosis.rules.passive_sign_in import (
    cut_at_sign_in,
    idle_cut,
    lossy,
    passwords,
    slow,
    throttled,
    tokens,
)
from exporter.diagnosis.rules.refusal import NEXT_DOOR, from_first_hop, is_private, next_door
from exporter.diagnosis.rules.wire import CAUSES_OF
from exporter.diagnosis.seen import Seen
from exporter.diagnosis.tap import BEYOND, Tap, Walked, taps
from exporter.diagnosis.weigh import NAMED, Claim, Scales
from exporter.observations import Evidence, Verdict
from exporter.vocabulary import Cause, ConnectionOutcome, Phase, Responsible, Tampering
from exporter.wire.distance import hops_of

RULES: tuple[PassiveRule, ...] = (
    led_elsewhere, not_connected, hello_unheard, certificates, handshakes_failed, out_of_service, in_clear, tampered,
    passwords, tokens, throttled, cut_at_sign_in, idle_cut, slow, lossy,
)  # fmt: skip

#: Causes of the path's quality are the network's where nothing places them.
_PATHS = frozenset({Cause.MTU_BLACKHOLE, Cause.IPV6_BROKEN, Cause.PACKET_LOSS, Cause.SLOW_PATH, Cause.PARTIAL_OUTAGE})
#: What the servers themselves say or do: no side of the gateway is at fault.
_SERVICE = frozenset({Cause.THROTTLED, Cause.SERVICE_OUTAGE, Cause.SLOW_SIGN_IN, Cause.SLOW_SERVICE})
#: A certificate's own faults: nothing of it changes on the way.
_CERTIFICATES = frozenset(
    {
        Cause.ROOT_NOT_TRUSTED, Cause.CERTIFICATE_EXPIRED, Cause.CERTIFICATE_NOT_YET_VALID,
        Cause.CERTIFICATE_NAME_MISMATCH, Cause.CERTIFICATE_CHAIN_INCOMPLETE,
    }
)  # fmt: skip
#: Who led clients there, or spoke in clear, packets of a way don't tell.
_ANYBODYS = frozenset({Cause.DNS_REDIRECTED})
_BOTH_SIDES = "compare both sides of the gateway: `diagnose --inside FILE --outside FILE`"


def judge_wire(seen: Seen, probed: Sequence[Verdict]) -> list[Judged]:
    """The verdicts about each target at each tap; nothing for a tap that saw only beginnings or ends.

    `probed`: what the same round's walks say: by experiments, which packets alone don't have.
    """
    return [each for tap in taps(seen, _walked(seen, probed)) for each in _of_tap(tap, probed)]


def _walked(seen: Seen, probed: Sequence[Verdict]) -> dict[str, Walked]:
    """By target."""
    misled = {(each.target, each.vantage) for each in probed if each.cause is Cause.DNS_REDIRECTED}
    servers: dict[str, set[str]] = {}
    for probe in seen.probes:
        if (probe.target, probe.vantage) in misled:
            servers.setdefault(probe.target, set()).update(each.address for each in probe.addresses)
    faults: dict[str, set[Cause]] = {}
    for verdict in probed:
        if verdict.cause in _CERTIFICATES or verdict.cause is Cause.TLS_INTERCEPTED:
            faults.setdefault(verdict.target, set()).add(verdict.cause)
    certain = {target: next(iter(met)) for target, met in faults.items() if len(met) == 1 and met <= _CERTIFICATES}
    return {
        target: Walked(frozenset(servers.get(target, ())), certain.get(target))
        for target in servers.keys() | certain.keys()
    }


def _of_tap(tap: Tap, probed: Sequence[Verdict]) -> list[Judged]:
    told = [each for each in tap.connections if each.outcome is not ConnectionOutcome.INCOMPLETE]
    claims = [claim for rule in RULES for claim in rule(tap)]
    faults = faults_among(named(claims))
    if faults:
        return [_verdict(tap, claim, belief, probed) for claim, belief in faults]
    if not told:
        return []
    if tap.established:
        return [_healthy(tap)]
    return [_unknown(tap, claims)]


def _verdict(tap: Tap, claim: Claim, belief: float, probed: Sequence[Verdict]) -> Judged:
    placed = _placed(tap, claim)
    confidence = UNNAMED if claim.cause is Cause.UNKNOWN else belief * placed.belief
    if placed.responsible is Responsible.UNKNOWN and (known := _as_probed(tap, claim, probed)) is not None:
        placed, confidence = known  # that others met it too makes nobody less sure
    next_experiment = placed.next_experiment
    verdict = verdict_of(tap.target, tap.vantage, claim, placed, confidence, next_experiment, _where(tap))
    return Judged(verdict, claim.confirmed)


def _as_probed(tap: Tap, claim: Claim, probed: Sequence[Verdict]) -> tuple[Placed, float] | None:
    """Where walks to this target met the same fault and placed it, all alike, packets of it are of no other. With how
    sure the walks were."""
    same = [each for each in probed if each.target == tap.target and each.cause is claim.cause and not each.account]
    placed = {each.responsible for each in same} - {Responsible.UNKNOWN}
    if len(placed) != 1 or (Responsible.GATEWAY in placed and tap.vantage == BEYOND):
        return None
    (whom,) = placed
    surest = max((each for each in same if each.responsible is whom), key=lambda each: each.confidence)
    text = f"the walk from {surest.vantage} met the same fault, and placed it"
    evidence = Evidence(observation=text, points_to=whom, weight=surest.confidence)
    return Placed(whom, (evidence,)), surest.confidence


def _where(tap: Tap) -> Where:
    """As clients named it."""
    first = tap.connections[0]
    issuers = [each.certificate_issuer for each in tap.connections if each.certificate_issuer]
    name = next((each.sni for each in tap.connections if each.sni), None)
    known = TARGETS.get(tap.target)
    host = name or (known.host if known is not None else first.server)
    return Where(host, first.server_port, issuers[0] if issuers else "")


def _placed(tap: Tap, claim: Claim) -> Placed:
    """By packets of both sides, by what the cause itself tells, else as the table has it."""
    if claim.cause in _ANYBODYS:
        return Placed(Responsible.UNKNOWN, next_experiment=claim.hint or _BOTH_SIDES)
    if claim.cause is Cause.UNKNOWN:
        return Placed(Responsible.UNKNOWN, next_experiment=claim.hint)
    if (own := by_cause(claim.cause)) is not None:
        return own
    tampering = [
        found for each in tap.connections for found in each.tampering if claim.cause in CAUSES_OF.get(found.kind, ())
    ]
    if tampering:
        text = f"the gateway was seen to do it: {tampering[0].kind}"
        return Placed(Responsible.GATEWAY, (Evidence(observation=text, points_to=Responsible.GATEWAY, weight=0.97),))
    if tap.two_sided and claim.cause not in _SERVICE | _CERTIFICATES and not _tampered(tap):
        text = "outside the gateway the same connections fare the same: it begins beyond"
        return Placed(Responsible.NETWORK, (Evidence(observation=text, points_to=Responsible.NETWORK, weight=0.85),))
    if claim.cause in _RESETS and (near := _next_door(tap)) is not None:
        return Placed(Responsible.GATEWAY, (near,))
    if claim.cause in _REFUSALS and (near := _refused_next_door(tap)) is not None:
        return Placed(Responsible.GATEWAY, (near,))
    if claim.cause is Cause.TLS_INTERCEPTED and (product := product_of(tap.connections)) is not None:
        text = f"the issuer is {product}, which gateways use to inspect TLS"
        return Placed(Responsible.GATEWAY, (Evidence(observation=text, points_to=Responsible.GATEWAY, weight=0.8),))
    if claim.cause in _PATHS:
        return Placed(Responsible.NETWORK, next_experiment=_BOTH_SIDES)
    return Placed(Responsible.UNKNOWN, next_experiment=_BOTH_SIDES)


def _tampered(tap: Tap) -> bool:
    """Whether the gateway did anything to connections that failed, though it be none of what the cause comes by."""
    failed = (each for each in tap.connections if each.outcome is not ConnectionOutcome.ESTABLISHED)
    return any(found.kind is not Tampering.MSS_CLAMPED for each in failed for found in each.tampering)


#: Causes that a forged reset is the means of.
_RESETS = frozenset({Cause.SNI_RESET, Cause.TLS_RESET, Cause.LARGE_HELLO_DROPPED, Cause.AUTH_DROPPED})


def _next_door(tap: Tap) -> Evidence | None:
    """Every reset comes from the first hop, the server is further away, and the tap is on the clients' side: their
    addresses are private. (Beyond the gateway the first hop is somebody else.)"""
    resets = [
        each for each in tap.connections if each.closed_by == "reset_server" and each.server_ttl and each.reset_ttl
    ]
    forged = forged_resets(resets)
    if not forged or len(forged) != len(resets) or not all(is_private(each.client) for each in forged):
        return None
    if any(hops_of(each.reset_ttl or 0) > NEXT_DOOR for each in forged):
        return None
    return from_first_hop(forged[0], hops_of(forged[0].server_ttl or 0))


#: Causes that a RST to a SYN is the means of.
_REFUSALS = frozenset({Cause.TCP_RESET, Cause.PARTIAL_OUTAGE, Cause.IPV6_BROKEN})


def _refused_next_door(tap: Tap) -> Evidence | None:
    """Where nothing but refusals is behind it."""
    unborn = tap.ended(ConnectionOutcome.REFUSED, ConnectionOutcome.NO_ANSWER, ConnectionOutcome.UNREACHABLE)
    if any(each.outcome is not ConnectionOutcome.REFUSED for each in unborn):
        return None
    return next_door(unborn, (*tap.connections, *tap.peers))


def _healthy(tap: Tap) -> Judged:
    scales = Scales(Cause.HEALTHY)
    scales.add(0.7, f"{len(tap.established)} of {len(tap.connections)} connections were established")
    accepted = [each for each in tap.established if each.auth is not None and each.auth.outcome == "accepted"]
    if accepted:
        scales.add(0.8, f"{len(accepted)} sign-ins were accepted")
    claim = scales.claim(str(Phase.SESSION), Phase.SESSION, confirmed=True)
    placed = Placed(Responsible.UNKNOWN)
    return Judged(verdict_of(tap.target, tap.vantage, claim, placed, claim.belief), confirmed=True)


def _unknown(tap: Tap, claims: list[Claim]) -> Judged:
    """Nothing was established, and no cause is sure enough."""
    scales = Scales(Cause.UNKNOWN)
    outcomes = ", ".join(sorted({each.outcome for each in tap.connections}))
    scales.add(0.3, f"of {len(tap.connections)} connections none was established: {outcomes}")
    for rival in sorted(claims, key=lambda claim: claim.belief, reverse=True)[:3]:
        if rival.belief < NAMED and rival.pro:
            scales.pro.append(
                Evidence(observation=f"it may be {rival.cause}", points_to=rival.cause, weight=round(rival.belief, 2))
            )
    claim = scales.claim(str(Phase.CONNECT), Phase.CONNECT)
    placed = Placed(Responsible.UNKNOWN)
    verdict = verdict_of(tap.target, tap.vantage, claim, placed, UNNAMED, OUTSIDE_VANTAGE, _where(tap))
    return Judged(verdict, confirmed=False)
