"""Cleaned text is short, printable, names nobody, and cleaning it again changes nothing."""

import re
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.clean import MAX_TEXT, clean, raw_text

GUID = "a7990881-fed4-4781-8b5d-443fccee2f00"
#: Text in which pieces of identities meet, cut and glued.
_PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["@", "a@b.c", "john.doe@contoso.com", "%40", "192.0.2.1", "2001:db8::1", "::", ":", ".", "1", GUID,
             GUID[:20], "-", "<user>", "<ip>", "<", ">", '"', " ", "\x1b[2J", "\u202e", "…", "\\x", "[", "]",
             "fe80::1%eth0"]
        ),
        st.text(max_size=6),
    ),
    max_size=30,
).map("".join)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("* OK ready. [QgBM=]", "* OK ready. [QgBM=]"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\r\nb\tc\x7f\x85", "a\\x0d\\x0ab c\\x7f\\x85"),
        ("user\u202egnp.exe\u200b\ufeff\u2028", "user\\u202egnp.exe\\u200b\\ufeff\\u2028"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("mail john.doe+x@contoso.com, please", "mail <user>, please"),
        ("<john@contoso.com>", "<<user>>"),
        ("user=john@contoso.com", "user=<user>"),
        ('"john doe"@contoso.com', "<user>"),
        ("root@localhost and root@[192.0.2.1]", "<user> and <user>"),
        ("login_hint=john%40contoso.com&x", "login_hint=<user>"),
        ("müller@exämple.de", "<user>"),
        (f"Trace ID: {GUID} Correlation ID: {GUID.upper()}", "Trace ID: <guid> Correlation ID: <guid>"),
        ("Hello [192.0.2.7]", "Hello [<ip>]"),
        ("from 192.0.2.7:993.", "from <ip>:993."),
        ("2001:db8::1 [2001:DB8:0:0:0:0:0:2] fe80::1%eth0", "<ip> [<ip>] <ip>"),
        ("::ffff:192.0.2.7", "<ip>"),
        ("0.0.0.0 and :: are nobody's", "0.0.0.0 and :: are nobody's"),
        ("at 22:49:55, version 15.20.7849.0, 2.1.12651.7, code 5.7.139", "at 22:49:55, version 15.20.7849.0, "
         "2.1.12651.7, code 5.7.139"),
        ("999.1.1.1 is none, nor std::string", "999.1.1.1 is none, nor std::string"),
    ],
)  # fmt: skip
def test_cleaning(text: str, cleaned: str):
    assert clean(text) == cleaned


def test_bytes_that_are_not_utf8_are_escaped():
    assert clean(b"caf\xc3\xa9 \xff\xfe") == "café \\xff\\xfe"


@pytest.mark.parametrize("keep", [["192.0.2.1", "2001:0db8:0::1"], ("2001:db8::1", "192.0.2.1", "", "no address")])
def test_the_servers_own_addresses_stay(keep: list[str]):
    assert clean("192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2", keep=keep) == "192.0.2.1 <ip> 2001:db8::1 <ip>"


def test_long_text_is_cut_and_says_so():
    assert clean("x" * MAX_TEXT) == "x" * MAX_TEXT
    assert clean("x" * (MAX_TEXT + 1)) == "x" * (MAX_TEXT - 1) + "…"
    assert clean("x" * 100, limit=10) == "x" * 9 + "…"


def test_an_identity_at_the_cut_does_not_remain_in_part():
    for before in range(MAX_TEXT - 40, MAX_TEXT):
        cleaned = clean("x" * (before - 1) + " john.doe@contoso.com 192.0.2.77 " + GUID)
        assert "john" not in cleaned
        assert "192" not in cleaned
        assert "a799" not in cleaned


def test_raw_keeps_names_but_no_control_characters():
    with raw_text(True):
        assert clean("john@contoso.com 192.0.2.1 \x1b") == "john@contoso.com 192.0.2.1 \\x1b"
    with raw_text(False):
        assert clean("john@contoso.com") == "<user>"
    assert clean("john@contoso.com") == "<user>"


@given(_PIECES, st.integers(0, 80))
@example("1.2.3.4567", 9)
@example("a@b c@d", 5)
def test_the_invariant(text: str, limit: int):
    cleaned = clean(text, limit=limit)
    assert len(cleaned) <= limit
    assert clean(cleaned, limit=limit) == cleaned
    assert not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in cleaned)
    assert re.search(r"\w@\w", cleaned) is None
    assert GUID not in cleaned


@given(st.binary())
def test_any_bytes(data: bytes):
    assert clean(clean(data)) == clean(data)


@pytest.mark.parametrize("unit", ["a", "a@", "@", "a:", "::", "1.", '"', '"a', "%40", "0-", "a%", "<", "\x00", "é"])
def test_a_long_text_takes_linear_time(unit: str):
    began = time.process_time()
    clean(unit * (262_144 // len(unit)))
    assert time.process_time() - began < 5  # quadratic would take minutes
