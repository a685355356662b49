"""Probes as the prober makes them, for tests of what stands behind it."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exporter.catalogue import TARGETS, Target
from exporter.diagnosis.causes import remedy_of, runbook_of, where_of_target
from exporter.observations import (
    AddressResult,
    AuthResult,
    CertificateInfo,
    Evidence,
    PhaseResult,
    Probe,
    TlsResult,
    Verdict,
)
from exporter.vocabulary import (
    AuthOutcome,
    Cause,
    Mechanism,
    OfferedMechanism,
    Outcome,
    Phase,
    Protocol,
    Responsible,
    phases_of,
)

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

REPLIES = {
    Protocol.IMAP: "a2 NO AUTHENTICATE failed.",
    Protocol.POP: "-ERR Authentication failure: unknown user name or bad password.",
    Protocol.SMTP: "535 5.7.3 Authentication unsuccessful [<server>]",
    Protocol.SIGN_IN: "AADSTS900144: The request body must contain the following parameter: 'grant_type'.",
    Protocol.ACTIVESYNC: "HTTP/1.1 401 Unauthorized",
}
SECONDS = {Phase.DNS: 0.004, Phase.CONNECT: 0.021, Phase.TLS: 0.043, Phase.AUTH: 5.31, Phase.TOKEN: 0.19}

_LEAF = CertificateInfo(
    subject="CN=outlook.com",
    issuer="CN=DigiCert Cloud Services CA-1,O=DigiCert Inc",
    not_before=datetime(2026, 8, 1, tzinfo=UTC),
    not_after=datetime(2027, 2, 1, tzinfo=UTC),
    sha256="ab" * 32,
)
GENUINE = TlsResult(
    version="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    group="X25519MLKEM768",
    trusted=True,
    genuine=True,
    signatures_genuine=True,
    issuer_organization="DigiCert Inc",
    issuer_common_name="DigiCert Cloud Services CA-1",
    chain=(_LEAF, replace(_LEAF, subject=_LEAF.issuer, not_after=datetime(2031, 1, 1, tzinfo=UTC))),
    stack="OpenSSL 3.5",
)
FORGED = replace(
    GENUINE,
    trusted=False,
    genuine=False,
    signatures_genuine=False,
    issuer_organization="Gateway Inspection",
    issuer_common_name="Gateway CA",
    reasons=(Outcome.CERTIFICATE_UNTRUSTED,),
    chain=(replace(_LEAF, issuer="CN=Gateway CA,O=Gateway Inspection"),),
)


def healthy(name: str = "imap", vantage: str = "local", time: datetime = NOON, *, proxied: bool = False) -> Probe:
    """A round in which everything is as it should be, the canary's own included."""
    target = TARGETS[name]
    return Probe(
        time=time,
        target=name,
        protocol=target.protocol,
        host=target.host,
        port=target.port,
        address="52.97.1.1",
        ip_version=4,
        vantage=vantage,
        outcome=Outcome.OK,
        failed_phase=None,
        addresses=(
            AddressResult(address="52.97.1.1", outcome=Outcome.OK, seconds=0.02),
            AddressResult(address="2603:1026::1", outcome=Outcome.SKIPPED),
        ),
        phases=tuple(
            PhaseResult(phase=phase, outcome=Outcome.OK, seconds=SECONDS.get(phase, 0.012))
            for phase in phases_of(target.protocol, starttls=target.starttls, proxied=proxied)
        ),
        tls=None if target.protocol is Protocol.HTTP else GENUINE,
        auth=_auth(target, time),
        clock_skew_seconds=0.0 if target.protocol is Protocol.HTTPS else None,
    )


def _auth(target: Target, time: datetime) -> AuthResult:
    offered = {
        Protocol.IMAP: (OfferedMechanism.XOAUTH2,),
        Protocol.POP: (OfferedMechanism.XOAUTH2, OfferedMechanism.LOGIN_COMMAND),
        Protocol.SMTP: (OfferedMechanism.LOGIN, OfferedMechanism.XOAUTH2),
        Protocol.ACTIVESYNC: (OfferedMechanism.BEARER,),
    }.get(target.protocol)
    if target.protocol not in REPLIES:
        return AuthResult()
    return AuthResult(
        offered=offered,
        mechanism=Mechanism.TOKEN,
        outcome=AuthOutcome.EXPECTED_REFUSAL,
        reply=REPLIES[target.protocol],
        meaning="token_refused",
        measured_at=time,
    )


def kept(probe: Probe, since: datetime) -> Probe:
    """The same with the canary's phase kept from an earlier round."""
    canary = {Phase.AUTH, Phase.TOKEN}
    phases = tuple(replace(result, measured_at=since) if result.phase in canary else result for result in probe.phases)
    return replace(probe, phases=phases, auth=replace(probe.auth, measured_at=since))


def failed(probe: Probe, phase: Phase, outcome: Outcome, detail: str | None = None) -> Probe:
    """The same, but that phase failed and nothing behind it was reached."""
    phases, over = [], False
    for result in probe.phases:
        if result.phase is phase:
            over = True
            phases.append(PhaseResult(phase=phase, outcome=outcome, seconds=0.5, detail=detail))
        else:
            phases.append(PhaseResult(phase=result.phase, outcome=Outcome.SKIPPED) if over else result)
    reached_tls = any(result.phase is Phase.TLS and result.outcome is not Outcome.SKIPPED for result in phases)
    return replace(
        probe,
        outcome=outcome,
        failed_phase=phase,
        phases=tuple(phases),
        tls=(FORGED if outcome is Outcome.CERTIFICATE_UNTRUSTED else probe.tls) if reached_tls else None,
        auth=AuthResult(),
    )


def rounds(count: int, seed: int = 1, vantages: tuple[str, ...] = ("clients", "wan")) -> list[Probe]:
    """Rounds of the whole catalogue a minute apart, healthy but for jitter."""
    chance = random.Random(seed)
    return [
        _jittered(healthy(name, vantage, NOON + timedelta(minutes=number)), chance)
        for number in range(count)
        for name in TARGETS
        for vantage in vantages
    ]


def _jittered(probe: Probe, chance: random.Random) -> Probe:
    phases = tuple(
        replace(result, seconds=result.seconds and result.seconds * chance.uniform(0.7, 1.8)) for result in probe.phases
    )
    return replace(probe, phases=phases)


def blamed(cause: Cause, responsible: Responsible = Responsible.GATEWAY, target: str = "imap", **more: Any) -> Verdict:
    """A verdict that somebody reached, some fields changed."""
    made = Verdict(
        target=target, vantage="clients", account=None, cause=cause, responsible=responsible, confidence=0.92,
        evidence=(Evidence(observation="from wan the same target passes", points_to=cause, weight=0.9),), journeys=(),
        remedy=remedy_of(cause, responsible, where_of_target(target)), runbook=runbook_of(cause),
    )  # fmt: skip
    return replace(made, **more)


def unmeasured(probe: Probe, reason: str = "the vantage process at /run/x: No such file or directory") -> Probe:
    """The same walk where its vantage isn't there: nothing was begun."""
    phases = tuple(replace(r, outcome=Outcome.SKIPPED, seconds=None, detail=None) for r in probe.phases)
    phases = (replace(phases[0], detail=reason), *phases[1:])
    return replace(
        probe, phases=phases, outcome=Outcome.SKIPPED, failed_phase=phases[0].phase, address=None, addresses=()
    )
