"""Each treatment of the gateway by its steps: bytes in, what is done with them."""

import re

import pytest

from exporter.lab import treatments
from exporter.lab.http_server import Answer
from exporter.lab.treatments import Pass, Say, Step, Treatment
from tests.lab.test_client_hello import HELLO, hello

NAME = frozenset({"imap-mail.outlook.com"})
EHLO = b"250-site Hello\r\n250-SIZE 1\r\n250-STARTTLS\r\n250 SMTPUTF8\r\n"


def passed(steps: list[Pass | Say | Step]) -> bytes:
    """What went on to the other side, when nothing else was done."""
    assert all(isinstance(step, Pass) for step in steps)
    return b"".join(step.data for step in steps if isinstance(step, Pass))


def up(treatment: Treatment, *chunks: bytes) -> list[Pass | Say | Step]:
    return [step for chunk in chunks for step in treatment.from_client(chunk)]


def down(treatment: Treatment, *chunks: bytes) -> list[Pass | Say | Step]:
    return [step for chunk in chunks for step in treatment.from_server(chunk)]


def by_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("chunks", [[HELLO], [HELLO[:9], HELLO[9:]], by_bytes(HELLO)])
def test_names_are_matched_however_the_hello_is_cut(chunks: list[bytes]) -> None:
    assert up(treatments.reset_names(NAME), *chunks) == [Step.RESET]
    assert up(treatments.drop_names(NAME), *chunks) == [Step.SILENCE]
    assert up(treatments.reset_every_hello(), *chunks) == [Step.RESET]
    assert passed(up(treatments.reset_names(frozenset({"other"})), *chunks)) == HELLO


def test_a_hello_without_name_passes_and_what_follows_it_too() -> None:
    nameless, record = hello(None), b"\x17\x03\x03\x00\x01x"
    assert passed(up(treatments.reset_names(NAME), nameless, record, HELLO)) == nameless + record + HELLO


def test_plain_text_before_starttls_passes() -> None:
    treatment = treatments.reset_names(NAME)
    assert passed(up(treatment, b"EHLO x\r\n", b"STARTTLS\r\n")) == b"EHLO x\r\nSTARTTLS\r\n"
    assert up(treatment, HELLO) == [Step.RESET]


def test_a_damaged_hello_is_reset() -> None:
    assert up(treatments.reset_names(NAME), b"\x16\x03\x01\x00\x04\x02\x00\x00\x00") == [Step.RESET]


def test_size_and_version() -> None:
    padded = HELLO[:3] + (len(HELLO) - 5).to_bytes(2) + HELLO[5:]
    assert passed(up(treatments.drop_large_hello(), padded)) == HELLO
    alert = [Say(bytes.fromhex("15030300020246")), Step.CLOSE]
    assert up(treatments.refuse_tls_1_3(), HELLO) == alert
    assert up(treatments.refuse_every_version(), HELLO) == alert


def test_starttls_is_stripped_or_masked_however_the_reply_is_cut() -> None:
    for chunks in ([EHLO], by_bytes(EHLO)):
        assert passed(down(treatments.StripStarttls(), *chunks)) == EHLO.replace(b"250-STARTTLS\r\n", b"")
        assert passed(down(treatments.StripStarttls(masked=True), *chunks)) == EHLO.replace(b"STARTTLS", b"XXXXXXXA")
    banner = passed(down(treatments.StripStarttls(masked=True), b"220 site Microsoft ESMTP\r\n"))
    assert re.fullmatch(rb"220 \*{80}\r\n", banner)
    capability = passed(down(treatments.StripStarttls(), b"* CAPABILITY IMAP4rev1 STARTTLS IDLE\r\n"))
    assert capability == b"* CAPABILITY IMAP4rev1 IDLE\r\n"
    assert passed(down(treatments.StripStarttls(), b"+OK\r\nUIDL\r\nSTLS\r\n.\r\n")) == b"+OK\r\nUIDL\r\n.\r\n"


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (b"STARTTLS\r\n", b"500 5.5.1 Command unrecognized\r\n"),
        (b"STLS\r\n", b"-ERR Command unknown\r\n"),
        (b"A1 STARTTLS\r\n", b"A1 BAD Command unknown\r\n"),
    ],
)
def test_the_command_itself_is_refused_or_masked(command: bytes, refusal: bytes) -> None:
    assert up(treatments.StripStarttls(), command) == [Say(refusal)]
    assert b"XXXX" in passed(up(treatments.StripStarttls(masked=True), command))


def test_rewriting_leaves_tls_alone() -> None:
    treatment = treatments.Rewrite((r"ready", "steady"))
    assert passed(down(treatment, b"220 ready\r\n")) == b"220 steady\r\n"
    up(treatment, HELLO)
    assert passed(down(treatment, b"\x17 ready\r\n")) == b"\x17 ready\r\n"


@pytest.mark.parametrize("whole", [True, False])
def test_a_long_record_is_cut_and_short_ones_pass(whole: bool) -> None:
    short, long = b"\x17\x03\x03\x00\x10" + b"x" * 16, b"\x17\x03\x03\x07\xd0" + b"x" * 2000
    handshake = HELLO + b"\x14\x03\x03\x00\x01\x01" + short
    treatment = treatments.DropLongRecords()
    assert passed(up(treatment, *([handshake] if whole else by_bytes(handshake)))) == handshake
    assert up(treatment, *([long] if whole else by_bytes(long)))[-1 if whole else 4] is Step.RESET


def test_plain_text_is_never_too_long() -> None:
    assert passed(up(treatments.DropLongRecords(), b"x" * 5000)) == b"x" * 5000


def test_large_chunks_are_lost() -> None:
    assert passed(down(treatments.DropLargeChunks(), b"x" * 100)) == b"x" * 100
    assert down(treatments.DropLargeChunks(), b"x" * 1500) == [Step.SILENCE]


def test_pages_answer_themselves() -> None:
    pages = treatments.Pages(Answer(403, [("Server", "gateway")], b"no"))
    (step,) = up(pages, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert isinstance(step, Say)
    assert step.data.startswith(b"HTTP/1.1 403 ")
    assert up(pages, b"nonsense\r\n\r\n")[-1] is Step.CLOSE


def test_the_restriction_is_put_into_each_request() -> None:
    data = passed(up(treatments.RestrictTenants(), b"POST /t HTTP/1.1\r\nHost: x\r\n\r\nbody"))
    assert data.startswith(b"POST /t HTTP/1.1\r\nRestrict-Access-To-Tenants: contoso.example\r\n")
    assert data.endswith(b"\r\nHost: x\r\n\r\nbody")
