"""Certificates as clients met them: whose they are, and who refuses them."""

from collections.abc import Iterable, Iterator, Sequence

from exporter.diagnosis.rules.common import how_often, listed, quoted
from exporter.diagnosis.rules.passive import ENOUGH, claim_of, weigh_tampering
from exporter.diagnosis.signatures import INSPECTION_PRODUCTS
from exporter.diagnosis.tap import Tap
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import Connection
from exporter.vocabulary import Cause, ConnectionOutcome, Phase, Tampering

#: Organizations that issue Microsoft's certificates (facts 6.1). Any other is a sign; these names prove nothing.
_MICROSOFTS = ("digicert", "microsoft corporation", "globalsign", "baltimore")
#: Alerts by which a client refuses a certificate (RFC 8446 6.2).
_REFUSALS = frozenset({"unknown_ca", "bad_certificate", "certificate_unknown", "unsupported_certificate"})
#: Of those, what says that the chain leads to nothing known: another may be about its dates, or its name.
_UNKNOWN_ISSUER = frozenset({"unknown_ca", "certificate_unknown"})
_EXPIRED = "certificate_expired"


def certificates(tap: Tap) -> Iterator[Claim]:
    """tls_intercepted: a foreign issuer, or clients that refuse. root_not_trusted: they refuse Microsoft's own.
    certificate_expired: they say so. Or what walks found in it.

    Overturned by: the issuer is seen to be Microsoft's (root_not_trusted); one client alone refuses what others
    accept.
    """
    issued = [each for each in tap.connections if each.certificate_issuer]
    foreign = [each for each in issued if foreign_issuer(each)]
    refusing = [each for each in tap.connections if refuses_certificate(each)]
    hidden = [each for each in tap.ended(ConnectionOutcome.HANDSHAKE_FAILED) if _leaves_in_secret(each)]
    scales = Scales(Cause.TLS_INTERCEPTED)
    if foreign:
        scales.add(0.9, f"certificates issued by {quoted(listed(each.certificate_issuer or '' for each in foreign))}")
        if (product := product_of(foreign)) is not None:
            scales.add(0.5, f"that is {product}, an inspecting product")
    expired = [each for each in tap.connections if _alert_of_client(each) == _EXPIRED]
    any_refusing = refusing or hidden or expired
    if any_refusing and not foreign and tap.walked.certificate_fault is not None:
        known = Scales(tap.walked.certificate_fault)
        text = "clients refuse the certificate, in which walks found that fault"
        _refused(known, tap, any_refusing, text, 0.8, 0.7)
        yield claim_of(known, Phase.TLS, any_refusing)
        return
    if expired:
        old = Scales(Cause.CERTIFICATE_EXPIRED)
        text = f"handshakes end by the client's alert {_EXPIRED}: {how_often(len(expired))}"
        _refused(old, tap, expired, text, 0.8, 0.6)
        yield claim_of(old, Phase.TLS, expired)
    if refusing:
        names = {each.alert.name or "" for each in refusing if each.alert is not None}
        text = f"handshakes end by the client's alert {listed(sorted(names))}: {how_often(len(refusing))}"
        genuine = [] if foreign else issued or _genuine_refused(tap, refusing)
        if genuine:
            if names <= _UNKNOWN_ISSUER:
                yield from _root_missing(tap, refusing, genuine, text)
            return
        _refused(scales, tap, refusing, text, 0.85, 0.7)
    elif hidden:
        text = "clients answer the server's flight with an encrypted alert, as they do to a foreign certificate: "
        _refused(scales, tap, hidden, text + how_often(len(hidden)), 0.6, 0.45)
    weigh_tampering(scales, [each for each in tap.connections if not _without_tls(each)])
    if scales.pro:
        yield claim_of(scales, Phase.TLS, foreign or refusing or hidden or tap.connections)


def _genuine_refused(tap: Tap, refusing: Sequence[Connection]) -> list[Connection]:
    """Others that the same clients refuse alike, though their issuer is seen to be Microsoft's: nobody forged those."""
    clients = {each.client or each.ja4 for each in refusing}
    return [
        each for each in tap.peers
        if refuses_certificate(each) and each.certificate_issuer and not foreign_issuer(each)
        and (each.client or each.ja4) in clients
    ]  # fmt: skip


def _without_tls(connection: Connection) -> bool:
    """The gateway answered it in the server's place, and not by TLS."""
    return any(each.kind in (Tampering.HELLO_NOT_FORWARDED, Tampering.BANNER_INJECTED) for each in connection.tampering)


def _refused(scales: Scales, tap: Tap, refusing: Sequence[Connection], text: str, many: float, few: float) -> None:
    """One client alone that refuses what others accept has an old or narrow root store; several are the way's fault."""
    who = {each.client or each.ja4 for each in refusing}
    accepting = [each for each in tap.established if (each.client or each.ja4) not in who]
    if len(who) == 1 and accepting:
        scales.add(few / 2, f"{text}, by one client; others complete theirs")
        return
    families = {each.client_family for each in refusing}
    scales.add(many if len(families) > 1 or len(refusing) >= ENOUGH else few, text)


def _leaves_in_secret(connection: Connection) -> bool:
    """In TLS 1.3 most clients' alerts are encrypted; behind the server's flight there is little else to complain of."""
    alert = connection.alert
    return alert is not None and alert.encrypted and alert.sender == "client" and connection.tls_version == "TLSv1.3"


def _root_missing(tap: Tap, refusing: list[Connection], issued: list[Connection], text: str) -> Iterator[Claim]:
    """Where nobody accepts it, an incomplete chain or one forged under that name looks the same: no verdict."""
    scales = Scales(Cause.ROOT_NOT_TRUSTED)
    scales.add(0.45, f"{text}, though its issuer is {quoted(issued[0].certificate_issuer)}")
    if tap.established:
        scales.add(0.3, "other clients accept it")
    yield claim_of(scales, Phase.TLS, refusing)


def product_of(connections: Iterable[Connection]) -> str | None:
    """The inspecting product that an issuer's name tells."""
    text = " ".join(each.certificate_issuer or "" for each in connections).lower()
    return next((product for part, product in INSPECTION_PRODUCTS.items() if part in text), None)


def foreign_issuer(connection: Connection) -> bool:
    """Whether the certificate's issuer was seen, and isn't one of Microsoft's."""
    issuer = (connection.certificate_issuer or "").lower()
    return bool(issuer) and not any(name in issuer for name in _MICROSOFTS)


def refuses_certificate(connection: Connection) -> bool:
    """Whether the client said in clear that it doesn't accept the certificate."""
    return _alert_of_client(connection) in _REFUSALS


def _alert_of_client(connection: Connection) -> str | None:
    alert = connection.alert
    return alert.name if alert is not None and alert.sender == "client" else None
