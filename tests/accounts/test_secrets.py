"""Secrets come out nowhere: whatever a server repeats, whatever breaks, whatever is printed, logged, kept or inherited."""

import asyncio
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from exporter.accounts.attempt import without_token
from exporter.accounts.errors import TokenError, explain
from exporter.lab.behaviour import Reply
from exporter.lab.imap_server import ImapServer
from exporter.lab.pop_server import PopServer
from exporter.lab.smtp_server import SmtpServer
from exporter.metrics.account_tally import AccountPlan
from exporter.metrics.accounts import AccountsState
from exporter.metrics.exposition import OPENMETRICS, Exposition
from exporter.observations import AccountResult, TokenUse, as_json
from exporter.probe.record import Recorder
from exporter.probe.tls import TlsStream
from exporter.probe.walk import walk
from exporter.probe.way import Deadline
from exporter.state import State
from exporter.vocabulary import AccountKind, Mechanism
from exporter.web.page import StatusPage
from tests.accounts.leaks import Leaks
from tests.accounts.made import account, presenter
from tests.accounts.worlds import EVERYWHERE, ME, PASSWORD, PRINTER, TOKEN, World, world
from tests.web.client import ScriptedControl

USER = "wilhelmina.tell@contoso.example"
REFRESH, CLIENT_SECRET = "1.AXoA" + "rEfr3sh" * 40, "Qz8~" + "cl13ntS3cr3t" * 3
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEF\n" * 8 + "-----END PRIVATE KEY-----"
PLANTED = {
    "access token": TOKEN,
    "refresh token": REFRESH,
    "client secret": CLIENT_SECRET,
    "password": PASSWORD,
    "private key": PRIVATE_KEY.split("\n", 1)[1],
    "user": USER,
}
LEAKS = Leaks(PLANTED)


def test_the_search_finds_what_it_looks_for():
    for name, secret in PLANTED.items():
        for text in (secret, f"x{secret[3:20]}y", secret.upper(), secret.encode().hex(), repr({"a": secret})):
            assert name in LEAKS.in_text(text), name
    assert LEAKS.in_text(__import__("base64").b64encode(f"user={USER}\x01auth=Bearer {TOKEN}".encode())) == {
        "user", "access token",
    }  # fmt: skip
    assert LEAKS.in_text("a2 NO AUTHENTICATE failed. <user> <secret>") == set()


# --- servers that repeat what they were told


def repeated(text: str) -> list[str]:
    """Ways in which servers repeat a line: whole, cut, in capitals, quoted."""
    return [text, text[:300], text.upper(), f'"{text}"', text[40:120]]


@pytest.fixture(params=range(5), ids=["whole", "cut", "capitals", "quoted", "part"])
async def parrot(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A lab whose servers repeat a credential in their refusals."""
    way: int = request.param

    def imap(self: ImapServer, tag: str, _mechanism: str, response: str) -> Reply:
        return self.say(f"{tag} NO I don't know {repeated(response)[way]} of {USER}")

    def smtp(self: SmtpServer, _mechanism: str, line: str) -> Reply:
        return self.say(f"535 5.7.8 {repeated(line)[way]} is no credential of {USER}")

    def pop(self: PopServer, line: str) -> Reply:
        return self.say(f"-ERR {repeated(line)[way]}")

    monkeypatch.setattr(ImapServer, "_credential", imap)
    monkeypatch.setattr(SmtpServer, "_response", smtp)
    monkeypatch.setattr(PopServer, "_token", pop)
    async with world(tmp_path, {**ME, "username": USER}, {**PRINTER, "username": USER}) as lab:
        lab.lab.outlook.behaviour.valid_tokens.clear()
        yield lab


async def all_sign_ins(lab: World) -> list[tuple[str, AccountResult]]:
    results = [(target, await lab.sign_in(target)) for target in EVERYWHERE]
    return [*results, ("smtp_office365", await lab.sign_in("smtp_office365", PASSWORD, account="printer"))]


def shown(results: list[tuple[str, AccountResult]], errors: list[TokenError]) -> Iterator[tuple[str, str | bytes]]:
    """Everything that is made of sign-ins and refusals: JSON, metrics, the page, the listing, repr."""
    accounts = AccountsState()
    now, targets = datetime(2026, 11, 24, tzinfo=UTC), tuple(target for target, _ in results)
    accounts.configure(
        AccountPlan(
            name=name, kind=kind, mechanism=mechanism, targets=targets, vantages=("clients",), grants=("refresh_token",)
        )
        for name, kind, mechanism in (
            ("me", AccountKind.OAUTH_PERSONAL, Mechanism.TOKEN),
            ("printer", AccountKind.APP_PASSWORD, Mechanism.PASSWORD),
        )
    )
    for error in errors:
        yield "refusal", repr(error)
        yield "explanation", repr(explain(error))
        results = [*results, ("imap", without_token(account(), error, now, TokenUse(source="identity_provider")))]
    for target, result in results:
        accounts.record_sign_in(target, "clients", result, now)
        yield f"JSON of {target}", as_json(result)
        yield f"repr of {target}", repr(result)
    state = State()
    state.sources["accounts"], state.listings["accounts"] = accounts, accounts.standings
    exposition = Exposition(state)
    yield "metrics", exposition.page("").body
    yield "OpenMetrics", exposition.page(OPENMETRICS).body
    yield "page", StatusPage(state, ScriptedControl(), protected=True).html()
    yield "listing", "".join(as_json(each) for each in accounts.standings())
    yield "repr of the state", repr(vars(accounts))


async def test_what_a_server_repeats_comes_out_nowhere(parrot: World):
    results = await all_sign_ins(parrot)
    assert parrot.lab.counts["bearer"] == 2  # they did reach the servers
    LEAKS.check(shown(results, []))


@pytest.mark.parametrize(
    "text", [USER, USER.upper(), "wilhelmina.tell%40contoso.example", f"'{USER}'", REFRESH, CLIENT_SECRET]
)
def test_what_an_identity_provider_repeats_comes_out_nowhere(text: str):
    responses: list[dict[str, Any]] = [
        {"error": "invalid_grant", "error_codes": [50034],
         "error_description": f"AADSTS50034: The user account {text} does not exist in the directory."},
        {"error": "brand_new", "error_codes": [999999], "error_description": f"AADSTS999999: {text} and nothing else"},
        {"error": text, "suberror": text, "error_description": text},
    ]  # fmt: skip
    hide = (USER, USER.replace("@", "%40"), REFRESH, CLIENT_SECRET)
    errors = [TokenError.of_response(response, 400, hide=hide) for response in responses]
    LEAKS.check(shown([], errors))


# --- logs, tracebacks, repr


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """All records of all loggers at every level, structlog's too, and asyncio's own in its debug mode."""
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.getMessage()} {record.__dict__}")

    root, handler = logging.getLogger(), Collect(level=0)
    before = root.level
    root.addHandler(handler)
    root.setLevel(1)
    with structlog.testing.capture_logs() as captured:
        try:
            yield lines
        finally:
            root.removeHandler(handler)
            root.setLevel(before)
            lines += map(repr, captured)


async def test_logs_at_every_level(tmp_path: Path):
    asyncio.get_running_loop().set_debug(True)
    asyncio.get_running_loop().slow_callback_duration = 0.0  # every callback is logged as slow
    async with world(tmp_path, {**ME, "username": USER}, {**PRINTER, "username": USER}) as lab:
        with everything_logged() as lines:
            await all_sign_ins(lab)
            await lab.lab.set_fault("auth_dropped")
            await all_sign_ins(lab)
    assert lines
    LEAKS.check(("log", line) for line in lines)


async def test_tracebacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of an error that nobody foresaw, in the middle of sending: as Python and every logger of ours print it."""

    async def broken(self: TlsStream, data: bytes) -> float:
        if TOKEN.encode()[:8] in data or b"XOAUTH2" in data:
            try:
                raise RuntimeError("something nobody foresaw")
            except RuntimeError as error:
                raised.append(error)
                raise
        return await original(self, data)

    original, raised = TlsStream.send, list[RuntimeError]()
    monkeypatch.setattr(TlsStream, "send", broken)
    async with world(tmp_path, {**ME, "username": USER}) as lab:
        for target in ("imap", "graph"):
            with everything_logged() as lines:
                await lab.sign_in(target)
                logging.getLogger("job").error("failed", exc_info=raised[-1])
            LEAKS.check([("traceback", "".join(traceback.format_exception(raised.pop())))])
            LEAKS.check(("log", line) for line in lines)


def test_no_logger_or_traceback_of_ours_shows_locals():
    sources = "\n".join(path.read_text() for path in Path("exporter").rglob("*.py"))
    for what in ("show_locals", "capture_locals", "rich.traceback", "dict_tracebacks", "ExceptionRenderer", "cgitb"):
        assert what not in sources, what


def test_repr_format_and_pickle():
    presents = presenter(secret=TOKEN, user=USER)
    for made in (presents.owned.secret, presents.scrubber):
        LEAKS.check([("repr", f"{made!r} {made} {made:>10}" if made is presents.owned.secret else f"{made!r} {made}")])
    with pytest.raises(TypeError):
        pickle.dumps(presents.owned.secret)


# --- recordings, children, memory


async def test_a_real_sign_in_is_never_recorded(tmp_path: Path):
    async with world(tmp_path, {**ME, "username": USER}) as lab:
        recorder, presents = Recorder(), presenter(secret=TOKEN, user=USER)
        target = lab.settings.all_targets()["imap"]
        deadline = Deadline(lab.tools.clock() + 20)
        await walk(
            target, target.host, lab.vantages["clients"], lab.tools, deadline=deadline, presenter=presents,
            recorder=recorder,
        )  # fmt: skip
        assert presents.presented
        assert recorder.said == []
