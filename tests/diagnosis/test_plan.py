"""Few experiments, never a storm: representatives, budgets, and what is compared with what."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue import TARGETS
from exporter.diagnosis.experiments import programs
from exporter.diagnosis.experiments.budget import PER_ROUND, ExperimentBudget
from exporter.diagnosis.experiments.plan import REPRESENTATIVES, Experimenting, representatives
from exporter.observations import AddressResult
from exporter.probe.identity import Roots
from exporter.probe.resolve import NameService
from exporter.probe.tls import TlsClient
from exporter.probe.vantage import LocalSockets
from exporter.probe.walk import Tools, Vantage
from exporter.protocols.replies import Replies
from exporter.vocabulary import Outcome, Phase
from tests.diagnosis.made import CLIENTS, FORGED, NOON, WAN, broken, marked, others, seen, took, walk

RESOLVERS = {"clients": ("10.0.0.53", 53), "wan": ("9.9.9.9", 53)}


def vantage(name: str) -> Vantage:
    return Vantage(name=name, names=NameService(hosts={}, resolvers=[RESOLVERS[name]], sockets=LocalSockets()))


@pytest.fixture(scope="module")
def tools() -> Tools:
    return Tools(
        tls=TlsClient(), roots=Roots.built_in(), replies=Replies.load(), clock=lambda: 0.0, wall_clock=lambda: NOON,
        timeout=5.0,
    )  # fmt: skip


@pytest.fixture
def work(tools) -> Experimenting:
    return Experimenting(
        tools=tools, targets=TARGETS, vantages=[vantage("clients"), vantage("wan")], budget=ExperimentBudget(120)
    )


def placed(probe, number: int):
    """At an address of its own."""
    address = f"52.97.0.{number}"
    return replace(probe, address=address, addresses=(AddressResult(address=address, outcome=Outcome.OK),))


def everything(phase: Phase, outcome: Outcome):
    probes = [broken(name, phase, outcome) for name in TARGETS if any(r.phase is phase for r in walk(name).phases)]
    return [placed(probe, number) for number, probe in enumerate(probes)]


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.RESET])
@pytest.mark.parametrize("phase", [Phase.DNS, Phase.CONNECT, Phase.TLS])
def test_when_everything_is_down_three_of_a_kind_are_looked_into(work, phase, outcome):
    chosen = representatives(work.troubles(seen(*everything(phase, outcome))))
    assert len(chosen) == REPRESENTATIVES
    assert len({trouble.probe.port for trouble in chosen}) == 3  # as different as they come


def test_faults_that_share_their_addresses_are_looked_into_once(work):
    same = [replace(broken("activesync", Phase.TLS, Outcome.RESET), target=name) for name in ("activesync", "graph")]
    assert len(representatives(work.troubles(seen(*same)))) == 1


def test_each_vantage_and_kind_counts_for_itself(work):
    both = [broken("imap", Phase.TLS, Outcome.RESET, vantage=v) for v in ("clients", "wan")]
    other = broken("pop", Phase.TLS, Outcome.TIMEOUT)
    kinds = Counter(trouble.kind for trouble in work.troubles(seen(*both, other)))
    assert len(kinds) == 3


@pytest.mark.parametrize(
    ("probe", "program"),
    [
        (broken("imap", Phase.DNS, Outcome.NAME_NOT_FOUND), programs.names),
        (broken("imap", Phase.CONNECT, Outcome.TIMEOUT), programs.reach),
        (broken("imap", Phase.TLS, Outcome.RESET), programs.hello),
        (marked(walk(tls=FORGED), Phase.TLS, Outcome.CERTIFICATE_UNTRUSTED), programs.certificate),
        (walk(tls=FORGED), programs.certificate),
        (broken("imap", Phase.AUTH, Outcome.RESET), programs.auth),
        (broken("imap", Phase.AUTH, Outcome.UNAVAILABLE), programs.talk),
        (broken("outlook_web", Phase.HTTP, Outcome.UNEXPECTED_CONTENT, "HTTP 403 <html>"), programs.page),
        (took(walk("sign_in_work"), token=4.0), programs.late),
        (took(walk(), tls=2.0), programs.slow),
        (
            walk(addresses=(AddressResult(address="52.97.1.1", outcome=Outcome.OK),
                            AddressResult(address="52.97.1.2", outcome=Outcome.TIMEOUT))),
            programs.addresses,
        ),
    ],
)  # fmt: skip
def test_which_program_for_which_trouble(work, probe, program):
    assert [trouble.program for trouble in work.troubles(seen(probe))] == [program]


def test_health_and_what_a_caller_cut_call_for_nothing(work):
    cut = walk(outcome=Outcome.SKIPPED, failed_phase=Phase.TLS)
    assert list(work.troubles(seen(*others(), cut))) == []


def test_a_canary_kept_from_an_earlier_round_is_not_looked_into_again(work):
    probe = broken("imap", Phase.AUTH, Outcome.RESET)
    kept = replace(
        probe, phases=tuple(replace(r, measured_at=NOON) if r.phase is Phase.AUTH else r for r in probe.phases)
    )
    assert list(work.troubles(seen(kept))) == []


def test_what_is_compared_with_what(work):
    failed = broken("sign_in_work", Phase.TLS, Outcome.RESET)
    round_ = seen(failed, *others("clients", "sign_in_work"), *others("wan"), facts=[CLIENTS, WAN])
    (trouble,) = work.troubles(round_)
    around = work._around(round_, trouble)
    assert around.resolvers == (RESOLVERS["wan"],)  # the other vantage's, not its own
    assert around.passes_elsewhere
    assert not any(name.endswith("microsoftonline.com") for name in around.names)
    assert {place.host for place in around.places} >= {"imap-mail.outlook.com", "outlook.live.com"}
    assert [each.name for each in around.independent] == ["wan"]


def test_other_ports_of_the_host_are_the_catalogues(work):
    failed = broken("imap_office365", Phase.CONNECT, Outcome.TIMEOUT)
    (trouble,) = work.troubles(seen(failed))
    assert set(work._around(seen(failed), trouble).other_ports) == {995, 443}


# --- budgets


def test_a_rounds_share_and_an_hours():
    budget = ExperimentBudget(100, per_round=60)
    budget.begin_round()
    assert budget.take(60, 0.0)
    assert not budget.take(1, 0.0)
    budget.begin_round()
    assert not budget.take(60, 10.0)
    assert budget.take(40, 10.0)
    assert budget.remaining(10.0) == 0
    assert budget.remaining(3_601.0) == 60


def test_less_than_one_an_hour():
    budget = ExperimentBudget(0.5)
    assert budget.take(1, 0.0)
    budget.begin_round()
    assert not budget.take(1, 3_700.0)
    assert budget.take(1, 7_201.0)


def test_a_reload_gives_no_new_budget():
    first, second = ExperimentBudget(10), ExperimentBudget(10)
    first.take(10, 0.0)
    second.continue_from(first)
    assert not second.take(1, 1.0)


@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0, 900)), max_size=60), st.integers(1, 200))
def test_no_hour_has_more_than_its_budget(takes, per_hour):
    budget, now, spent = ExperimentBudget(per_hour), 0.0, []
    for count, later in takes:
        now += later
        budget.begin_round()
        if budget.take(count, now):
            spent += [now] * count
    for moment in spent:
        assert sum(moment <= other < moment + 3_600 for other in spent) <= per_hour


def test_the_contracts_limits():
    assert PER_ROUND == 60
    assert REPRESENTATIVES == 3
