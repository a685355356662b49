"""Accounts at Dovecot and Postfix, as a relay of one's own: right and wrong tokens and passwords, and who gets none."""

import asyncio
import base64
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from exporter.accounts.attempt import sign_in
from exporter.observations import AccountResult, as_json
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.probe.way import Deadline
from exporter.secret_files import Secret
from exporter.settings import Settings
from exporter.vocabulary import AuthOutcome, Cause, Mechanism, Outcome, Phase
from tests.accounts.leaks import Leaks
from tests.real import dovecot as mail
from tests.real.certificates import Authority
from tests.real.dovecot import Dovecot
from tests.real.postfix import Postfix

TARGETS = ("imap", "imap-starttls", "pop", "pop-starttls", "smtp")
Key = tuple[str, str]  # target, what was presented


@dataclass(slots=True)
class Relay:
    """The real servers as custom targets of a configuration whose roots are the test's own."""

    settings: Settings
    root_file: Path
    results: dict[Key, AccountResult] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    async def sign_in(self, target: str, name: str, secret: str, **more: Any) -> AccountResult:
        account = next(each for each in self.settings.accounts if each.name == name)
        with patch.dict(os.environ, {"SSL_CERT_FILE": str(self.root_file)}):
            tools = make_prober(self.settings, once=True).tools
        [vantage] = make_vantages(self.settings, {}, VantageProcesses())
        deadline = Deadline(time.monotonic() + 40)
        return await sign_in(
            account, self.settings.all_targets()[target], vantage, tools, Secret(secret.encode()), deadline=deadline, **more
        )  # fmt: skip


def configured(dovecot: Dovecot, postfix: Postfix, authority: Authority, *, genuine: bool = True) -> Relay:
    places = {
        "imap": ("imap", dovecot.imap, "implicit"),
        "imap-starttls": ("imap", dovecot.imap_starttls, "starttls"),
        "pop": ("pop", dovecot.pop, "implicit"),
        "pop-starttls": ("pop", dovecot.pop_starttls, "starttls"),
        "smtp": ("smtp", postfix.submission, "starttls"),
        "smtp-clear": ("smtp", postfix.plain, "starttls"),
    }
    custom = [
        {"name": name, "protocol": protocol, "host": "localhost", "port": port, "tls": tls}
        for name, (protocol, port, tls) in places.items()
    ]
    common = {"username": mail.USER, "targets": list(places)}
    token, password = {"kind": "oauth_work", "client_id": "app"}, {"kind": "app_password", "password_file": "/unread"}
    content: dict[str, Any] = {
        "probe": {"custom": custom, "timeout": "5s"},
        "accounts": [
            {"name": "token", **token, **common},
            {"name": "password", **password, **common},
            {"name": "intercepted", **token, **common, "allow_intercepted": True},
            {"name": "silent", **token, "username": mail.USER, "targets": ["imap_office365"]},
        ],
    }
    if genuine:
        content["identity"] = {"roots_file": str(authority.root_file)}
    return Relay(Settings(**content), authority.root_file)


@pytest.fixture(scope="module")
def relay(dovecot: Dovecot, postfix: Postfix, authority: Authority) -> Relay:
    """Everything presented everywhere, side by side: a real server holds refusals back for seconds."""
    made = configured(dovecot, postfix, authority)
    made.secrets = {
        "right": dovecot.token(),
        "expired": dovecot.token(lifetime=-timedelta(minutes=5)),
        "another's": dovecot.token(user="somebody.else@example.org"),
        "forged": dovecot.token()[:-40] + "A" * 40,
        "password": mail.PASSWORD,
        "wrong password": "n0t-the-right-one-at-all",
    }
    asyncio.run(_present_all(made))
    return made


async def _present_all(relay: Relay) -> None:
    tried = [(target, what) for target in TARGETS for what in relay.secrets]
    late = datetime.now(UTC) - timedelta(minutes=5)

    async def one(target: str, what: str) -> AccountResult:
        name = "password" if "password" in what else "token"
        more = {"expires_at": late} if what == "expired" else {}
        return await relay.sign_in(target, name, relay.secrets[what], **more)

    results = await asyncio.gather(*(one(*each) for each in tried))
    relay.results = dict(zip(tried, results, strict=True))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("what", ["right", "password"])
def test_what_is_right_is_accepted(relay: Relay, target: str, what: str):
    result = relay.results[target, what]
    assert (result.outcome, result.failed_phase, result.error) == (AuthOutcome.ACCEPTED, None, None), result
    assert result.mechanism is (Mechanism.TOKEN if what == "right" else Mechanism.PASSWORD)
    by_phase = {each.phase: each.outcome for each in result.phases}
    assert by_phase[Phase.GREETING] is Outcome.UNRECOGNIZED  # a relay's own words, and no fault of the sign-in
    assert by_phase[Phase.AUTH] is Outcome.OK
    assert (Phase.SESSION in by_phase) == target.startswith("imap")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("what", "cause"),
    [
        ("expired", Cause.TOKEN_EXPIRED),
        ("another's", Cause.CREDENTIALS_INVALID),
        ("forged", Cause.CREDENTIALS_INVALID),
        ("wrong password", Cause.PASSWORD_REFUSED),
    ],
)
def test_what_is_wrong_is_refused_and_explained_by_the_standard_codes(
    relay: Relay, target: str, what: str, cause: Cause
):
    result = relay.results[target, what]
    assert (result.outcome, result.failed_phase) == (AuthOutcome.REFUSED, Phase.AUTH), result
    assert result.cause is cause, result
    assert result.reply is not None


@pytest.mark.parametrize("target", TARGETS)
def test_a_refusal_held_back_is_no_timeout(relay: Relay, target: str):
    seconds = relay.results[target, "forged"].seconds
    assert seconds is not None
    assert mail.REFUSAL_DELAY - 1 < seconds < 30


def test_nothing_of_what_was_presented_is_in_the_results(relay: Relay):
    Leaks(relay.secrets).check((f"{key}", f"{as_json(result)} {result!r}") for key, result in relay.results.items())


async def test_no_secret_in_clear(relay: Relay):
    for name, what in (("token", "right"), ("password", "password")):
        result = await relay.sign_in("smtp-clear", name, relay.secrets[what])
        assert (result.outcome, result.failed_phase) == (AuthOutcome.UNKNOWN, Phase.STARTTLS)


async def test_a_relay_that_the_account_does_not_name_gets_nothing(relay: Relay):
    result = await relay.sign_in("imap", "silent", relay.secrets["right"])
    assert result.withheld == "withheld: the account doesn't name this target of your own"


async def test_a_relay_whose_root_is_not_in_the_file_gets_nothing(
    dovecot: Dovecot, postfix: Postfix, authority: Authority
):
    """This machine trusts it, as it trusts a company's interceptor: that isn't enough."""
    apart = configured(dovecot, postfix, authority, genuine=False)
    for target in TARGETS:
        result = await apart.sign_in(target, "token", dovecot.token())
        assert result.withheld == (
            "withheld: the certificate chains to no root of identity.roots_file (issued by Real Servers Test)"
        )
        assert result.outcome is AuthOutcome.UNKNOWN
    allowed = await apart.sign_in("imap", "intercepted", dovecot.token())
    assert allowed.outcome is AuthOutcome.ACCEPTED


async def test_a_name_that_the_certificate_does_not_have_gets_nothing(
    dovecot: Dovecot, postfix: Postfix, authority: Authority
):
    relay = configured(dovecot, postfix, authority)
    content = relay.settings.model_dump(exclude_unset=True)
    content["probe"]["custom"][0]["host"] = "127.0.0.2"
    relay.settings = Settings(**content)
    result = await relay.sign_in("imap", "token", dovecot.token())
    assert result.outcome is AuthOutcome.UNKNOWN
    assert result.withheld is not None or result.failed_phase is Phase.CONNECT


def test_the_password_never_went_out_as_a_token_nor_the_token_as_a_password(relay: Relay):
    plain = base64.b64encode(f"\0{mail.USER}\0{relay.secrets['right']}".encode()).decode()
    assert all(plain not in as_json(result) for result in relay.results.values())
