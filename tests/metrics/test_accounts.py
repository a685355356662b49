"""The accounts' metrics, history and standing, as the job feeds them; read by prometheus_client's own parser."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.accounts.errors import TokenError
from exporter.metrics.account_tally import HISTORY, AccountPlan, token_outcome
from exporter.metrics.accounts import AccountsState, AccountStanding
from exporter.metrics.catalogue import METRICS, Part
from exporter.metrics.exposition import Exposition
from exporter.observations import AccountResult, PhaseResult, as_json
from exporter.state import State
from exporter.vocabulary import AccountKind, AuthOutcome, Cause, Mechanism, Outcome, Phase, Responsible
from tests.metrics.made import NOON

PERSONAL = AccountPlan(
    name="me",
    kind=AccountKind.OAUTH_PERSONAL,
    mechanism=Mechanism.TOKEN,
    targets=("imap", "smtp"),
    vantages=("clients", "wan"),
    grants=("refresh_token",),
)
PRINTER = AccountPlan(
    name="printer",
    kind=AccountKind.APP_PASSWORD,
    mechanism=Mechanism.PASSWORD,
    targets=("smtp_office365",),
    vantages=("wan",),
)
LATER = NOON + timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Token:
    """What the job says of a token; the fields that count."""

    account: str = "me"
    vantage: str = "clients"
    grant: str = "refresh_token"
    source: str = "identity_provider"
    expires_at: datetime | None = LATER
    seconds: float | None = 0.4
    phases: tuple[PhaseResult, ...] = ()
    error: TokenError | None = None
    withheld: str | None = None
    reached: bool = True


REVOKED = TokenError(error="invalid_grant", codes=(50173,), description="AADSTS50173: revoked", http_status=400)
ODD = TokenError(error="brand_new", description="never heard of", http_status=400)
TIMED_OUT = Token(
    reached=False,
    seconds=None,
    expires_at=None,
    phases=(PhaseResult(phase=Phase.CONNECT, outcome=Outcome.TIMEOUT, detail="nothing within 5 s"),),
)


def refused(error: TokenError, **more: str) -> Token:
    return Token(expires_at=None, error=error, **more)  # type: ignore[arg-type]


def accepted(name: str = "me", mechanism: Mechanism = Mechanism.TOKEN) -> AccountResult:
    return AccountResult(name=name, mechanism=mechanism, outcome=AuthOutcome.ACCEPTED, seconds=0.7)


NOT_CONNECTED = AccountResult(
    name="me",
    mechanism=Mechanism.TOKEN,
    outcome=AuthOutcome.ACCEPTED,
    failed_phase=Phase.SESSION,
    cause=Cause.MAILBOX_UNAVAILABLE,
    responsible=Responsible.ACCOUNT,
    acts="administrator",
    error="The mailbox can't be opened.",
    seconds=0.7,
)
WITHHELD = AccountResult(
    name="me",
    mechanism=Mechanism.TOKEN,
    outcome=AuthOutcome.UNKNOWN,
    withheld="withheld: the certificate isn't Microsoft's",
    error="withheld: the certificate isn't Microsoft's",
)


@pytest.fixture
def state() -> AccountsState:
    made = AccountsState()
    made.configure([PERSONAL, PRINTER])
    return made


def page(accounts: AccountsState) -> dict[str, float]:
    """Every sample of the accounts' on the page, as Prometheus reads it."""
    state = State()
    state.sources["accounts"] = accounts
    text = Exposition(state).page("").body.decode()
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(("outlook_account", "outlook_token"))
    }


def value(accounts: AccountsState, name: str, **labels: str) -> float | None:
    return page(accounts).get(f"outlook_{name}{sorted(labels.items())}")


def test_what_can_be_foreseen_begins_at_zero(state: AccountsState):
    here = {"account": "me", "vantage": "wan"}
    auth = {**here, "target": "imap", "mechanism": "token"}
    assert value(state, "account_auth_results_total", **auth, outcome="accepted") == 0
    assert value(state, "account_auth_results_total", **auth, outcome="refused") == 0
    assert value(state, "token_requests_total", **here, grant="refresh_token", outcome="ok") == 0
    assert value(state, "token_requests_total", **here, grant="refresh_token", outcome="rejected") == 0
    assert value(state, "token_errors_total", **here, error="other") == 0
    assert value(state, "account_auth_success", **auth) is None
    assert value(state, "token_expiry_timestamp_seconds", account="me") is None
    assert not any("token" in name and "printer" in name for name in page(state) if "mechanism" not in name)


def test_a_token_that_was_got(state: AccountsState):
    state.record_token(Token(), NOON)
    labels = {"account": "me", "vantage": "clients", "grant": "refresh_token"}
    assert value(state, "token_requests_total", **labels, outcome="ok") == 1
    assert value(state, "token_request_seconds_count", **labels) == 1
    assert value(state, "token_request_seconds_bucket", **labels, le="0.25") == 0
    assert value(state, "token_request_seconds_bucket", **labels, le="0.5") == 1
    assert value(state, "token_expiry_timestamp_seconds", account="me") == LATER.timestamp()
    assert value(state, "token_last_success_timestamp_seconds", account="me") == NOON.timestamp()


def test_one_from_the_cache_is_no_request(state: AccountsState):
    state.record_token(Token(source="cache", seconds=0.001, reached=False), NOON)
    labels = {"account": "me", "vantage": "clients", "grant": "refresh_token"}
    assert value(state, "token_requests_total", **labels, outcome="ok") == 0
    assert value(state, "token_request_seconds_count", **labels) == 0
    assert value(state, "token_last_success_timestamp_seconds", account="me") is None
    assert value(state, "token_expiry_timestamp_seconds", account="me") == LATER.timestamp()


def test_refusals_are_counted_by_number_else_other_and_timed(state: AccountsState):
    for error in (REVOKED, REVOKED, ODD):
        state.record_token(refused(error), NOON)
    labels = {"account": "me", "vantage": "clients"}
    assert value(state, "token_errors_total", **labels, error="50173") == 2
    assert value(state, "token_errors_total", **labels, error="other") == 1
    assert value(state, "token_requests_total", **labels, grant="refresh_token", outcome="rejected") == 3
    assert value(state, "token_request_seconds_count", **labels, grant="refresh_token") == 3
    assert value(state, "token_expiry_timestamp_seconds", account="me") is None


def test_what_never_reached_the_identity_provider_is_counted_by_its_phase_and_not_timed(state: AccountsState):
    state.record_token(TIMED_OUT, NOON)
    labels = {"account": "me", "vantage": "clients", "grant": "refresh_token"}
    assert value(state, "token_requests_total", **labels, outcome="timeout") == 1
    assert value(state, "token_request_seconds_count", **labels) == 0
    [failure] = state.standings()[0].failing
    assert failure.words == "the token request failed: connect: timeout (nothing within 5 s)"


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (Token(), Outcome.OK),
        (refused(REVOKED), Outcome.REJECTED),
        (refused(TokenError(error="temporarily_unavailable", http_status=429)), Outcome.THROTTLED),
        (refused(TokenError(error="temporarily_unavailable", codes=(90033,))), Outcome.UNAVAILABLE),
        (TIMED_OUT, Outcome.TIMEOUT),
        (Token(reached=False, expires_at=None), Outcome.UNRECOGNIZED),
    ],
)
def test_how_a_token_request_ended(result: Token, outcome: Outcome):
    assert token_outcome(result) is outcome


def test_a_withheld_token_request_left_nothing_but_its_reason(state: AccountsState):
    state.record_token(Token(withheld="withheld: not Microsoft's", reached=False, expires_at=None), NOON)
    assert (
        value(state, "token_requests_total", account="me", vantage="clients", grant="refresh_token", outcome="ok") == 0
    )
    [failure] = state.standings()[0].failing
    assert (failure.label, failure.words) == ("withheld", "withheld: not Microsoft's")


def test_sign_ins(state: AccountsState):
    state.record_sign_in("imap", "clients", accepted(), NOON)
    labels = {"account": "me", "target": "imap", "vantage": "clients"}
    assert value(state, "account_auth_success", **labels, mechanism="token") == 1
    assert value(state, "account_auth_results_total", **labels, mechanism="token", outcome="accepted") == 1
    assert value(state, "account_auth_seconds_count", **labels) == 1
    state.record_sign_in("imap", "clients", NOT_CONNECTED, LATER)
    assert value(state, "account_auth_success", **labels, mechanism="token") == 0  # a mailbox that doesn't open is none
    assert value(state, "account_auth_results_total", **labels, mechanism="token", outcome="accepted") == 2
    assert state.results_at("imap", "clients") == (NOT_CONNECTED,)
    assert state.results_at("imap", "wan") == ()


def test_a_withheld_secret_was_no_sign_in(state: AccountsState):
    state.record_sign_in("imap", "clients", WITHHELD, NOON)
    labels = {"account": "me", "target": "imap", "vantage": "clients", "mechanism": "token"}
    assert value(state, "account_auth_success", **labels) == 0
    assert value(state, "account_auth_results_total", **labels, outcome="unknown") is None


def test_where_there_was_no_token_nothing_was_signed_in_and_it_is_told_once(state: AccountsState):
    state.record_token(refused(REVOKED), NOON)
    no_token = AccountResult(
        name="me", mechanism=Mechanism.TOKEN, outcome=AuthOutcome.REFUSED, failed_phase=Phase.TOKEN, error="revoked"
    )
    for target in ("imap", "smtp"):
        state.record_sign_in(target, "clients", no_token, NOON)
    labels = {"account": "me", "target": "imap", "vantage": "clients", "mechanism": "token"}
    assert value(state, "account_auth_success", **labels) == 0
    assert value(state, "account_auth_results_total", **labels, outcome="refused") == 0
    assert [each.target for each in state.standings()[0].failing] == [None]
    assert state.results_at("imap", "clients") == (no_token,)


def test_a_password_has_its_own_mechanism(state: AccountsState):
    state.record_sign_in("smtp_office365", "wan", accepted("printer", Mechanism.PASSWORD), NOON)
    labels = {"account": "printer", "target": "smtp_office365", "vantage": "wan", "mechanism": "password"}
    assert value(state, "account_auth_success", **labels) == 1


def test_when_a_credential_expires(state: AccountsState):
    state.record_credential_expiry("me", LATER)
    assert value(state, "account_credential_expiry_timestamp_seconds", account="me") == LATER.timestamp()
    state.record_credential_expiry("me", None)
    assert value(state, "account_credential_expiry_timestamp_seconds", account="me") is None


def test_what_isnt_configured_leaves_no_trace(state: AccountsState):
    before = page(state)
    state.record_token(Token(account="stranger"), NOON)
    state.record_token(Token(vantage="elsewhere"), NOON)
    state.record_sign_in("imap", "clients", accepted("stranger"), NOON)
    state.record_sign_in("pop", "clients", accepted(), NOON)
    state.record_credential_expiry("stranger", NOON)
    assert page(state) == before


def test_history_tells_each_failure_once_with_its_count_and_its_end(state: AccountsState):
    for minute in range(5):
        state.record_token(refused(REVOKED), NOON + timedelta(minutes=minute))
    state.record_sign_in("imap", "clients", NOT_CONNECTED, NOON)
    me = state.standings()[0]
    assert [(each.target, each.label, each.count) for each in me.failing] == [
        (None, "50173", 5), ("imap", Cause.MAILBOX_UNAVAILABLE, 1),
    ]  # fmt: skip
    token = me.failing[0]
    assert (token.first, token.last) == (NOON, NOON + timedelta(minutes=4))
    assert (token.acts, token.responsible) == ("user", Responsible.ACCOUNT)
    state.record_token(Token(), LATER)
    state.record_sign_in("imap", "clients", accepted(), LATER)
    me = state.standings()[0]
    assert (me.failing, me.signed_in, me.places) == ((), 1, 1)
    assert [each.label for each in me.history] == [Cause.MAILBOX_UNAVAILABLE, "50173"]
    state.record_token(refused(REVOKED), LATER)
    assert [each.count for each in state.standings()[0].history] == [1, 1, 5]


def test_history_is_bounded(state: AccountsState):
    for number in range(3 * HISTORY):
        state.record_token(refused(REVOKED if number % 2 else ODD), NOON)
    assert len(state.standings()[0].history) == HISTORY


def test_a_reload_keeps_what_stays_and_forgets_the_rest(state: AccountsState):
    state.record_token(Token(), NOON)
    state.record_sign_in("imap", "clients", accepted(), NOON)
    state.record_sign_in("smtp", "wan", NOT_CONNECTED, NOON)
    smaller = AccountPlan(
        name="me", kind=PERSONAL.kind, mechanism=Mechanism.TOKEN, targets=("imap",), vantages=("clients",),
        grants=("refresh_token",),
    )  # fmt: skip
    state.configure([smaller])
    labels = {"account": "me", "target": "imap", "vantage": "clients", "mechanism": "token"}
    assert value(state, "account_auth_success", **labels) == 1
    assert not any("'smtp'" in name or "'wan'" in name or "printer" in name for name in page(state))
    assert state.standings()[0].failing == ()
    other = AccountPlan(
        name="me", kind=AccountKind.OAUTH_WORK, mechanism=Mechanism.TOKEN, targets=("imap",), vantages=("clients",)
    )
    state.configure([other])
    assert value(state, "account_auth_success", **labels) is None


def test_what_was_rendered_is_kept_until_something_happens(state: AccountsState):
    version = state.version()
    assert state.version() is version
    state.record_token(Token(), NOON)
    assert state.version() is not version


def test_every_metric_of_the_accounts_part_is_yielded_and_no_other(state: AccountsState):
    state.record_token(Token(), NOON)
    state.record_sign_in("imap", "clients", accepted(), NOON)
    state.record_credential_expiry("me", LATER)
    names = {sample.metric for sample in state.samples()}
    assert names == {metric.name for metric in METRICS.values() if metric.part is Part.ACCOUNTS}
    for sample in state.samples():
        labels = {name for name, _ in sample.labels} - {"le"}
        assert labels == set(METRICS[sample.metric].labels)


def test_a_standing_prints_as_json(state: AccountsState):
    state.record_token(refused(REVOKED), NOON)
    for standing in state.standings():
        assert isinstance(standing, AccountStanding)
        assert f'"name":"{standing.name}"' in as_json(standing)


def test_written_by_one_thread_and_read_by_another(state: AccountsState):
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(len(list(state.samples())) + len(state.standings()))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        state.record_token(refused(REVOKED) if number % 3 else Token(), NOON)
        state.configure([PERSONAL, PRINTER] if number % 2 else [PERSONAL])
    done.set()
    reader.join(10)
    assert seen
