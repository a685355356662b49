"""Who has to act: the contract's table, cause by cause. Conservative: what can't be placed is `unknown`, or `network`.

Naming the gateway or Microsoft when it wasn't is the worst mistake, so each needs a sight of its own: another vantage,
a hop, an address, a signature, packets of both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.hops import Begins, where_it_begins
from exporter.diagnosis.rules.common import listed
from exporter.diagnosis.rules.reach import some_addresses
from exporter.diagnosis.rules.refusal import next_door_among
from exporter.diagnosis.rules.speed import TIMES_SLOWER, is_path_slow, loses_nothing, path_seconds
from exporter.diagnosis.rules.wire import tampering_of
from exporter.diagnosis.seen import (
    INSIDE,
    Seen,
    canary_answered,
    failing,
    is_clean,
    outcome_of,
    passed,
    version_of,
)
from exporter.diagnosis.signatures import inspection_product, issuer_of, signatures
from exporter.diagnosis.weigh import Claim, believed
from exporter.observations import Evidence, Probe
from exporter.vocabulary import Cause, Outcome, Phase, Responsible

GATEWAY, NETWORK, MICROSOFT = Responsible.GATEWAY, Responsible.NETWORK, Responsible.MICROSOFT


@dataclass(frozen=True, slots=True)
class Placed:
    """Who is responsible, what shows it, and how to find out where nothing does."""

    responsible: Responsible
    evidence: tuple[Evidence, ...] = ()
    next_experiment: str | None = None

    @property
    def belief(self) -> float:
        """How sure the placement is; 1 where it follows from the cause itself, or nothing is claimed."""
        return believed(self.evidence) if self.evidence else 1.0


#: Follows from the cause itself.
_BY_CAUSE = {
    Cause.HEALTHY: Responsible.UNKNOWN,
    Cause.PROXY_AUTH_REQUIRED: Responsible.APPLIANCE,
    Cause.CLOCK_SKEW: Responsible.APPLIANCE,
    Cause.ROOT_NOT_TRUSTED: Responsible.APPLIANCE,
    Cause.PASSWORD_REFUSED: Responsible.CLIENT,
    **dict.fromkeys(
        (
            Cause.TOKEN_EXPIRED, Cause.TOKEN_REVOKED, Cause.TOKEN_MISSING, Cause.MFA_REQUIRED, Cause.CONSENT_MISSING,
            Cause.CONDITIONAL_ACCESS, Cause.ACCOUNT_DISABLED, Cause.CREDENTIALS_INVALID, Cause.PROTOCOL_DISABLED,
            Cause.MAILBOX_UNAVAILABLE, Cause.APP_MISCONFIGURED,
        ),
        Responsible.ACCOUNT,
    ),
}  # fmt: skip


def by_cause(cause: Cause) -> Placed | None:
    """Who is responsible where the cause itself tells, else None."""
    return Placed(_BY_CAUSE[cause]) if cause in _BY_CAUSE else None


OUTSIDE_VANTAGE = (
    "look from beyond the filter: add a vantage on the outside interface (`vantages: [{name: wan, interface: …}]`)"
)
INSIDE_VANTAGE = "look from the clients' side: `outlook-auth-exporter vantage create NAME --inside INTERFACE`"


def place(claim: Claim, seen: Seen, probe: Probe | None) -> Placed:
    """The party responsible for a claim's cause at a probe (None for an account's)."""
    if (placed := by_cause(claim.cause)) is not None:
        return placed
    if probe is None:
        return _accounts_service(claim)
    placer = _PLACERS.get(claim.cause, _by_filter)
    return placer(claim, seen, probe)


def _accounts_service(claim: Claim) -> Placed:
    """What Microsoft told an account over a genuine chain: a token goes over no other."""
    if claim.cause in (Cause.THROTTLED, Cause.SERVICE_OUTAGE):
        return Placed(
            MICROSOFT, (_towards(0.9, "Microsoft's own words, over the connection that the token took", MICROSOFT),)
        )
    return Placed(Responsible.UNKNOWN)


def _towards(weight: float, observation: str, whom: Responsible) -> Evidence:
    return Evidence(observation=observation, points_to=whom, weight=weight)


# --- by where the fault begins: a filter's faults


def _by_filter(claim: Claim, seen: Seen, probe: Probe) -> Placed:
    """gateway: another vantage passes, or it begins at the first hop; network: it begins beyond; else unknown."""
    passing = [other for other in seen.others(probe) if _passes(claim, other) and _goes_there_too(claim, probe, other)]
    wire = tampering_of(seen, probe, claim.cause)
    if wire is not None:
        return Placed(GATEWAY, (wire,))
    same_outside = [
        other for other in seen.others(probe)
        if seen.facts(other.vantage).side != INSIDE and _same_fault(claim, probe, other)
    ]  # fmt: skip
    if passing and not same_outside:
        text = f"from {listed(other.vantage for other in passing)} the same target passes"
        return Placed(GATEWAY, (_towards(0.95, text, GATEWAY),))
    begins = where_it_begins(claim.cause, seen, probe)
    if begins.evidence is not None and (begins.where is Begins.BEYOND or not same_outside or begins.is_certain):
        if begins.where is Begins.BEYOND and claim.cause in _SILENT and not same_outside:
            evidence = replace(begins.evidence, weight=ONE_WAY)
            return Placed(NETWORK, (evidence,), next_experiment=_how_to_place(seen, probe))
        return Placed(GATEWAY if begins.where is Begins.FIRST_HOP else NETWORK, (begins.evidence,))
    if claim.cause is Cause.TCP_RESET and not same_outside and not seen.facts(probe.vantage).proxied:
        near = next_door_among(seen.connections, probe.target)
        if near is not None:
            return Placed(GATEWAY, (near,))
    for other in same_outside:
        theirs = where_it_begins(claim.cause, seen, other)
        if theirs.evidence is not None and theirs.where is Begins.BEYOND:
            text = f"the same is met from {other.vantage}, where {theirs.evidence.observation}"
            return Placed(NETWORK, (_towards(0.8, text, NETWORK),))
    return Placed(Responsible.UNKNOWN, next_experiment=_how_to_place(seen, probe))


#: Faults that are silence: what came through the gateway may have been answered, and the answer swallowed there.
_SILENT = frozenset({Cause.TCP_DROPPED, Cause.SNI_DROPPED})
#: How much the way out alone tells of them.
ONE_WAY = 0.7


def _passes(claim: Claim, other: Probe) -> bool:
    """Whether another vantage shows that the fault isn't everywhere."""
    if claim.cause in (Cause.AUTH_DROPPED,):
        return canary_answered(other)
    if claim.cause is Cause.IDLE_CUT:
        return other.outcome is Outcome.OK and any("from " in each.observation for each in claim.pro[1:])
    if claim.cause in (Cause.DNS_FAILURE, Cause.DNS_REDIRECTED):
        return outcome_of(other, Phase.DNS) is Outcome.OK and is_clean(other)
    return passed(other, claim.phase) and signatures(other) is not False


def _goes_there_too(claim: Claim, probe: Probe, other: Probe) -> bool:
    """With a proxy `dns` and `connect` are the proxy's: who goes without it says nothing of them."""
    of_the_proxy = probe.phase(Phase.PROXY) is not None and claim.phase in (Phase.DNS, Phase.CONNECT)
    return not of_the_proxy or other.phase(Phase.PROXY) is not None


def _same_fault(claim: Claim, probe: Probe, other: Probe) -> bool:
    return (
        outcome_of(other, claim.phase) is not None
        and outcome_of(other, claim.phase) is outcome_of(probe, claim.phase)
        and (outcome_of(other, claim.phase) is not Outcome.OK)
    )


def _how_to_place(seen: Seen, probe: Probe) -> str:
    vantages = {other.vantage for other in seen.probes}
    if len(vantages) > 1:
        return "compare captures of both sides of the gateway: `inspect --inside INTERFACE --outside INTERFACE`"
    return OUTSIDE_VANTAGE


def _version(claim: Claim, seen: Seen, probe: Probe) -> Placed:
    """As a filter's fault; Microsoft's where only an old version is spoken, with a genuine chain, at every vantage."""
    placed = _by_filter(claim, seen, probe)
    if placed.responsible is not Responsible.UNKNOWN:
        return placed
    old = seen.tried(probe).get(Kind.OLD_TLS)
    everywhere = [other for other in seen.others(probe) if outcome_of(other, Phase.TLS) is outcome_of(probe, Phase.TLS)]
    if old is not None and old.genuine and everywhere and len(everywhere) == len(seen.others(probe)):
        too = listed(other.vantage for other in everywhere)
        text = f"only an old version is spoken, with Microsoft's own chain, from {too} as well"
        return Placed(MICROSOFT, (_towards(0.85, text, MICROSOFT),))
    return placed


# --- interception and pages


def _interception(claim: Claim, seen: Seen, probe: Probe) -> Placed:
    """gateway: another vantage gets the genuine chain; network: the outside one gets the forged chain too."""
    genuine = [other for other in seen.others(probe) if signatures(other) is True]
    forged = [other for other in seen.others(probe) if signatures(other) is False]
    wire = tampering_of(seen, probe, Cause.TLS_INTERCEPTED)
    if wire is not None:
        return Placed(GATEWAY, (wire,))
    if genuine and not any(seen.facts(other.vantage).side != INSIDE for other in forged):
        text = f"from {listed(other.vantage for other in genuine)} the genuine chain is presented"
        return Placed(GATEWAY, (_towards(0.95, text, GATEWAY),))
    outside = [other for other in forged if seen.facts(other.vantage).side != INSIDE]
    if (outside and seen.facts(probe.vantage).side in (INSIDE, None)) or (outside and forged):
        vantages, issuer = listed(other.vantage for other in outside), issuer_of(outside[0])
        text = f"from {vantages} the chain is somebody else's too ({issuer})"
        return Placed(NETWORK, (_towards(0.8, text, NETWORK),))
    product = inspection_product(probe)
    if product is not None and len({other.vantage for other in seen.probes}) == 1:
        return Placed(GATEWAY, (_towards(0.8, f"the issuer is {product}, which gateways use to inspect TLS", GATEWAY),))
    return Placed(Responsible.UNKNOWN, next_experiment=_how_to_place(seen, probe))


def _page(claim: Claim, seen: Seen, probe: Probe) -> Placed:
    """gateway: a private address, the first hop, or another vantage is clean; network otherwise."""
    page = seen.tried(probe).get(Kind.PAGE)
    if page is not None and page.private:
        return Placed(
            GATEWAY, (_towards(0.85, "the page is at a private address: on this side of the Internet", GATEWAY),)
        )
    result = probe.phase(Phase.PROXY)
    if result is not None and result.phase is claim.phase:
        return Placed(GATEWAY, (_towards(0.85, "the proxy that this site goes through says so itself", GATEWAY),))
    clean = [other for other in seen.others(probe) if is_clean(other)]
    same = [other for other in seen.others(probe) if outcome_of(other, claim.phase) is outcome_of(probe, claim.phase)]
    outside = [other for other in same if seen.facts(other.vantage).side != INSIDE]
    if clean and not outside:
        text = f"from {listed(other.vantage for other in clean)} Microsoft answers"
        return Placed(GATEWAY, (_towards(0.95, text, GATEWAY),))
    begins = where_it_begins(claim.cause, seen, probe)
    if begins.evidence is not None:
        return Placed(GATEWAY if begins.where is Begins.FIRST_HOP else NETWORK, (begins.evidence,))
    if outside:
        text = f"from {listed(other.vantage for other in outside)} the page is shown too"
        return Placed(NETWORK, (_towards(0.8, text, NETWORK),))
    return Placed(Responsible.UNKNOWN, next_experiment=_how_to_place(seen, probe))


# --- the path's quality: `network` where it can't be placed


def _path(claim: Claim, seen: Seen, probe: Probe) -> Placed:
    """gateway or network, by where it begins; network where that can't be told."""
    better = [other for other in seen.others(probe) if _is_better(claim.cause, seen, probe, other)]
    wire = tampering_of(seen, probe, claim.cause)
    if wire is not None:
        return Placed(GATEWAY, (wire,))
    if better:
        text = f"from {listed(other.vantage for other in better)} the same target is free of it"
        return Placed(GATEWAY, (_towards(0.9, text, GATEWAY),))
    begins = where_it_begins(claim.cause, seen, probe)
    if begins.evidence is not None:
        return Placed(GATEWAY if begins.where is Begins.FIRST_HOP else NETWORK, (begins.evidence,))
    return Placed(NETWORK, next_experiment=_how_to_place(seen, probe))


def _is_better(cause: Cause, seen: Seen, probe: Probe, other: Probe) -> bool:
    match cause:
        case Cause.IPV6_BROKEN:
            return any(version_of(each.address) == 6 and each.outcome is Outcome.OK for each in other.addresses)
        case Cause.SLOW_PATH:
            return (
                not is_path_slow(other)
                and other.outcome is Outcome.OK
                and path_seconds(probe) >= TIMES_SLOWER * path_seconds(other)
            )
        case Cause.PACKET_LOSS:
            losses = [
                each for each in seen.experiments if each.experiment is Kind.LOSS and each.vantage == other.vantage
            ]
            if not losses:  # there was no budget for it, and walks tell as much
                return loses_nothing(seen.at(other.vantage))
            return not any(each.is_lossy for each in losses)
        case _:
            return passed(other, claim_phase(cause)) and signatures(other) is not False


def claim_phase(cause: Cause) -> Phase:
    """The phase in which a fault of the path's quality shows."""
    return Phase.TLS if cause is Cause.MTU_BLACKHOLE else Phase.CONNECT


def _partial(claim: Claim, seen: Seen, probe: Probe) -> Placed:
    """gateway: another vantage reaches that address; network: it begins beyond; microsoft: all vantages agree."""
    dead = {each.address for each in failing(probe.addresses)}
    others = seen.others(probe)
    reaching = [
        other for other in others
        if any(each.address in dead and each.outcome is Outcome.OK for each in other.addresses)
    ]  # fmt: skip
    if reaching:
        text = f"from {listed(other.vantage for other in reaching)} that very address connects"
        return Placed(GATEWAY, (_towards(0.95, text, GATEWAY),))
    begins = where_it_begins(claim.cause, seen, probe)
    if begins.evidence is not None and begins.where is Begins.BEYOND and not others:
        return Placed(NETWORK, (begins.evidence,))
    if others and all(list(some_addresses(seen, other)) for other in others):
        text = f"from {listed(other.vantage for other in others)} some of the name's addresses are dead too"
        return Placed(MICROSOFT, (_towards(0.9, text, MICROSOFT),))
    return Placed(NETWORK, next_experiment=_how_to_place(seen, probe))


# --- Microsoft's own


def _certificate(claim: Claim, seen: Seen, probe: Probe) -> Placed:
    """microsoft, with genuine signatures and as long as no other vantage gets a sound chain."""
    sound = [
        other for other in seen.others(probe) if passed(other, Phase.TLS) and outcome_of(other, Phase.TLS) is Outcome.OK
    ]
    doubtful = any(each.points_to == Cause.CLOCK_SKEW for each in claim.contra)
    genuine = signatures(probe) is True or _leaf_is_genuine(seen, probe)
    same_leaf = [other for other in seen.others(probe) if _leaf(other) is not None and _leaf(other) == _leaf(probe)]
    if sound or doubtful:
        return Placed(Responsible.UNKNOWN, next_experiment=_how_to_place(seen, probe))
    if genuine:
        return Placed(
            MICROSOFT, (_towards(0.95, "its signatures are Microsoft's own: nobody in between made it", MICROSOFT),)
        )
    if same_leaf and claim.cause is Cause.CERTIFICATE_CHAIN_INCOMPLETE:
        text = f"from {listed(other.vantage for other in same_leaf)} the same certificate is presented"
        return Placed(MICROSOFT, (_towards(0.85, text, MICROSOFT),))
    return Placed(Responsible.UNKNOWN, next_experiment=_how_to_place(seen, probe))


def _leaf(probe: Probe) -> str | None:
    return probe.tls.chain[0].sha256 if probe.tls is not None and probe.tls.chain else None


def _leaf_is_genuine(seen: Seen, probe: Probe) -> bool:
    """Whether the experiment with another host's intermediate showed it, for this very leaf."""
    tried = seen.tried(probe)
    found = tried.get(Kind.OTHER_CHAIN)
    return found is not None and found.genuine is True and tried.borrowed_from is None


def _own_words(claim: Claim, seen: Seen, probe: Probe) -> Placed:
    """microsoft: its own words over a genuine chain, or two independent vantages that agree."""
    if signatures(probe) is False:
        return Placed(Responsible.UNKNOWN, next_experiment=_how_to_place(seen, probe))
    agreeing = [other for other in seen.others(probe) if _agrees(claim, probe, other)]
    differing = [other for other in seen.others(probe) if other not in agreeing and other.outcome is Outcome.OK]
    if differing and claim.cause is not Cause.THROTTLED:
        return Placed(Responsible.UNKNOWN, next_experiment=_how_to_place(seen, probe))
    evidence = []
    if signatures(probe) is True:
        evidence.append(_towards(0.9, "Microsoft says so itself, over a connection with its own chain", MICROSOFT))
    if agreeing:
        text = f"{listed(other.vantage for other in agreeing)}, another way out, sees the same"
        evidence.append(_towards(0.85, text, MICROSOFT))
    if evidence:
        return Placed(MICROSOFT, tuple(evidence))
    return Placed(Responsible.UNKNOWN, next_experiment=_how_to_place(seen, probe))


def _agrees(claim: Claim, probe: Probe, other: Probe) -> bool:
    if claim.cause in (Cause.SLOW_SERVICE, Cause.SLOW_SIGN_IN):
        mine, there = probe.phase(claim.phase), other.phase(claim.phase)
        return there is not None and mine is not None and (there.seconds or 0.0) >= 0.5 * (mine.seconds or 0.0) > 0
    return other.outcome is probe.outcome and signatures(other) is not False


_Placer = Callable[[Claim, Seen, Probe], Placed]
_PLACERS: dict[Cause, _Placer] = {
    Cause.TLS_VERSION_BLOCKED: _version,
    Cause.TLS_INTERCEPTED: _interception,
    Cause.TENANT_RESTRICTED: _interception,
    Cause.CAPTIVE_PORTAL: _page,
    Cause.BLOCK_PAGE: _page,
    Cause.MTU_BLACKHOLE: _path,
    Cause.IPV6_BROKEN: _path,
    Cause.PACKET_LOSS: _path,
    Cause.SLOW_PATH: _path,
    Cause.PARTIAL_OUTAGE: _partial,
    Cause.CERTIFICATE_EXPIRED: _certificate,
    Cause.CERTIFICATE_NOT_YET_VALID: _certificate,
    Cause.CERTIFICATE_NAME_MISMATCH: _certificate,
    Cause.CERTIFICATE_CHAIN_INCOMPLETE: _certificate,
    Cause.THROTTLED: _own_words,
    Cause.SERVICE_OUTAGE: _own_words,
    Cause.SLOW_SIGN_IN: _own_words,
    Cause.SLOW_SERVICE: _own_words,
    Cause.UNKNOWN: lambda claim, seen, probe: Placed(Responsible.UNKNOWN, next_experiment=claim.hint),
}
