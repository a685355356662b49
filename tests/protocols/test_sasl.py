"""What is put in comes out again; a challenge is JSON in base64 or None."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols import sasl
from exporter.vocabulary import OfferedMechanism

GOOGLE = '{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}'
_PRINTABLE = st.text(st.characters(exclude_categories=("Cc", "Cs")))


def test_xoauth2_as_microsoft_documents_it():
    message = b"user=test@contoso.onmicrosoft.com\x01auth=Bearer EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA\x01\x01"
    token = "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA"
    assert base64.b64decode(sasl.xoauth2("test@contoso.onmicrosoft.com", token)) == message


@given(_PRINTABLE, _PRINTABLE)
def test_xoauth2_is_read_back(user: str, token: str):
    decoded = base64.b64decode(sasl.xoauth2(user, token), validate=True).decode()
    assert decoded.split("\x01") == [f"user={user}", f"auth=Bearer {token}", "", ""]


@pytest.mark.parametrize(("user", "token"), [("jo\x01auth=x", "t"), ("john", "t\r\n"), ("jo\0hn", "t")])
def test_control_characters_are_refused_without_an_echo(user: str, token: str):
    with pytest.raises(ValueError, match="control characters") as refusal:
        sasl.xoauth2(user, token)
    assert user not in str(refusal.value)


def test_a_response_on_a_line_of_its_own():
    assert sasl.response_line("dXNlcj0=") == b"dXNlcj0=\r\n"
    assert sasl.CANCEL == b"*\r\n"


def test_googles_challenge():
    assert sasl.parse_challenge(base64.b64encode(GOOGLE.encode()).decode() + "\r\n") == GOOGLE


@pytest.mark.parametrize(
    "encoded",
    ["", "VXNlcm5hbWU6", "not base64", "W10=", "MQ==", "eyJ9", "/w==", base64.b64encode(b"[" * 60_000).decode(), "é",
     base64.b64encode(b"9" * 5_000).decode()],
)  # fmt: skip
def test_anything_else_is_none(encoded: str):
    assert sasl.parse_challenge(encoded) is None


@given(st.one_of(st.text(), st.binary().map(lambda data: base64.b64encode(data).decode())))
def test_garbage_never_raises(encoded: str):
    sasl.parse_challenge(encoded)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("XOAUTH2", OfferedMechanism.XOAUTH2),
        ("scram-sha-256", OfferedMechanism.SCRAM_SHA_256),
        ("SCRAM-SHA-256-PLUS", OfferedMechanism.OTHER),
        ("LOGIN_COMMAND", OfferedMechanism.OTHER),
        ("BASIC", OfferedMechanism.OTHER),
        ("other", OfferedMechanism.OTHER),
        ("", OfferedMechanism.OTHER),
        ("x" * 60_000, OfferedMechanism.OTHER),
    ],
)
def test_names_come_from_a_fixed_list(name: str, expected: OfferedMechanism):
    assert sasl.mechanism(name) is expected


def test_plain_and_login():
    assert sasl.plain("me@x.example", "pässword") == base64.b64encode("\0me@x.example\0pässword".encode()).decode()
    assert sasl.encoded("me@x.example") == "bWVAeC5leGFtcGxl"
    with pytest.raises(ValueError, match="NUL") as refused:
        sasl.plain("me", "pass\0word")
    assert "pass\0word" not in str(refused.value)
