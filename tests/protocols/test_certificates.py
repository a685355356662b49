"""The issuer of a certificate as cryptography reads it, and None of whatever isn't one."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols.certificates import MAX_ATTRIBUTES, MAX_TEXT, issuer_of, leaf_issuer
from tests.protocols.hello_bytes import vector

KEY = ec.generate_private_key(ec.SECP256R1())
KINDS = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "serial number": NameOID.SERIAL_NUMBER,
    "e-mail": NameOID.EMAIL_ADDRESS,
    "somebody's own": ObjectIdentifier("1.3.6.1.4.1.55555.1.2.840"),
    "of the joint arc": ObjectIdentifier("2.999.3"),
}


def certificate(issuer: x509.Name) -> bytes:
    """DER, as its issuer signs it."""
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "outlook.com")]))
        .public_key(KEY.public_key())
        .serial_number(2**150 + 1)
        .not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2026, 1, 1, tzinfo=UTC))
    )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def name(*pairs: tuple[str, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(KINDS[kind], value) for kind, value in pairs])


def message(*certificates: bytes) -> bytes:
    """A Certificate message (RFC 5246, 7.4.2)."""
    return b"\x0b" + vector(vector(b"".join(vector(each, 3) for each in certificates), 3), 3)


USUAL = name(("O", "Example Trust"), ("OU", "Web, and mail"), ("CN", "Example CA 1"))
ONE, OTHER = certificate(USUAL), certificate(name(("CN", "another")))


def test_the_first_certificates_issuer():
    assert leaf_issuer(message(ONE, OTHER)) == "CN=Example CA 1,OU=Web\\, and mail,O=Example Trust"
    assert leaf_issuer(message(OTHER, ONE)) == "CN=another"
    assert leaf_issuer(message(ONE) + b"\x0c\0\0\0garbage") == USUAL.rfc4514_string()


def test_its_beginning_is_enough():
    """A certificate has 1 to 2 KiB; the issuer stands in the first few hundred bytes."""
    for length in range(len(message(ONE))):
        said = leaf_issuer(message(ONE)[:length])
        assert said in (None, USUAL.rfc4514_string())
        assert said is not None or length < 200


def test_without_a_version():
    """X.509 v1: the tagged version in front is left out."""
    body = ONE[4:]  # of the outer SEQUENCE, two bytes of length
    length = int.from_bytes(body[2:4]) - 5
    assert body[4:9] == b"\xa0\x03\x02\x01\x02"
    inner = b"\x30\x82" + length.to_bytes(2) + body[9:]
    assert issuer_of(b"\x30\x82" + len(inner).to_bytes(2) + inner) == USUAL.rfc4514_string()


printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
awkward = st.one_of(printable, st.text(' #"+,;<>\\=\0aé', min_size=1, max_size=8))


@given(st.lists(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), awkward), min_size=1, max_size=2), max_size=5))
def test_as_cryptography_writes_it(parts: list[list[tuple[str, str]]]):
    """Also with several attributes in one part, and every character that RFC 4514 escapes."""
    issuer = x509.Name(
        [
            x509.RelativeDistinguishedName(
                {x509.NameAttribute(KINDS[kind], value, _ASN1Type.UTF8String) for kind, value in part}
            )
            for part in parts
        ]
    )
    der = certificate(issuer)
    assert issuer_of(der) == x509.load_der_x509_certificate(der).issuer.rfc4514_string()


@pytest.mark.parametrize("encoding", [_ASN1Type.BMPString, _ASN1Type.UniversalString, _ASN1Type.PrintableString])
def test_other_encodings(encoding: _ASN1Type):
    text = "Example CA" if encoding is _ASN1Type.PrintableString else "Exämple ☃"
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, encoding)])
    assert issuer_of(certificate(issuer)) == f"CN={text}"


def test_t61_is_read_as_latin_1():
    der = certificate(name(("CN", "ab"))).replace(b"\x0c\x02ab", b"\x14\x02\xe9b")
    assert issuer_of(der) == "CN=éb"


def test_an_empty_name_is_empty_text():
    assert issuer_of(certificate(x509.Name([]))) == ""


def test_no_name_is_endless():
    assert issuer_of(certificate(name(*[("OU", "x")] * (MAX_ATTRIBUTES + 1)))) is None
    long = issuer_of(certificate(name(*[("OU", "x" * 64)] * 30)))
    assert long is not None
    assert len(long) == MAX_TEXT


@pytest.mark.parametrize("data", [b"", b"\x0b", b"\x0b\0\0\3\0\0\0", b"\x0b\0\0\6\0\0\3\0\0\0", b"\x16" + ONE])
def test_no_certificate(data: bytes):
    assert leaf_issuer(data) is None
    assert issuer_of(data) is None


@given(st.binary(max_size=100))
def test_any_bytes(data: bytes):
    issuer_of(data)
    leaf_issuer(b"\x0b\0\1\0\0\1\0\0\0\xff" + data)


@given(st.integers(0, 150), st.integers(0, 255))
def test_damage_anywhere(at: int, value: int):
    said = issuer_of(ONE[:at] + bytes([value]) + ONE[at + 1 :])
    assert said is None or len(said) <= MAX_TEXT
