"""Dovecot and Postfix: other words than Microsoft's, so nothing may be taken for Microsoft's, and nothing for a fault
that isn't there."""

import pytest

from exporter.vocabulary import AuthOutcome, Mechanism, Outcome, Phase
from tests.real import dovecot as mail
from tests.real.certificates import Authority
from tests.real.dovecot import Dovecot
from tests.real.postfix import HOST_NAME, Postfix
from tests.real.probing import Line, Run, probe

DOVECOT = ("imap-tls", "imap-starttls", "pop-tls", "pop-starttls")
POSTFIX = ("smtp-starttls", "smtp-tls")
STARTTLS = ("imap-starttls", "pop-starttls", "smtp-starttls")
OFFERED = {"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"}


@pytest.fixture(scope="module")
def round_(authority: Authority, dovecot: Dovecot, postfix: Postfix) -> Run:
    places = {
        "imap-tls": ("imap", dovecot.imap, "implicit"),
        "imap-starttls": ("imap", dovecot.imap_starttls, "starttls"),
        "pop-tls": ("pop", dovecot.pop, "implicit"),
        "pop-starttls": ("pop", dovecot.pop_starttls, "starttls"),
        "smtp-starttls": ("smtp", postfix.submission, "starttls"),
        "smtp-tls": ("smtp", postfix.implicit, "implicit"),
        "smtp-stripped": ("smtp", postfix.plain, "starttls"),
        "imap-on-starttls-port": ("imap", dovecot.imap_starttls, "implicit"),
        "starttls-on-imap-port": ("imap", dovecot.imap, "starttls"),
        "smtp-at-imap": ("smtp", dovecot.imap_starttls, "starttls"),
        "imap-at-smtp": ("imap", postfix.submission, "starttls"),
    }
    targets = [
        {"name": name, "protocol": protocol, "host": "localhost", "port": port, "tls": tls}
        for name, (protocol, port, tls) in places.items()
    ]
    return probe(targets, root_file=authority.root_file, timeout="5s")


def _auth(line: Line) -> tuple[str, str]:
    return line["auth"]["mechanism"], line["auth"]["outcome"]


@pytest.mark.parametrize("target", [*DOVECOT, *POSTFIX])
def test_a_foreign_greeting_is_unrecognized_and_the_conversation_goes_on(round_: Run, target: str):
    line = round_[target]
    assert (line["outcome"], line["failed_phase"]) == (Outcome.UNRECOGNIZED, Phase.GREETING)
    expected = dict.fromkeys(line.outcomes(), Outcome.OK)
    assert line.outcomes() == expected | {Phase.GREETING: Outcome.UNRECOGNIZED, Phase.AUTH: Outcome.UNRECOGNIZED}


@pytest.mark.parametrize("target", DOVECOT)
def test_the_greeting_is_told_as_sent(round_: Run, target: str):
    assert round_[target].phase(Phase.GREETING)["detail"].endswith(mail.GREETING)


def test_postfix_greeting_is_told_as_sent(round_: Run):
    assert round_["smtp-starttls"].phase(Phase.GREETING)["detail"] == f"220 {HOST_NAME} ESMTP Postfix"


@pytest.mark.parametrize("target", STARTTLS)
def test_starttls_comes_between_greeting_and_tls(round_: Run, target: str):
    order = list(round_[target].outcomes())
    assert order == ["dns", "connect", "greeting", "starttls", "tls", "capability", "auth"]


@pytest.mark.parametrize("target", [*DOVECOT, *POSTFIX])
def test_what_is_offered_is_reported_whole(round_: Run, target: str):
    commands = {"LOGIN_COMMAND"} if target in DOVECOT else set()  # SMTP has no login command
    assert set(round_[target]["auth"]["offered"]) == OFFERED | commands


@pytest.mark.parametrize("target", DOVECOT)
def test_the_challenge_dialogue_ends_in_a_refusal_that_is_not_microsofts(round_: Run, target: str):
    line = round_[target]
    assert _auth(line) == (Mechanism.TOKEN, AuthOutcome.REFUSED)
    assert line["auth"]["reply"].endswith("Authentication failed.")
    assert line["auth"]["reply"] == line.phase(Phase.AUTH)["detail"]


def test_postfix_refuses_after_its_own_challenge(round_: Run):
    line = round_["smtp-starttls"]
    assert _auth(line) == (Mechanism.TOKEN, AuthOutcome.REFUSED)
    assert line["auth"]["reply"].startswith("535 5.7.8 Error: authentication failed")
    assert "base64" not in line["auth"]["reply"]


def test_postfix_as_delivered_cannot_read_a_line_as_long_as_a_token(round_: Run):
    line = round_["smtp-tls"]
    assert _auth(line) == (Mechanism.TOKEN, AuthOutcome.REFUSED)
    assert line["auth"]["reply"].startswith("535 5.7.8")


@pytest.mark.parametrize("target", [*DOVECOT, "smtp-starttls"])
def test_a_refusal_held_back_longer_than_a_phase_is_no_timeout(round_: Run, target: str):
    seconds = round_[target].phase(Phase.AUTH)["seconds"]
    assert mail.REFUSAL_DELAY - 1 < seconds < 30


@pytest.mark.parametrize("target", [*DOVECOT, *POSTFIX])
def test_tls_is_what_was_negotiated(round_: Run, target: str, authority: Authority):
    tls = round_[target]["tls"]
    assert tls["version"] == "TLSv1.3"
    assert tls["cipher"].startswith("TLS_AES_")
    assert tls["group"] in ("x25519", "X25519MLKEM768")  # the latter where the server's OpenSSL knows it (3.5)
    assert (tls["trusted"], tls["genuine"]) == (True, True)
    assert tls["issuer_organization"] == "Real Servers Test"
    assert [each["subject"] for each in tls["chain"]] == [
        "CN=localhost,O=Real Servers Test",
        "CN=Real servers' test intermediate,O=Real Servers Test",
    ]


def test_stripped_starttls_is_not_offered_and_nothing_is_sent_in_clear(round_: Run):
    line = round_["smtp-stripped"]
    assert line.phase(Phase.STARTTLS)["outcome"] == Outcome.NOT_OFFERED
    behind = [line.phase(phase)["outcome"] for phase in (Phase.TLS, Phase.CAPABILITY, Phase.AUTH)]
    assert behind == [Outcome.SKIPPED] * 3
    assert line["auth"]["outcome"] is None


def test_tls_at_a_port_that_speaks_first_is_unexpected_content(round_: Run):
    line = round_["imap-on-starttls-port"]
    assert (line["outcome"], line["failed_phase"]) == (Outcome.UNEXPECTED_CONTENT, Phase.TLS)


def test_plain_text_at_a_tls_port_gets_no_greeting(round_: Run):
    line = round_["starttls-on-imap-port"]
    assert (line["outcome"], line["failed_phase"]) == (Outcome.TIMEOUT, Phase.GREETING)


def test_another_mail_protocol_is_unexpected_content(round_: Run):
    assert round_["smtp-at-imap"].phase(Phase.GREETING)["outcome"] == Outcome.UNEXPECTED_CONTENT
    assert round_["imap-at-smtp"].phase(Phase.GREETING)["outcome"] == Outcome.UNEXPECTED_CONTENT


def test_the_round_says_that_something_is_not_healthy(round_: Run):
    assert round_.status == 1
