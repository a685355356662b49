"""A real secret goes only over a genuine, trusted handshake to a known host; everything else is named."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.accounts.withholding import CATALOGUE_HOSTS, why_withheld
from exporter.probe.presenter import Link
from exporter.vocabulary import Cause, Outcome
from tests.accounts.made import IMAP, NOW, link

UNTRUSTED, NAME = Outcome.CERTIFICATE_UNTRUSTED, Outcome.CERTIFICATE_NAME_MISMATCH
EXPIRED, EARLY = Outcome.CERTIFICATE_EXPIRED, Outcome.CERTIFICATE_NOT_YET_VALID
INCOMPLETE = Outcome.CERTIFICATE_CHAIN_INCOMPLETE


def reason(seen: Link | None, **more: object) -> str | None:
    fields: dict[str, object] = {"own_hosts": (), "now": NOW, **more}
    withheld = why_withheld(seen, **fields)  # type: ignore[arg-type]
    return None if withheld is None else withheld.words


def test_genuine_and_trusted_at_a_host_of_the_catalogue():
    for host in sorted(CATALOGUE_HOSTS):
        assert reason(link(host)) is None
        assert reason(link(host.upper())) is None


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (None, "the connection isn't encrypted"),
        (link("relay.example"), "this host is neither in the catalogue nor named by the account"),
        (link("imap-mail.outlook.com.evil.example"), "this host is neither in the catalogue nor named by the account"),
        (link(signatures=False, issuer="Fortinet"), "the certificate isn't Microsoft's (issued by Fortinet)"),
        (link(signatures=False, issuer="DigiCert Inc"), "the certificate isn't Microsoft's (issued by DigiCert Inc)"),
        (link(signatures=None), "the chain of certificates is incomplete, so whose it is can't be told"),
        (link(right_name=False), "the certificate is out of date or for another name"),
        (link(days=(-90, -1)), "the certificate is out of date or for another name"),
        (link(days=(1, 90)), "the certificate is out of date or for another name"),
        (link(signatures=False, reasons=(UNTRUSTED,), issuer="Fortinet"),
         "this machine doesn't trust the certificate (certificate_untrusted) (issued by Fortinet)"),
        (link(reasons=(NAME,), right_name=False),
         "this machine doesn't trust the certificate (certificate_name_mismatch) (issued by DigiCert Inc)"),
        (link(signatures=None, reasons=(INCOMPLETE,)),
         "this machine doesn't trust the certificate (certificate_chain_incomplete) (issued by DigiCert Inc)"),
        (link(reasons=(UNTRUSTED,)), "the certificate is genuine, but its root isn't in this machine's store"),
        (link(days=(-90, -1), reasons=(EXPIRED,)),
         "this machine doesn't trust the certificate (certificate_expired) (issued by DigiCert Inc)"),
        (link(signatures=False, trusted=False),
         "this machine doesn't trust the certificate (no certificate was shown) (issued by DigiCert Inc)"),
    ],
)  # fmt: skip
def test_else_it_stays_here_and_the_reason_is_told(seen: Link | None, words: str):
    assert reason(seen) == f"withheld: {words}"


def test_causes_are_named_where_they_are_certain():
    def cause(seen: Link) -> Cause | None:
        withheld = why_withheld(seen, own_hosts=("relay.example",), now=NOW)
        assert withheld is not None
        return withheld.cause

    assert cause(link(signatures=False)) is Cause.TLS_INTERCEPTED
    assert cause(link(reasons=(UNTRUSTED,))) is Cause.ROOT_NOT_TRUSTED
    assert cause(link("relay.example", signatures=False)) is None
    assert cause(link(right_name=False)) is None


def test_by_the_corrected_clock_a_wrong_clock_keeps_nothing_back():
    """Here it is 2024, so that everything is not valid yet; two hosts' Dates have told."""
    assert reason(link(reasons=(EARLY,))) is None
    assert reason(link(reasons=(EXPIRED,))) is None
    assert reason(link(reasons=(EARLY, UNTRUSTED))) is not None
    assert reason(link(), now=NOW + timedelta(days=81)) is not None


def test_a_relay_of_ones_own_needs_to_be_named_and_to_chain_to_a_root_of_the_file():
    own = {"own_hosts": ("Relay.example",)}
    assert reason(link("relay.example"), **own) is None
    words = reason(link("relay.example", signatures=False, issuer="Contoso"), **own)
    assert words == "withheld: the certificate chains to no root of identity.roots_file (issued by Contoso)"


def test_allow_intercepted_lifts_genuineness_alone():
    assert reason(link(signatures=False), allow_intercepted=True) is None
    assert reason(link(signatures=None), allow_intercepted=True) is None
    assert reason(link(signatures=False, reasons=(UNTRUSTED,)), allow_intercepted=True) is not None
    assert reason(link("evil.example", signatures=False), allow_intercepted=True) is not None
    assert reason(None, allow_intercepted=True) is not None


@given(
    st.sampled_from([IMAP, "relay.example", "evil.example"]),
    st.sampled_from([True, False, None]),
    st.booleans(),
    st.tuples(st.integers(-100, 100), st.integers(-100, 100)),
    st.lists(st.sampled_from([UNTRUSTED, NAME, EXPIRED, EARLY, INCOMPLETE]), max_size=3),
    st.booleans(),
)
def test_whatever_goes_out_goes_to_a_known_host_over_a_genuine_chain(
    host, signatures, right_name, days, reasons, allow
):
    seen = link(host, signatures=signatures, right_name=right_name, days=days, reasons=tuple(reasons))
    if why_withheld(seen, own_hosts=("relay.example",), now=NOW, allow_intercepted=allow) is None:
        assert host != "evil.example"
        assert set(reasons) <= {EXPIRED, EARLY}
        genuine = signatures is True and right_name and days[0] <= 0 <= days[1]
        assert genuine or (allow and not reasons)
