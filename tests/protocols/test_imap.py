"""IMAP bytes become responses in order, or one violation; never another error."""

import pytest
from hypothesis import given

from exporter.protocols import imap
from exporter.protocols.imap import ImapReader, ImapResponse
from exporter.protocols.lines import MAX_LINE, MAX_REPLY
from exporter.vocabulary import OfferedMechanism
from tests.protocols.cutting import bytewise, cut_at, endless, garbage, places, read

GREETING = b"* OK The Microsoft Exchange IMAP4 service is ready. [QgBMADEAUAAyADIAMwBDAEEAMAAwADAANQA=]\r\n"
CAPABILITY_2026 = (
    b"* CAPABILITY IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE "
    b"NAMESPACE LITERAL+\r\n"
)
CAPABILITY_2024 = CAPABILITY_2026.replace(b"AUTH=XOAUTH2 LOGINDISABLED", b"AUTH=PLAIN AUTH=XOAUTH2")
TRANSCRIPT = (
    GREETING
    + CAPABILITY_2026
    + b"a1 OK CAPABILITY completed.\r\n"
    + b"+ \r\n+\r\n"
    + b"* LIST () {7}\r\nfo\r\nbar {2}\r\n{} end\r\n"
    + b"a2 NO AUTHENTICATE failed.\r\n"
    + b"* BYE Microsoft Exchange Server IMAP4 server signing off.\r\n"
)


def responses_of(pieces: list[bytes]) -> tuple[list[ImapResponse], str | None]:
    reader = ImapReader()
    return read(reader, reader.next_response, pieces)


def one(line: bytes) -> ImapResponse:
    responses, violation = responses_of([line + b"\r\n"])
    assert violation is None
    return responses[0]


def test_a_conversation():
    responses, violation = responses_of([TRANSCRIPT])
    assert violation is None
    assert [(response.tag, response.status, response.text[:26]) for response in responses] == [
        ("*", "OK", "The Microsoft Exchange IMA"),
        ("*", None, "CAPABILITY IMAP4 IMAP4rev1"),
        ("a1", "OK", "CAPABILITY completed."),
        ("+", None, ""),
        ("+", None, ""),
        ("*", None, "LIST () {7}\r\nfo\r\nbar {2}\r\n"),
        ("a2", "NO", "AUTHENTICATE failed."),
        ("*", "BYE", "Microsoft Exchange Server "),
    ]
    assert responses[6].line == "a2 NO AUTHENTICATE failed."


def test_byte_by_byte_is_the_same():
    assert responses_of(bytewise(TRANSCRIPT)) == responses_of([TRANSCRIPT])


@given(places)
def test_cut_anywhere_is_the_same(where: list[int]):
    assert responses_of(cut_at(TRANSCRIPT, where)) == responses_of([TRANSCRIPT])


@given(garbage)
def test_garbage_behind_changes_nothing_before_it(data: bytes):
    responses, _ = responses_of([TRANSCRIPT + data])
    assert responses[:8] == responses_of([TRANSCRIPT])[0]


@given(garbage, places)
def test_garbage_is_the_same_however_cut(data: bytes, where: list[int]):
    assert responses_of(cut_at(data, where)) == responses_of([data]) == responses_of(bytewise(data))


@pytest.mark.parametrize("end", range(1, len(GREETING)))
def test_a_cut_greeting_is_no_response_yet(end: int):
    reader = ImapReader()
    reader.feed(GREETING[:end])
    assert reader.next_response() is None
    assert reader.pending == GREETING[:end]


def test_an_awaited_literal_is_pending():
    reader = ImapReader()
    reader.feed(b"* LIST {5}\r\nab")
    assert reader.next_response() is None
    assert reader.pending == b"* LIST {5}\r\nab"


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1 400 Bad Request", b"220 smtp ready", b"+OK POP3 ready", b"-ERR unknown", b"", b"SSH-2.0-OpenSSH_9.2",
     b"<html>", b"a1 BYE early", b"a1 PREAUTH x", b"a1", b"\xff\xfe OK x", b'"quoted" OK x'],
)  # fmt: skip
def test_another_protocol_is_a_violation(line: bytes):
    responses, violation = responses_of([line + b"\r\n"])
    assert responses == []
    assert violation is not None
    assert violation.startswith("not an IMAP response: ")


@pytest.mark.parametrize(
    ("line", "tag", "status", "text"),
    [
        (b"* ok lower case", "*", "OK", "lower case"),
        (b"* OK", "*", "OK", ""),
        (b"* PREAUTH welcome", "*", "PREAUTH", "welcome"),
        (b"* OKAY", "*", None, "OKAY"),
        (b"* 3 EXISTS", "*", None, "3 EXISTS"),
        (b"*", "*", None, ""),
        (b"+ OK not a status", "+", None, "OK not a status"),
        (b"A.1 BAD Command Argument Error. 12", "A.1", "BAD", "Command Argument Error. 12"),
        (b"* BYE caf\xc3\xa9 \xff", "*", "BYE", "caf\u00e9 \\xff"),
    ],
)
def test_forms(line: bytes, tag: str, status: str | None, text: str):
    response = one(line)
    assert (response.tag, response.status, response.text) == (tag, status, text)


@pytest.mark.parametrize("line", [b"* OK ready {5}", b"a1 NO refused {2147483648}", b"+ {5}"])
def test_the_text_of_a_status_announces_no_literal(line: bytes):
    assert one(line).line == line.decode()


@pytest.mark.parametrize("length", [2_147_483_648, MAX_REPLY, 99_999_999_999_999_999_999])
def test_a_huge_literal_is_refused_when_announced(length: int):
    responses, violation = responses_of([b"* LIST {%d}\r\n" % length])
    assert responses == []
    assert violation == f"a literal of {length} bytes is announced"


def test_endless_literals_are_bounded():
    reader = ImapReader()
    reader.feed(b"* LIST ")
    most, violation = endless(reader, reader.next_response, b"{1000}\r\n" + b"x" * 1_000)
    assert violation == "a literal of 1000 bytes is announced"
    assert MAX_REPLY - 2_000 < most <= MAX_REPLY
    assert reader.pending == b""


def test_an_endless_capability_list_is_bounded():
    reader = ImapReader()
    reader.feed(b"* CAPABILITY")
    most, violation = endless(reader, reader.next_response, b" X" * 100)
    assert violation == f"a line of more than {MAX_LINE} bytes"
    assert most <= MAX_LINE + 200


def test_a_line_behind_literals_counts_too():
    literal = b"* LIST {200000}\r\n" + b"x" * 200_000
    _, violation = responses_of([literal, b"y" * 65_000 + b"\r\n"])
    assert violation == f"a response of more than {MAX_REPLY} bytes"


def test_capabilities_of_2026_forbid_the_login_command():
    listed = imap.capabilities(one(CAPABILITY_2026.rstrip()))
    assert listed is not None
    assert listed[:4] == ("IMAP4", "IMAP4rev1", "AUTH=XOAUTH2", "LOGINDISABLED")
    assert imap.offered(listed) == (OfferedMechanism.XOAUTH2,)


def test_capabilities_of_2024_offer_passwords():
    listed = imap.capabilities(one(CAPABILITY_2024.rstrip()))
    assert imap.offered(listed or ()) == (
        OfferedMechanism.PLAIN,
        OfferedMechanism.XOAUTH2,
        OfferedMechanism.LOGIN_COMMAND,
    )


def test_capabilities_in_a_code():
    dovecot = one(
        b"* OK [CAPABILITY IMAP4rev1 SASL-IR auth=OAuthBearer AUTH=FOO AUTH=BAR logindisabled] Dovecot ready."
    )
    listed = imap.capabilities(dovecot)
    assert imap.offered(listed or ()) == (OfferedMechanism.OAUTHBEARER, OfferedMechanism.OTHER)


@pytest.mark.parametrize(
    "line", [b"* OK ready", b"* 3 EXISTS", b"*", b"+ CAPABILITY x", b"* OK [ALERT] [CAPABILITY x]"]
)
def test_other_responses_list_none(line: bytes):
    assert imap.capabilities(one(line)) is None


def test_commands():
    assert imap.capability("a1") == b"a1 CAPABILITY\r\n"
    assert imap.starttls("a2") == b"a2 STARTTLS\r\n"
    assert imap.authenticate_xoauth2("a3", "dXNlcj0=") == b"a3 AUTHENTICATE XOAUTH2 dXNlcj0=\r\n"
    assert imap.authenticate_xoauth2("a3") == b"a3 AUTHENTICATE XOAUTH2\r\n"
    assert imap.logout("a4") == b"a4 LOGOUT\r\n"


def test_commands_of_an_account():
    assert imap.authenticate_plain("a1", "AGEAYg==") == b"a1 AUTHENTICATE PLAIN AGEAYg==\r\n"
    assert imap.authenticate_plain("a1") == b"a1 AUTHENTICATE PLAIN\r\n"
    assert imap.list_root("a2") == b'a2 LIST "" ""\r\n'
    assert imap.login("a3", "me@x.example", 'a "b" \\c') == b'a3 LOGIN "me@x.example" "a \\"b\\" \\\\c"\r\n'


@pytest.mark.parametrize("password", ["pässword", "a\r\nb", "a\0b", "\x7f", "日本"])
def test_what_a_quoted_string_cannot_carry_is_refused(password: str):
    with pytest.raises(ValueError, match="printable ASCII") as refused:
        imap.login("a1", "me", password)
    assert password not in str(refused.value)
