"""SMTP bytes become replies in order, or one violation; never another error."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols import smtp
from exporter.protocols.lines import MAX_REPLY, MAX_REPLY_LINES
from exporter.protocols.smtp import SmtpReader, SmtpReply
from exporter.vocabulary import OfferedMechanism
from tests.protocols.cutting import bytewise, cut_at, endless, garbage, places, read

SITE = b"SJ0PR05CA0071.outlook.office365.com"
GREETING = b"220 %s Microsoft ESMTP MAIL Service ready at Thu, 10 Oct 2024 22:49:55 +0000 [08DCE8B62813AB2B]\r\n" % SITE
EHLO = (
    b"250-%s Hello [192.0.2.7]\r\n250-SIZE 157286400\r\n250-PIPELINING\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"
    b"250-AUTH LOGIN XOAUTH2\r\n250-8BITMIME\r\n250-BINARYMIME\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n" % SITE
)
REFUSAL = b"535 5.7.3 Authentication unsuccessful [SJ0PR05CA0071.namprd05.prod.outlook.com]\r\n"
TRANSCRIPT = GREETING + EHLO + b"334 \r\n334\r\n" + REFUSAL + b"221 2.0.0 Service closing transmission channel\r\n"


def replies_of(pieces: list[bytes]) -> tuple[list[SmtpReply], str | None]:
    reader = SmtpReader()
    return read(reader, reader.next_reply, pieces)


def one(data: bytes) -> SmtpReply:
    replies, violation = replies_of([data])
    assert violation is None
    return replies[0]


def test_a_conversation():
    replies, violation = replies_of([TRANSCRIPT])
    assert violation is None
    assert [(reply.code, reply.enhanced, len(reply.lines)) for reply in replies] == [
        (220, None, 1),
        (250, None, 10),
        (334, None, 1),
        (334, None, 1),
        (535, "5.7.3", 1),
        (221, "2.0.0", 1),
    ]
    assert replies[4].line == REFUSAL.decode().rstrip()
    assert replies[4].text == "5.7.3 Authentication unsuccessful [SJ0PR05CA0071.namprd05.prod.outlook.com]"
    assert replies[1].line == "250-SJ0PR05CA0071.outlook.office365.com Hello [192.0.2.7]"


def test_byte_by_byte_is_the_same():
    assert replies_of(bytewise(TRANSCRIPT)) == replies_of([TRANSCRIPT])


@given(places)
def test_cut_anywhere_is_the_same(where: list[int]):
    assert replies_of(cut_at(TRANSCRIPT, where)) == replies_of([TRANSCRIPT])


@given(garbage)
def test_garbage_behind_changes_nothing_before_it(data: bytes):
    replies, _ = replies_of([TRANSCRIPT + data])
    assert replies[:6] == replies_of([TRANSCRIPT])[0]


@given(garbage, places)
def test_garbage_is_the_same_however_cut(data: bytes, where: list[int]):
    assert replies_of(cut_at(data, where)) == replies_of([data]) == replies_of(bytewise(data))


@pytest.mark.parametrize("end", [1, 3, 4, 30, len(EHLO) - 1])
def test_a_cut_reply_is_none_yet(end: int):
    reader = SmtpReader()
    reader.feed(EHLO[:end])
    assert reader.next_reply() is None
    assert reader.pending == EHLO[:end]


@pytest.mark.parametrize(
    "line",
    [b"* OK IMAP ready", b"+OK POP ready", b"HTTP/1.1 400 Bad Request", b"SSH-2.0-x", b"", b"22 x", b"2200 x", b"620 x",
     b"120 x", b"220_x", b"<html>", "٢٢٠ x".encode()],
)  # fmt: skip
def test_another_protocol_is_a_violation(line: bytes):
    replies, violation = replies_of([line + b"\r\n"])
    assert replies == []
    assert violation is not None
    assert violation.startswith("not an SMTP reply: ")


def test_another_code_inside_a_reply_is_a_violation():
    _, violation = replies_of([b"250-one\r\n", b"535 two\r\n"])
    assert violation == "not the reply 250 continued: 535 two"


def test_a_reply_of_endless_lines_is_bounded():
    reader = SmtpReader()
    most, violation = endless(reader, reader.next_reply, b"250-X\r\n")
    assert violation == f"a reply of more than {MAX_REPLY} bytes or {MAX_REPLY_LINES} lines"
    assert most == 7 * MAX_REPLY_LINES
    assert reader.pending == b""


def test_a_reply_of_long_lines_is_bounded():
    reader = SmtpReader()
    most, violation = endless(reader, reader.next_reply, b"250-" + b"x" * 60_000 + b"\r\n")
    assert violation is not None
    assert most <= MAX_REPLY


@pytest.mark.parametrize(
    ("data", "enhanced"),
    [
        (b"535 5.7.139 Authentication unsuccessful\r\n", "5.7.139"),
        (b"220 2.0.0\r\n", "2.0.0"),
        (b"550-5.7.30 first\r\n550 5.7.30 second\r\n", "5.7.30"),
        (b"220 3.0.0 no such class\r\n", None),
        (b"220 15.20.7849.0\r\n", None),
    ],
)
def test_enhanced_codes(data: bytes, enhanced: str | None):
    assert one(data).enhanced == enhanced


def test_extensions_and_what_they_offer():
    listed = smtp.extensions(one(EHLO))
    assert listed["SIZE"] == "157286400"
    assert listed["SMTPUTF8"] == ""
    assert "STARTTLS" not in listed
    assert smtp.offered(listed) == (OfferedMechanism.LOGIN, OfferedMechanism.XOAUTH2)


def test_before_tls_nothing_is_offered():
    listed = smtp.extensions(one(b"250-x\r\n250-starttls\r\n250 8BITMIME\r\n"))
    assert "STARTTLS" in listed
    assert smtp.offered(listed) == ()


def test_the_old_form_of_auth_is_read_too():
    listed = smtp.extensions(one(b"250-x\r\n250-AUTH PLAIN LOGIN\r\n250 AUTH=LOGIN CRAM-MD5\r\n"))
    assert smtp.offered(listed) == (OfferedMechanism.PLAIN, OfferedMechanism.LOGIN, OfferedMechanism.CRAM_MD5)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"220 ********************2**0*******\r\n", True),
        (b"250-x\r\n250-XXXXXXXA\r\n250 8BITMIME\r\n", True),
        (b"250-x\r\n250-XXXXXXXX XXXX\r\n250 DSN\r\n", True),
        (GREETING, False),
        (EHLO, False),
        (b"250-x\r\n250 XCLIENT NAME\r\n", False),
    ],
)
def test_masks_of_a_firewall(data: bytes, expected: bool):
    assert smtp.masked(one(data)) is expected


def test_the_greeting_tells_the_clock():
    assert smtp.greeting_date(one(GREETING).line) == datetime(2024, 10, 10, 22, 49, 55, tzinfo=UTC)
    assert smtp.greeting_date("x ready at Wed, 9 Nov 2022 07:08:09 +0000") == datetime(2022, 11, 9, 7, 8, 9, tzinfo=UTC)
    assert smtp.greeting_date("220 mail.example ESMTP Postfix") is None
    assert smtp.greeting_date("220 x ready at Wed, 99 Nov 2022 07:08:09 +0000") is None


@given(st.text())
def test_a_greeting_of_any_text_never_raises(text: str):
    smtp.greeting_date(text)


def test_commands():
    assert smtp.ehlo("probe.invalid") == b"EHLO probe.invalid\r\n"
    assert smtp.starttls() == b"STARTTLS\r\n"
    assert smtp.auth_xoauth2("dXNlcj0=") == b"AUTH XOAUTH2 dXNlcj0=\r\n"
    assert smtp.auth_xoauth2() == b"AUTH XOAUTH2\r\n"
    assert smtp.quit_() == b"QUIT\r\n"


def test_commands_of_an_account():
    assert smtp.auth_plain("AGEAYg==") == b"AUTH PLAIN AGEAYg==\r\n"
    assert smtp.auth_login() == b"AUTH LOGIN\r\n"
