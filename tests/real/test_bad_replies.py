"""Replies no server should give: each ends in a named outcome within its deadline and in bounded memory."""

import random
import ssl
import unicodedata
from dataclasses import dataclass

import pytest

from exporter.vocabulary import AuthOutcome, Outcome, Phase
from tests.real import bad_server as bad
from tests.real.bad_server import Script, bad_servers
from tests.real.certificates import Authority
from tests.real.probing import OUTCOMES, Run, probe

TIMEOUT = 2.0  # seconds a phase
SLACK = 1.0  # seconds a phase may be late, with both cores busy
MAX_MEMORY = 150 * 2**20  # bytes, of the whole process with all of these at once
MAX_TEXT = 512  # characters of any text of the network

STARTTLS, TLS, WEB, PLAIN_WEB = "starttls", "implicit", "https", "http"
UNSEEN = {"Cc", "Cf", "Zl", "Zp", "Cs"}  # control, bidi and zero-width, line separators, surrogates
#: Bytes that are no text of any protocol, the same in each run.
NOISE = random.Random(7).randbytes(4096)
HOSTILE_BANNER = b"* OK \x1b[2J\x1b]0;owned\x07 <script>alert(1)</script> \xe2\x80\xae user@example.org 192.0.2.7\r\n"


@dataclass(frozen=True, slots=True)
class Case:
    """A script, spoken to as `protocol` the way `how` says; it ends in `phase` with one of `outcomes`."""

    script: Script
    phase: Phase
    outcomes: tuple[Outcome, ...]
    protocol: str = "imap"
    how: str = STARTTLS
    secured: bool = False


def _case(script: Script, phase: Phase, *outcomes: Outcome, protocol: str = "imap", **more: object) -> Case:
    return Case(script, phase, outcomes, protocol, **more)  # type: ignore[arg-type]


G, S, T, H = Phase.GREETING, Phase.STARTTLS, Phase.TLS, Phase.HTTP
ODD, LATE, CLOSED, RESET = Outcome.UNEXPECTED_CONTENT, Outcome.TIMEOUT, Outcome.CLOSED, Outcome.RESET
ODDER = Outcome.UNRECOGNIZED
EHLO = (b"220 mail.test ESMTP\r\n",)

CASES: dict[str, Case] = {
    # Greetings.
    "endless_line": _case(bad.endless(b"* OK "), G, ODD),
    "endless_smtp": _case(bad.endless(b"220 "), G, ODD, protocol="smtp"),
    "endless_pop": _case(bad.endless(b"+OK "), G, ODD, protocol="pop"),
    "endless_smtp_lines": _case(bad.repeated(b"220-more to come\r\n"), G, ODD, protocol="smtp"),
    "no_newline": _case(bad.say(b"* OK ready"), G, LATE),
    "no_newline_closed": _case(bad.farewell(b"* OK ready"), G, CLOSED),
    "binary": _case(bad.say(NOISE), G, ODD),
    "binary_smtp": _case(bad.say(NOISE), G, ODD, protocol="smtp"),
    "binary_pop": _case(bad.say(NOISE), G, ODD, protocol="pop"),
    "not_a_code": _case(bad.say(b"999 hello\r\n"), G, ODD, Outcome.REJECTED, protocol="smtp"),
    "empty_lines": _case(bad.repeated(b"\r\n"), G, ODD),
    "tls_to_plain": _case(bad.say(bad.ALERT_RECORD), G, ODD, LATE),
    "http_as_greeting": _case(bad.farewell(bad.HTTP_PAGE), G, ODD),
    "literal_bomb": _case(bad.say(bad.GREETING, b"* LIST {4294967295}\r\n"), S, ODD),
    "byte_a_second": _case(bad.dripping(b"* OK a greeting that never comes\r\n"), G, LATE),
    "silence": _case(bad.drain, G, LATE),
    "close": _case(bad.close, G, CLOSED),
    "reset": _case(bad.reset, G, RESET),
    # Behind the greeting.
    "endless_capability": _case(bad.endless(bad.GREETING, after=b"* CAPABILITY IMAP4rev1 "), S, ODD),
    "endless_untagged": _case(bad.repeated(b"* 1 EXISTS\r\n", head=bad.GREETING), S, ODD),
    "capability_of_something_else": _case(bad.say(bad.GREETING, b"* FLAGS ()\r\na1 OK done\r\n"), S, ODD, ODDER),
    "endless_ehlo": _case(bad.repeated(b"250-AUTH XOAUTH2\r\n", head=EHLO[0]), S, ODD, protocol="smtp"),
    "endless_capa": _case(bad.repeated(b"+OK\r\nXOAUTH2\r\n", head=b"+OK\r\n"), S, ODD, protocol="pop"),
    "dripping_capability": _case(bad.dripping(b"* CAPABILITY IMAP4rev1", head=bad.GREETING), S, LATE),
    "reset_after_greeting": _case(bad.reset_after_greeting, S, RESET),
    "close_after_greeting": _case(bad.farewell(bad.GREETING), S, CLOSED, RESET),
    "go_ahead_then_noise": _case(bad.imap_starttls_then(NOISE), T, ODD),
    "go_ahead_then_close": _case(bad.imap_starttls_then(b""), T, CLOSED, RESET),
    # Instead of a handshake.
    "plain_to_tls": _case(bad.say(bad.GREETING), T, ODD, how=TLS),
    "http_on_993": _case(bad.answer(bad.HTTP_PAGE), T, ODD, how=TLS),
    "noise_to_tls": _case(bad.answer(NOISE), T, ODD, how=TLS),
    "endless_to_tls": _case(bad.endless(), T, ODD, how=TLS),
    "half_record": _case(bad.say(bad.HALF_RECORD), T, LATE, how=TLS),
    "half_record_closed": _case(bad.answer(bad.HALF_RECORD), T, CLOSED, RESET, how=TLS),
    "alert": _case(bad.answer(bad.ALERT_RECORD), T, Outcome.ALERT, how=TLS),
    "tls_byte_a_second": _case(bad.dripping(bad.HALF_RECORD), T, LATE, how=TLS),
    "tls_silence": _case(bad.drain, T, LATE, how=TLS),
    # A close that meets our ClientHello unread is an RST on the wire (RFC 1122 4.2.2.13).
    "tls_close": _case(bad.close, T, CLOSED, RESET, how=TLS),
    "tls_reset": _case(bad.reset, T, RESET, how=TLS),
    # Behind a handshake.
    "secured_endless": _case(bad.endless(b"* OK "), G, ODD, how=TLS, secured=True),
    "secured_silence": _case(bad.drain, G, LATE, how=TLS, secured=True),
    "secured_close": _case(bad.close, G, CLOSED, RESET, how=TLS, secured=True),
    "secured_reset": _case(bad.reset, G, RESET, CLOSED, how=TLS, secured=True),
    "secured_http": _case(bad.farewell(bad.HTTP_PAGE), G, ODD, how=TLS, secured=True),
    # Web pages.
    "web_endless_head": _case(bad.endless(b"HTTP/1.1 200 OK\r\nX: "), H, ODD, protocol=WEB, how=WEB, secured=True),
    "web_endless_body": _case(
        bad.endless(b"HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n"),
        H, ODD, protocol=WEB, how=WEB, secured=True,
    ),
    "web_noise": _case(bad.answer(NOISE), H, ODD, protocol=WEB, how=WEB, secured=True),
    "web_mail": _case(bad.say(bad.GREETING), H, ODD, protocol=WEB, how=WEB, secured=True),
    "web_short_body": _case(
        bad.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort"),
        H, ODD, CLOSED, protocol=WEB, how=WEB, secured=True,
    ),
    "web_byte_a_second": _case(bad.dripping(b"HTTP/1.1 200 OK"), H, LATE, protocol=WEB, how=WEB, secured=True),
    "web_two_lengths": _case(
        bad.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
        H, ODD, protocol=WEB, how=WEB, secured=True,
    ),
    "plain_web_close": _case(bad.answer(b""), H, CLOSED, RESET, protocol=PLAIN_WEB, how=PLAIN_WEB),
    "token_not_json": _case(
        bad.answer(b"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{\"a\":"),
        Phase.TOKEN, ODD, protocol="sign_in", how=WEB, secured=True,
    ),
    "token_deep_json": _case(
        bad.answer(b"HTTP/1.1 400 Bad\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60000),
        Phase.TOKEN, ODD, protocol="sign_in", how=WEB, secured=True,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def round_(authority: Authority) -> Run:
    certificate = authority.leaf("bad-server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    scripts = {
        name: bad.within_tls(context, case.script) if case.secured else case.script for name, case in CASES.items()
    }
    scripts["hostile_banner"] = bad.imap_answering(HOSTILE_BANNER, b"IMAP4rev1 \x1b[31mX\x07 AUTH=XOAUTH2")
    scripts["hostile_refusal"] = bad.within_tls(
        context, bad.imap_answering(bad.GREETING, b"IMAP4rev1 SASL-IR AUTH=XOAUTH2", refusal=HOSTILE_BANNER[5:-2])
    )
    scripts["challenges"] = bad.within_tls(
        context, bad.imap_answering(bad.GREETING, b"IMAP4rev1 SASL-IR AUTH=XOAUTH2", refusal=None)
    )
    with bad_servers(scripts) as ports:
        targets = [_target(name, case.protocol, case.how, ports[name]) for name, case in CASES.items()]
        targets.append(_target("hostile_banner", "imap", STARTTLS, ports["hostile_banner"]))
        targets += [_target(name, "imap", TLS, ports[name]) for name in ("hostile_refusal", "challenges")]
        return probe(targets, root_file=authority.root_file, genuine=False, timeout=f"{TIMEOUT:g}s")


def _target(name: str, protocol: str, how: str, port: int) -> dict[str, object]:
    target: dict[str, object] = {"name": name, "protocol": protocol, "host": "localhost", "port": port}
    return target | ({"tls": how} if how in (STARTTLS, TLS) else {})


@pytest.mark.parametrize("name", CASES)
def test_ends_in_a_named_outcome(round_: Run, name: str):
    line, case = round_[name], CASES[name]
    found = line.phase(case.phase)
    assert found["outcome"] in case.outcomes, line
    assert line["outcome"] in OUTCOMES - {Outcome.OK}
    before = list(line.outcomes().items())[: list(line.outcomes()).index(case.phase)]
    assert all(outcome in (Outcome.OK, Outcome.UNRECOGNIZED) for _, outcome in before), line


@pytest.mark.parametrize("name", CASES)
def test_ends_within_its_deadline(round_: Run, name: str):
    for phase in round_[name]["phases"]:
        assert phase["seconds"] is None or phase["seconds"] <= TIMEOUT + SLACK, phase


@pytest.mark.parametrize("name", CASES)
def test_what_lies_behind_is_skipped(round_: Run, name: str):
    outcomes = list(round_[name].outcomes().values())
    behind = outcomes[list(round_[name].outcomes()).index(CASES[name].phase) + 1 :]
    assert set(behind) <= {Outcome.SKIPPED}


def test_the_text_of_a_timeout_or_failure_is_short_and_printable(round_: Run):
    for line in round_.lines.values():
        for phase in line["phases"]:
            detail = phase["detail"] or ""
            assert len(detail) <= MAX_TEXT
            unseen = {character for character in detail if unicodedata.category(character) in UNSEEN}
            assert not unseen, detail


def test_a_hostile_banner_writes_on_no_terminal(round_: Run):
    detail = round_["hostile_banner"].phase(Phase.GREETING)["detail"]
    assert "\\x1b[2J" in detail
    assert "<script>" in detail  # a page escapes it; JSON shows what was sent
    assert "<user>" in detail
    assert "<ip>" in detail
    assert b"\x1b" not in round_.stdout
    assert b"\\u001b" not in round_.stdout
    assert "‮" not in round_.stdout.decode()
    assert b"user@example.org" not in round_.stdout


def test_a_hostile_refusal_is_cleaned_like_a_banner(round_: Run):
    line = round_["hostile_refusal"]
    assert line["auth"]["outcome"] == AuthOutcome.REFUSED
    assert "\\x1b[2J" in line["auth"]["reply"]
    assert "user@example.org" not in line["auth"]["reply"]


def test_one_challenge_after_another_ends(round_: Run):
    line = round_["challenges"]
    assert line.phase(Phase.AUTH)["outcome"] in (Outcome.UNEXPECTED_CONTENT, Outcome.UNRECOGNIZED)


def test_the_round_ends_in_time_and_says_so_by_its_status(round_: Run):
    assert round_.status == 1
    assert len(round_.lines) == len(CASES) + 3
    assert round_.seconds < 30


def test_memory_is_bounded(round_: Run):
    assert round_.peak_bytes < MAX_MEMORY


def test_every_line_is_one_line_of_json(round_: Run):
    assert round_.stdout.count(b"\n") == len(round_.lines)
    assert round_.stdout.endswith(b"\n")
