"""Whose certificate is it? Signatures decide, never an issuer's name or a validation error alone."""

from collections.abc import Iterator

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.rules.clock import is_clock_doubtful, skew_of
from exporter.diagnosis.rules.common import came_through, quoted, repeated, told, worth
from exporter.diagnosis.seen import Seen
from exporter.diagnosis.signatures import inspection_product, issuer_of, signatures
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import Probe
from exporter.protocols.http import is_microsoft_host
from exporter.vocabulary import Cause, Outcome, Phase

TLS = str(Phase.TLS)

#: Faults of a chain whose signatures are Microsoft's; the cause has the outcome's name.
_GENUINE_FAULTS = {
    Outcome.CERTIFICATE_EXPIRED: "Microsoft's own certificate has run out",
    Outcome.CERTIFICATE_NOT_YET_VALID: "Microsoft's own certificate isn't valid yet",
    Outcome.CERTIFICATE_NAME_MISMATCH: "a certificate of Microsoft's, for another name",
}


def intercepted(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """tls_intercepted: somebody else's chain. Overturned by: its signatures lead to a root of Microsoft's."""
    if signatures(probe) is not False or not came_through(probe, Phase.TLS):
        return
    elsewhere = [other for other in seen.others(probe) if signatures(other) is True]
    if not is_microsoft_host(probe.host) and not elsewhere:
        return  # an administrator's own server, with a certificate of his own
    scales = Scales(Cause.TLS_INTERCEPTED)
    issuer, trusted = issuer_of(probe), probe.tls is not None and probe.tls.trusted
    known_here = "which this machine trusts" if trusted else "which this machine doesn't trust either"
    scales.add(0.9, f"{probe.host} presents a certificate issued by {quoted(issuer)}, not Microsoft's, {known_here}")
    if (product := inspection_product(probe)) is not None:
        scales.add(0.7, f"that issuer is {product}, an inspecting product")
    for other in elsewhere:
        scales.add(0.8, f"from {other.vantage} the genuine certificate is presented ({quoted(issuer_of(other))})")
    same = [other for other in seen.at(probe.vantage) if other is not probe and issuer_of(other) == issuer]
    if issuer and any(signatures(other) is False and other.host != probe.host for other in same):
        scales.add(0.3, "the same issuer signs for other hosts of Microsoft's")
    yield scales.claim(TLS, Phase.TLS, confirmed=repeated(Scales(Cause.UNKNOWN), seen.tried(probe)))


def root_missing(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """root_not_trusted: genuine, refused here. Overturned by: its signatures don't lead to a root of Microsoft's."""
    result = probe.phase(Phase.TLS)
    if result is None or result.outcome is not Outcome.CERTIFICATE_UNTRUSTED or signatures(probe) is not True:
        return
    scales = Scales(Cause.ROOT_NOT_TRUSTED)
    scales.add(
        0.95,
        f"the chain is Microsoft's by its signatures, but this machine's store refuses it: {quoted(result.detail)}",
    )
    yield scales.claim(TLS, Phase.TLS, confirmed=True)


def faulty(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """certificate_expired, _not_yet_valid, _name_mismatch, genuinely signed. Overturned by: our clock is wrong."""
    result = probe.phase(Phase.TLS)
    if result is None or result.outcome not in _GENUINE_FAULTS or signatures(probe) is False:
        return
    genuine = signatures(probe)
    scales = Scales(Cause(result.outcome.value))
    scales.add(0.9 if genuine else 0.7, f"{_GENUINE_FAULTS[result.outcome]}: {quoted(result.detail)}")
    if result.outcome is not Outcome.CERTIFICATE_NAME_MISMATCH:
        if is_clock_doubtful(seen, probe):
            scales.against(
                0.5, "every certificate is out of date here, and nothing vouches for our clock", Cause.CLOCK_SKEW
            )
        elif not skew_of(seen):
            scales.add(0.5, "our clock agrees with other hosts', or their certificates are in date by it")
    for other in seen.others(probe):
        if (there := other.phase(Phase.TLS)) is not None and there.outcome is result.outcome:
            scales.add(0.5, f"from {other.vantage} it is the same")
    yield scales.claim(TLS, Phase.TLS, confirmed=True)


def incomplete(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """certificate_chain_incomplete. Overturned by: somebody else signed the leaf (then it is an interception)."""
    result = probe.phase(Phase.TLS)
    if result is None or result.outcome is not Outcome.CERTIFICATE_CHAIN_INCOMPLETE:
        return
    scales = Scales(Cause.CERTIFICATE_CHAIN_INCOMPLETE)
    scales.add(0.8, f"an intermediate certificate is missing: {quoted(result.detail)}")
    tried = seen.tried(probe)
    other_chain = tried.get(Kind.OTHER_CHAIN)
    if other_chain is not None and other_chain.genuine:
        text = f"with the intermediate that {other_chain.host} presents, it is signed up to a root of Microsoft's"
        scales.add(worth(tried, 0.8), told(tried, text))
    for other in seen.others(probe):
        same_leaf = probe.tls and other.tls and probe.tls.chain[:1] == other.tls.chain[:1] and probe.tls.chain
        if same_leaf:
            scales.add(0.4, f"from {other.vantage} the same leaf is presented")
    yield scales.claim(TLS, Phase.TLS, confirmed=True)
