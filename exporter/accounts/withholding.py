"""May a real secret go out over this connection? Pure; what isn't certain is no.

It goes only to a host of the catalogue or of the account's own list, over a completed handshake whose chain this
machine trusts and is *genuine*: signatures up to a root key of the set, the right name, in date by the corrected clock.
A relay of one's own is genuine by its root in `identity.roots_file`. `allow_intercepted` lifts the second condition
only: what this machine doesn't trust, or isn't encrypted at all, gets no secret from anyone.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from exporter.catalogue import TARGETS
from exporter.observations import TlsResult
from exporter.probe.presenter import Link
from exporter.vocabulary import Cause, Outcome

#: Hosts that any account's secret may go to, where the connection is what it should be.
CATALOGUE_HOSTS = frozenset(host for target in TARGETS.values() for host in target.hosts)

#: What a wrong clock alone makes of a good certificate.
_DATES = frozenset({Outcome.CERTIFICATE_EXPIRED, Outcome.CERTIFICATE_NOT_YET_VALID})


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why the secret stays here. `cause` where that much is certain."""

    words: str
    cause: Cause | None = None


def why_withheld(
    link: Link | None, *, own_hosts: Collection[str], now: datetime, allow_intercepted: bool = False
) -> Withheld | None:
    """The reason not to send a secret over this very connection, or None. `now`: by the corrected clock."""
    if link is None:
        return Withheld("withheld: the connection isn't encrypted")
    host, tls, identity = link.host.lower(), link.tls, link.identity
    own = host in {each.lower() for each in own_hosts}
    if host not in CATALOGUE_HOSTS and not own:
        return Withheld("withheld: this host is neither in the catalogue nor named by the account")
    genuine = identity.genuine(now) is True
    only_dates = bool(tls.reasons) and set(tls.reasons) <= _DATES
    if tls.trusted is not True and not (genuine and only_dates):
        return _untrusted(tls, genuine=genuine)
    if genuine or allow_intercepted:
        return None
    if identity.signatures is None:
        return Withheld("withheld: the chain of certificates is incomplete, so whose it is can't be told")
    if identity.signatures:
        return Withheld("withheld: the certificate is out of date or for another name")
    if host in CATALOGUE_HOSTS:
        return Withheld(f"withheld: the certificate isn't Microsoft's{_issuer(tls)}", Cause.TLS_INTERCEPTED)
    return Withheld(f"withheld: the certificate chains to no root of identity.roots_file{_issuer(tls)}")


def _untrusted(tls: TlsResult, *, genuine: bool) -> Withheld:
    if genuine:
        words = "the certificate is genuine, but its root isn't in this machine's store"
        return Withheld(f"withheld: {words}", Cause.ROOT_NOT_TRUSTED)
    reasons = ", ".join(tls.reasons) or "no certificate was shown"
    return Withheld(f"withheld: this machine doesn't trust the certificate ({reasons}){_issuer(tls)}")


def _issuer(tls: TlsResult) -> str:
    name = tls.issuer_organization or tls.issuer_common_name
    return f" (issued by {name})" if name else ""
