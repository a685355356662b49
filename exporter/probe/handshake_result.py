"""What a handshake tells, as plain data and in words."""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from exporter.observations import TlsResult
from exporter.probe import identity
from exporter.probe.identity import Identity
from exporter.probe.tls import STACK, Handshake
from exporter.vocabulary import Outcome


def tls_result(
    shake: Handshake, chain: Sequence[x509.Certificate], reasons: tuple[Outcome, ...], who: Identity, now: datetime
) -> TlsResult:
    """`chain`: as presented, as far as it can be read; `reasons`: for which a client here refuses it.

    `now`: by the corrected clock.
    """
    leaf = chain[0] if chain else None
    return TlsResult(
        version=shake.version,
        cipher=shake.cipher,
        group=shake.group,
        alpn=shake.alpn,
        trusted=not reasons,
        genuine=who.genuine(now),
        signatures_genuine=who.signatures,
        issuer_organization=identity.issuer_organization(leaf) if leaf else None,
        issuer_common_name=identity.issuer_common_name(leaf) if leaf else None,
        chain=tuple(identity.describe(certificate) for certificate in chain),
        reasons=reasons,
        stack=STACK,
        own_seconds=round(shake.own_seconds, 6),
    )


def in_words(reasons: Sequence[Outcome], tls: TlsResult | None) -> str:
    """Why the certificate is refused here, and whose it says it is."""
    words = ", ".join(reasons)
    if tls is None or not tls.chain:
        return f"{words}: the certificate can't be read"
    leaf = tls.chain[0]
    return f"{words}: {leaf.subject}, issued by {leaf.issuer}, valid {leaf.not_before:%F} to {leaf.not_after:%F}"
