"""Clients and servers that had no part in the making: an answer may be missing, it is hardly ever wrong."""

import dataclasses
from collections import Counter
from functools import cache
from random import Random

import pytest

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from exporter.wire.inference.infer import infer
from exporter.wire.trace import Record, Trace, TraceEnd
from tests.wire.inference import strangers
from tests.wire.inference.judging import Mark
from tests.wire.inference.mutations import MUTATIONS, is_within, without_open_ends
from tests.wire.inference.transcript import trace

EACH = 8


@cache
def marks() -> dict[str, Counter[Mark]]:
    found: dict[str, Counter[Mark]] = {}
    for name, _, _, mark in strangers.judged(EACH):
        found.setdefault("CBC" if "CBC" in name else name.split()[0], Counter())[mark] += 1
    return found


@pytest.mark.parametrize(("protocol", "right"), [("imap", 0.75), ("pop", 0.88), ("smtp", 0.9)])
def test_where_lengths_are_exact(protocol: str, right: float):
    """Goal: 0.2 % wrong of what can be decided. Here all is counted, also what can't."""
    found = marks()[protocol]
    assert found[Mark.WRONG] <= 0.002 * found.total() + 1
    assert found[Mark.RIGHT] >= right * found.total()


def test_where_they_are_ranges():
    """CBC: sizes in steps of 16 tell so little that the short words of a POP server may be either."""
    found = marks()["CBC"]
    assert found[Mark.WRONG] <= 0.01 * found.total()
    assert found[Mark.RIGHT] >= 0.55 * found.total()


@pytest.mark.parametrize("name", MUTATIONS)
def test_cut_otherwise_they_never_say_another(name: str):
    random = Random(name)
    for form, told, talk in strangers.conversations(1):
        if "CBC" in form:
            continue
        mutated = without_open_ends(answers(MUTATIONS[name](told, random)))
        assert is_within(mutated, answers(told)) or is_within(mutated, tuple(talk.truth)), (form, talk.words.name)


def answers(seen: Trace) -> list[tuple[str, str]]:
    return [(each.mechanism, each.outcome) for each in infer(seen)]


# ---- what few do -------------------------------------------------------------------------------------------------------

IMAP_HEAD = "S: * OK [CAPABILITY IMAP4rev1 <90>] mail.example.org ready"
POP_HEAD = "S: +OK mail.example.org POP3 ready"
EHLO = "C: EHLO client.example.org\nS: 250-<200>"
REFUSED, ACCEPTED = (
    "a1 NO [AUTHENTICATIONFAILED] Authentication failed.",
    "a1 OK [CAPABILITY IMAP4rev1 <300>] Logged in",
)
SECOND = REFUSED.replace("a1", "a2")

PASSWORD, TOKEN, UNKNOWN = Mechanism.PASSWORD, Mechanism.TOKEN, Mechanism.UNKNOWN


@pytest.mark.parametrize(
    ("protocol", "text", "mechanism", "allowed"),
    [
        pytest.param(
            Protocol.IMAP, f"{IMAP_HEAD}\nC: a0 CAPABILITY\na1 AUTHENTICATE PLAIN <48>\n"
            f"S: * CAPABILITY IMAP4rev1 <90>\na0 OK done\n{REFUSED}",
            PASSWORD, {"refused"}, id="CAPABILITY and AUTHENTICATE in one record",
        ),
        pytest.param(
            Protocol.IMAP, f"{IMAP_HEAD}\nC: a1 AUTHENTICATE XOAUTH2 <1800>\nS: + <72>\nC: .\nS: {REFUSED}\n"
            f"C: a2 AUTHENTICATE PLAIN <48>\nS: {SECOND}\nC: a3 LOGOUT\nS: * BYE\na3 OK bye",
            PASSWORD, {"refused"}, id="a password behind a token's challenge, on the same connection",
        ),
        pytest.param(
            Protocol.IMAP, f"{IMAP_HEAD}\nC: a1 LOGIN someone@example.org a-password\nS: {ACCEPTED}\n"
            "* BYE Too many connections from your address", PASSWORD, {"accepted"}, id="accepted, and shown the door",
        ),
        pytest.param(
            Protocol.IMAP, f"{IMAP_HEAD}\nC: a1 LOGIN someone@example.org a-password\nS: {ACCEPTED}\nC: a2 SELECT INBOX\n"
            "S: <250>\nC: a3 IDLE\nS: + idling\n(1500 s)\nC: DONE\nS: a3 OK Idle completed.\nC: a4 NOOP\nS: a4 OK NOOP",
            PASSWORD, {"accepted"}, id="IDLE for long",
        ),
        pytest.param(
            Protocol.IMAP, f"{IMAP_HEAD}\nC: a1 LOGIN someone@example.org a-password\nS: {ACCEPTED}\n"
            "C: a2 APPEND Sent {2400}\nS: + OK\nC: <2400>\nS: a2 OK [APPENDUID 1 2] done", PASSWORD, {"accepted"},
            id="a mail that is saved first",
        ),
        pytest.param(
            Protocol.POP, f"{POP_HEAD}\nC: AUTH PLAIN\nS: + \nC: <44>\n(2 s)\nS: -ERR [AUTH] Authentication failed.\n"
            "C: QUIT\nS: +OK bye, and come again some day", PASSWORD, {"refused"}, id="AUTH PLAIN in two steps",
        ),
        pytest.param(
            Protocol.POP, f"{POP_HEAD}\nC: AUTH XOAUTH2\nS: + \nC: <1800>\nS: + <72>\nC: .\n"
            "S: -ERR [AUTH] Authentication failed.", TOKEN, {"refused"}, id="a challenge in POP",
        ),
        pytest.param(
            Protocol.SMTP, f"{EHLO}\nC: AUTH PLAIN <48>\nS: 535 5.7.8 Error: authentication failed: bad credentials\n"
            "C: QUIT\nS: 221 2.0.0 Bye", PASSWORD, {"refused"}, id="535",
        ),
        pytest.param(
            Protocol.SMTP, f"{EHLO}\nC: AUTH PLAIN <48>\nS: 454 4.7.0 Temporary authentication failure\n"
            "C: QUIT\nS: 221 2.0.0 Bye", PASSWORD, {"refused", "throttled"}, id="454",
        ),
        pytest.param(
            Protocol.SMTP, f"{EHLO}\nC: AUTH PLAIN <48>\nS: 421 4.7.0 Too many failures, closing the connection", PASSWORD,
            {"refused", "throttled"}, id="421",
        ),
        pytest.param(
            Protocol.SMTP, "C: AUTH PLAIN <48>\nS: 503 5.5.1 EHLO first\nC: QUIT\nS: 221 Bye", PASSWORD,
            {"refused", "abandoned"}, id="no EHLO behind STARTTLS",
        ),
        pytest.param(
            Protocol.SMTP, f"{EHLO}\nC: AUTH PLAIN <48>\nS: 235 2.7.0 Authentication successful\n"
            "C: MAIL FROM:<a@example.org>\nRCPT TO:<b@example.org>\nDATA\nS: 250 2.1.0 Ok\n250 2.1.5 Ok\n354 go ahead\n"
            "C: <2400>\nS: 250 2.0.0 Ok: queued", PASSWORD, {"accepted"}, id="the envelope in one record, and a body",
        ),
    ],
)  # fmt: skip
def test_may_be_unknown_and_never_another(protocol: Protocol, text: str, mechanism: Mechanism, allowed: set[str]):
    for tls in (
        ("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        ("TLSv1.2", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    ):
        for end in (TraceEnd.CLIENT_CLOSED, TraceEnd.SERVER_CLOSED, TraceEnd.SILENCE, TraceEnd.CAPTURE_ENDED):
            last = infer(trace(protocol, text, tls=tls, end=end, starttls=protocol is Protocol.SMTP))[-1]
            assert last.mechanism in (mechanism, UNKNOWN)
            assert last.outcome in {*allowed, AuthOutcome.UNKNOWN}


LOGIN = f"{IMAP_HEAD}\nC: a1 LOGIN someone@example.org a-password\nS: {REFUSED}\nC: a2 LOGOUT\nS: * BYE\na2 OK bye"


def test_tickets_between_the_clients_first_words():
    """OpenSSL sends them with its first write at the latest, GnuTLS whenever it pleases."""
    told = trace(Protocol.IMAP, LOGIN)
    for at in range(1, 4):
        early = told.records[:at][-1].time
        tickets = [Record(early, False, 23, 251)] * 2
        records = (*tickets, *told.records) if at == 1 else (*told.records[:at], *tickets, *told.records[at:])
        (found,) = infer(with_records(told, records))
        assert (found.mechanism, found.outcome) in {(m, o) for m in (PASSWORD, UNKNOWN) for o in ("refused", "unknown")}


def test_a_renegotiation_is_no_conversation():
    """TLS 1.2: its records are handshake, and ChangeCipherSpec."""
    told = trace(Protocol.IMAP, LOGIN, tls=("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"))
    middle = [Record(told.records[1].time, client, 22, 80) for client in (False, True, False, True)]
    found = infer(with_records(told, (*told.records[:1], *middle, *told.records[1:])))
    assert found == infer(told)


@pytest.mark.parametrize("at", range(6))
@pytest.mark.parametrize("from_client", [True, False])
def test_a_key_update_is_five_bytes_of_nothing(at: int, from_client: bool):
    """RFC 8446, 4.6.3: it looks like data, wherever it comes."""
    told = trace(Protocol.IMAP, LOGIN)
    time = told.records[max(at - 1, 0)].time + 0.001
    update = Record(time, from_client, 23, 4 + 1 + 17)
    for found in infer(with_records(told, (*told.records[:at], update, *told.records[at:]))):
        assert found.mechanism in (PASSWORD, UNKNOWN)
        assert found.outcome in ("refused", "unknown", "abandoned")


def with_records(told: Trace, records: tuple[Record, ...]) -> Trace:
    return dataclasses.replace(told, records=records)
