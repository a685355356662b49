"""Genuine or not: by signatures up to a root key, never by names."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exporter.lab.pki import Authority, authority, leaf
from exporter.probe.identity import Roots, RootsFileError, describe, identify, parse_chain, trust_reasons
from exporter.vocabulary import Outcome

HOST = "imap-mail.outlook.com"
NOW = datetime.now(UTC)


def named(organization: str, common_name: str):
    return ((NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name))


ROOT = authority(named("DigiCert Inc", "DigiCert Global Root G2"))
CA = authority(named("DigiCert Inc", "DigiCert Cloud Services CA-1"), ROOT)
ROOTS = Roots([ROOT.certificate])

FORGED_ROOT = authority(named("DigiCert Inc", "DigiCert Global Root G2"))
FORGED_CA = authority(named("DigiCert Inc", "DigiCert Cloud Services CA-1"), FORGED_ROOT)
INSPECTION = authority(named("Fortinet", "FGT60E"))


def chain(directory, issuer: Authority, *with_it: Authority, names=(HOST,), **kwargs) -> list[x509.Certificate]:
    made = leaf(
        directory / "leaf.pem", names, named("Microsoft Corporation", names[0]), issuer, chain=with_it, **kwargs
    )
    blocks = made.read_bytes().split(b"-----BEGIN PRIVATE KEY")[0]
    der = [c.public_bytes(serialization.Encoding.DER) for c in x509.load_pem_x509_certificates(blocks)]
    return parse_chain(der)


def test_a_genuine_chain(tmp_path):
    who = identify(chain(tmp_path, CA, CA), HOST, ROOTS)
    assert who.signatures is True
    assert who.genuine(NOW) is True


def test_the_root_may_be_presented_too(tmp_path):
    assert identify(chain(tmp_path, CA, CA, ROOT), HOST, ROOTS).genuine(NOW) is True


@pytest.mark.parametrize("with_it", [(FORGED_CA, FORGED_ROOT), (FORGED_CA,), ()])
def test_a_forged_digicert_is_not_genuine(tmp_path, with_it):
    """Every name is right; only the keys aren't."""
    who = identify(chain(tmp_path, FORGED_CA, *with_it), HOST, ROOTS)
    assert who.signatures is not True
    assert who.genuine(NOW) is not True


def test_microsofts_own_chain_behind_a_foreign_leaf(tmp_path):
    assert identify(chain(tmp_path, INSPECTION, CA, ROOT), HOST, ROOTS).signatures is False


def test_a_genuine_leaf_is_no_authority(tmp_path):
    """Whoever holds a Microsoft leaf's key must not be able to issue for Microsoft."""
    pem = leaf(tmp_path / "genuine.pem", (HOST,), named("Microsoft Corporation", HOST), CA, chain=(CA,)).read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    certificate = x509.load_pem_x509_certificates(pem)[0]
    abused = Authority(certificate, key)  # type: ignore[arg-type]
    assert identify(chain(tmp_path, abused, abused, CA), HOST, ROOTS).signatures is False


@pytest.mark.parametrize(("begins", "ends"), [(-90, -2), (2, 90)])
def test_dates_count_by_the_corrected_clock(tmp_path, begins, ends):
    day = timedelta(days=1)
    who = identify(chain(tmp_path, CA, CA, begins=begins * day, ends=ends * day), HOST, ROOTS)
    assert who.signatures is True
    assert who.genuine(NOW) is False
    assert who.genuine(NOW + (begins + 1) * day) is True  # it was this machine's clock


def test_another_name(tmp_path):
    who = identify(chain(tmp_path, CA, CA, names=("other.example",)), HOST, ROOTS)
    assert who.signatures is True
    assert who.genuine(NOW) is False


def test_a_missing_intermediate_can_not_be_told(tmp_path):
    presented = chain(tmp_path, CA, issuer_url="http://ca.example.invalid/ca.crt")
    who = identify(presented, HOST, ROOTS)
    assert who.signatures is None
    assert trust_reasons([20, 21], presented, who, ROOTS) == (Outcome.CERTIFICATE_CHAIN_INCOMPLETE,)


@pytest.mark.parametrize("with_it", [(INSPECTION,), ()])
def test_an_inspection_ca_is_untrusted_not_incomplete(tmp_path, with_it):
    presented = chain(tmp_path, INSPECTION, *with_it)
    who = identify(presented, HOST, ROOTS)
    assert who.signatures is False
    assert trust_reasons([20 if not with_it else 19], presented, who, ROOTS) == (Outcome.CERTIFICATE_UNTRUSTED,)


def test_a_genuine_chain_whose_root_is_missing_here_is_untrusted(tmp_path):
    presented = chain(tmp_path, CA, CA)
    who = identify(presented, HOST, ROOTS)
    assert trust_reasons([20], presented, who, ROOTS) == (Outcome.CERTIFICATE_UNTRUSTED,)
    assert who.genuine(NOW) is True


def test_every_reason_is_told(tmp_path):
    day = timedelta(days=1)
    presented = chain(tmp_path, INSPECTION, INSPECTION, names=("x.example",), begins=-9 * day, ends=-day)
    reasons = trust_reasons([19, 10], presented, identify(presented, HOST, ROOTS), ROOTS)
    assert reasons == (
        Outcome.CERTIFICATE_UNTRUSTED, Outcome.CERTIFICATE_NAME_MISMATCH, Outcome.CERTIFICATE_EXPIRED,
    )  # fmt: skip


def test_the_built_in_roots_are_those_of_the_facts():
    """SHA-1 of DigiCert Global Root G2 as the facts give it; and not one of them is a stranger's."""
    roots = Roots.built_in()
    prints = {c.fingerprint(hashes.SHA1()).hex().upper() for c in roots.certificates}
    assert "DF3C24F9BFD666761B268073FE06D1CC8D4F82A4" in prints
    assert roots.organizations <= {
        "DigiCert Inc", "DigiCert, Inc.", "GlobalSign", "GlobalSign nv-sa", "Microsoft Corporation", "Baltimore",
    }  # fmt: skip


def test_garbage_is_no_chain():
    assert parse_chain([b"\x30\x03abc", b""]) == []
    nobody = identify([], HOST, ROOTS)
    assert nobody.genuine(NOW) is False
    assert trust_reasons([], [], nobody, ROOTS) == (Outcome.CERTIFICATE_UNTRUSTED,)


@pytest.mark.parametrize(
    "content",
    [b"garbage", b"", b"\x30\x03\x82\x01\xff", b"\x30\x10\x82\x0eimap-mail\x00evil", b"\x30\x02\xa3\x00"],
)
def test_names_that_cannot_be_read_match_nothing(content):
    """The chain is kept, for whose it says it is still shows; only its names are worth nothing."""
    malformed = x509.UnrecognizedExtension(x509.oid.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, content)
    presented = issued_with(malformed)
    who = identify(presented, HOST, ROOTS)
    assert [describe(each).issuer for each in presented] == ["CN=DigiCert Cloud Services CA-1,O=DigiCert Inc"]
    assert who.right_name is False
    assert who.genuine(NOW) is not True
    assert Outcome.CERTIFICATE_NAME_MISMATCH in trust_reasons([20], presented, who, ROOTS)


def issued_with(extension: x509.ExtensionType) -> list[x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        issuer_name=CA.certificate.subject,
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=NOW - timedelta(days=1),
        not_valid_after=NOW + timedelta(days=1),
    )
    signed = builder.add_extension(extension, critical=False).sign(CA.key, hashes.SHA256())
    return parse_chain([signed.public_bytes(serialization.Encoding.DER)])


def test_a_bad_roots_file_is_named(tmp_path):
    with pytest.raises(RootsFileError, match=r"absent\.pem"):
        Roots.load(tmp_path / "absent.pem")
    (tmp_path / "bad.pem").write_text("hello")
    with pytest.raises(RootsFileError, match=r"bad\.pem"):
        Roots.load(tmp_path / "bad.pem")
