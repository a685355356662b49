"""Rounds against the embedded Outlook.com: every fault's symptom, the kept canary, the clock, and deadlines."""

import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exporter.catalogue import TARGETS
from exporter.lab.lab import Lab
from exporter.observations import Probe as ProbeObservation
from exporter.observations import as_json, from_json
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.probe.tls import TlsClient
from exporter.probe.way import Deadline
from exporter.settings import Settings
from exporter.vocabulary import AuthOutcome, Mechanism, Outcome, Phase

MAIL = {"imap", "smtp", "pop"}


class Lap:
    """A lab, and a prober pointed at it."""

    def __init__(self, lab: Lab, *, once: bool = True, timeout: float = 2.0) -> None:
        content = lab.configuration()
        content["probe"]["timeout"] = timeout
        self.lab, self.settings = lab, Settings(**content)
        self.vantages = make_vantages(self.settings, {}, VantageProcesses())
        self.prober = make_prober(self.settings, once=once)
        self.trust(lab)

    def trust(self, lab: Lab) -> None:
        self.prober.tools = replace(self.prober.tools, tls=TlsClient(lab.trust_store()))

    async def round(self, *names: str) -> dict[tuple[str, str], ProbeObservation]:
        targets = [target for name, target in self.settings.targets().items() if not names or name in names]
        found = {}
        async for walked in self.prober.round(targets, self.vantages):
            found[walked.probe.target, walked.probe.vantage] = walked.probe
        return found


@pytest.fixture
async def lab(tmp_path):
    async with Lab.start(tmp_path) as started:
        yield started


async def test_all_is_well(lab):
    probes = await Lap(lab).round()
    assert set(probes) == {(target, vantage) for target in TARGETS for vantage in ("clients", "wan")}
    assert {probe.outcome for probe in probes.values()} == {Outcome.OK}
    imap = probes["imap", "clients"]
    assert [result.phase for result in imap.phases] == ["dns", "connect", "tls", "greeting", "capability", "auth"]
    assert imap.auth.outcome is AuthOutcome.EXPECTED_REFUSAL
    assert imap.tls is not None
    assert (imap.tls.trusted, imap.tls.genuine, imap.tls.version) == (True, True, "TLSv1.2")
    assert imap.tls.cipher == "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    sign_in = probes["sign_in_work", "wan"].tls
    assert sign_in is not None
    assert (sign_in.version, sign_in.cipher, sign_in.group) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384", "secp384r1")
    assert len(imap.tls.chain) == 2
    smtp = probes["smtp", "wan"]
    assert [result.phase for result in smtp.phases][2:5] == ["greeting", "starttls", "tls"]
    assert abs(smtp.clock_skew_seconds or 9) < 2


async def test_json_round_trip(lab):
    for probe in (await Lap(lab).round("imap", "sign_in_assets")).values():
        assert from_json(ProbeObservation, as_json(probe)) == probe


#: fault → (a target at the clients' side, outcome, failed phase)
SYMPTOMS = {
    "dns_failure": ("imap", "name_not_found", "dns"),
    "dns_redirected": ("sign_in_work", "address_suspicious", "dns"),
    "tcp_dropped": ("pop", "timeout", "connect"),
    "tcp_reset": ("imap", "refused", "connect"),
    "sni_reset": ("sign_in_work", "reset", "tls"),
    "sni_dropped": ("sign_in_personal", "timeout", "tls"),
    "tls_reset": ("imap", "reset", "tls"),
    "large_hello_dropped": ("imap", "timeout", "tls"),
    "tls_intercepted": ("activesync", "certificate_untrusted", "tls"),
    "tls_version_blocked": ("outlook_web", "protocol_version_refused", "tls"),
    "starttls_stripped": ("smtp", "not_offered", "starttls"),
    "mtu_blackhole": ("imap", "timeout", "tls"),
    "auth_mechanism_stripped": ("imap", "not_offered", "capability"),
    "protocol_rewritten": ("smtp", "unrecognized", "greeting"),
    "captive_portal": ("sign_in_work", "unexpected_content", "token"),
    "block_page": ("outlook_web", "unexpected_content", "http"),
    "tenant_restricted": ("sign_in_work", "rejected", "token"),
    "dns_failure.servfail": ("imap", "server_failure", "dns"),
    "dns_failure.empty": ("imap", "name_not_found", "dns"),
    "dns_failure.silence": ("imap", "timeout", "dns"),
    "starttls_stripped.masked": ("smtp", "unrecognized", "greeting"),
    "tls_version_blocked.all": ("imap", "protocol_version_refused", "tls"),
    "auth_dropped.silent": ("imap", "timeout", "auth"),
    "auth_dropped": ("imap", "reset", "auth"),
}


@pytest.mark.parametrize("fault", SYMPTOMS)
async def test_a_gateways_fault_is_seen_from_the_clients_side_only(lab, fault, monkeypatch):
    monkeypatch.setattr("exporter.probe.way.PATIENT_TIMEOUT", 2.0)  # 30 s: nothing else is different about them
    target, outcome, phase = SYMPTOMS[fault]
    await lab.set_fault(fault)
    probes = await Lap(lab).round(target)
    seen = probes[target, "clients"]
    assert (seen.outcome, seen.failed_phase) == (outcome, phase)
    assert probes[target, "wan"].outcome is Outcome.OK
    failed = seen.phase(Phase(phase))
    assert failed is not None
    assert failed.detail


#: fault → (target, outcome, failed phase), the same from everywhere
EVERYWHERE = {
    "certificate_expired": ("imap", "certificate_expired", "tls"),
    "certificate_not_yet_valid": ("pop", "certificate_not_yet_valid", "tls"),
    "certificate_name_mismatch": ("smtp", "certificate_name_mismatch", "tls"),
    "certificate_chain_incomplete": ("imap", "certificate_chain_incomplete", "tls"),
    "root_not_trusted": ("imap", "certificate_untrusted", "tls"),
    "throttled": ("sign_in_work", "throttled", "token"),
    "service_outage": ("smtp", "unavailable", "greeting"),
}


@pytest.mark.parametrize("fault", EVERYWHERE)
async def test_a_fault_of_the_service_is_seen_from_everywhere(lab, fault):
    target, outcome, phase = EVERYWHERE[fault]
    await lab.set_fault(fault)
    probes = await Lap(lab).round(target)
    assert {(probe.outcome, probe.failed_phase) for probe in probes.values()} == {(outcome, phase)}


async def test_a_canary_cut_off_in_the_middle_is_abandoned(lab):
    await lab.set_fault("auth_dropped")
    imap = (await Lap(lab).round("imap"))["imap", "clients"]
    assert (imap.auth.mechanism, imap.auth.outcome) == (Mechanism.TOKEN, AuthOutcome.ABANDONED)
    assert imap.auth.measured_at is not None


class AtWill:
    """A policy that lets every canary go."""

    def take(self, key: object, path: object, now: float) -> bool:
        return True


async def test_a_canary_that_failed_is_followed_by_another_though_an_account_works(lab):
    """Else what it met would stand there after the fault is over."""
    lap = Lap(lab)
    lap.vantages, lap.prober.policy = lap.vantages[:1], AtWill()
    await lab.set_fault("auth_dropped")
    assert (await lap.round("imap"))["imap", "clients"].outcome is not Outcome.OK
    await lab.set_fault(None)
    lap.prober.needs_canary = lambda _key: False
    imap = (await lap.round("imap"))["imap", "clients"]
    assert (imap.outcome, imap.auth.outcome) == (Outcome.OK, AuthOutcome.EXPECTED_REFUSAL)
    presented = len(lab.outlook.behaviour.traffic.credentials)
    await lap.round("imap")
    assert len(lab.outlook.behaviour.traffic.credentials) == presented


async def test_after_a_certificate_failure_the_conversation_goes_on(lab):
    await lab.set_fault("tls_intercepted")
    imap = (await Lap(lab).round("imap"))["imap", "clients"]
    assert imap.auth.outcome is AuthOutcome.EXPECTED_REFUSAL
    assert imap.tls is not None
    assert (imap.tls.trusted, imap.tls.genuine, imap.tls.issuer_organization) == (False, False, "Fortinet")


async def test_a_genuine_chain_that_this_machine_doesnt_trust(lab):
    await lab.set_fault("root_not_trusted")
    imap = (await Lap(lab).round("imap"))["imap", "clients"]
    assert imap.tls is not None
    assert (imap.tls.trusted, imap.tls.genuine) == (False, True)


async def test_a_trusted_interception_is_ok_but_not_genuine(lab):
    await lab.set_fault("tls_intercepted.trusted")
    lap = Lap(lab)
    imap = (await lap.round("imap"))["imap", "clients"]
    assert imap.outcome is Outcome.OK
    assert imap.tls is not None
    assert (imap.tls.trusted, imap.tls.genuine) == (True, False)


@pytest.mark.parametrize("split", [1, 3, 17])
async def test_writes_split_anywhere(lab, split):
    lab.outlook.behaviour.split = split
    probes = await Lap(lab, timeout=5).round("imap", "smtp", "pop", "sign_in_work", "activesync")
    assert {probe.outcome for probe in probes.values()} == {Outcome.OK}


@pytest.mark.parametrize("year", ["2023", "2024", "2026"])
async def test_words_of_every_year(lab, year):
    lab.outlook.behaviour.year = year
    probes = await Lap(lab).round("imap", "smtp", "pop")
    assert {probe.auth.outcome for probe in probes.values()} == {AuthOutcome.EXPECTED_REFUSAL}
    offers_passwords = {name for p in probes.values() if p.target == "imap" for name in p.auth.offered or ()}
    assert ("PLAIN" in offers_passwords) == (year < "2026")


async def test_between_canaries_the_last_result_is_kept_with_its_time(lab):
    lap = Lap(lab, once=False)
    first = await lap.round("imap", "sign_in_work")
    tokens = lab.outlook.behaviour.counts["token"]
    second = await lap.round("imap", "sign_in_work")
    assert lab.outlook.behaviour.counts["token"] == tokens
    for key, probe in second.items():
        assert probe.auth.outcome is AuthOutcome.EXPECTED_REFUSAL
        assert probe.auth.measured_at == first[key].auth.measured_at
        canary = next(result for result in probe.phases if result.phase in (Phase.AUTH, Phase.TOKEN))
        assert canary.outcome is Outcome.OK
        assert canary.measured_at is not None


async def test_a_fault_on_the_way_leaves_the_canarys_phase_skipped(lab):
    lap = Lap(lab, once=False)
    await lap.round("imap")
    await lab.set_fault("tcp_reset")
    imap = (await lap.round("imap"))["imap", "clients"]
    assert imap.phases[-1].outcome is Outcome.SKIPPED
    assert imap.failed_phase is Phase.CONNECT


async def test_a_wrong_clock_is_told_by_two_hosts_and_corrected(lab):
    lap = Lap(lab)
    ahead = timedelta(days=200)
    lap.prober.tools = replace(lap.prober.tools, wall_clock=lambda: datetime.now(UTC) + ahead)
    probes = await lap.round("graph", "outlook_web", "imap")
    assert abs(lap.prober.skew - ahead.total_seconds()) < 3
    imap = probes["imap", "wan"].tls
    assert imap is not None
    assert imap.genuine is True  # certificates are out of date by our clock only


async def test_the_rounds_deadline(lab):
    await lab.set_fault("sni_dropped")
    lap = Lap(lab, timeout=30)
    began = time.monotonic()
    targets = [lap.settings.targets()["sign_in_work"]]
    found = [w.probe async for w in lap.prober.round(targets, lap.vantages[:1], Deadline(began + 2.0))]
    assert time.monotonic() - began < 3
    assert (found[0].outcome, found[0].failed_phase) == (Outcome.TIMEOUT, Phase.TLS)
    assert found[0].phases[-2].detail == "round deadline"


async def test_a_callers_deadline_is_never_a_fault(lab):
    await lab.set_fault("sni_dropped")
    lap = Lap(lab, timeout=30)
    until = Deadline(time.monotonic() + 1.5, Outcome.SKIPPED)
    walked = await lap.prober.probe(lap.settings.targets()["sign_in_work"], lap.vantages[0], until)
    tls = walked.probe.phase(Phase.TLS)
    assert tls is not None
    assert tls.outcome is Outcome.SKIPPED


async def test_one_dead_address_is_seen_and_another_talked_over(lab):
    lab.wan_dns.names.addresses["imap-mail.outlook.com"] += ("127.60.9.9",)
    imap = (await Lap(lab).round("imap"))["imap", "wan"]
    assert imap.outcome is Outcome.OK
    assert [result.outcome for result in imap.addresses].count(Outcome.REFUSED) == 1
    assert {result.outcome for result in imap.addresses} == {Outcome.OK, Outcome.REFUSED}


async def test_the_canary_is_made_of_the_randomness_given(lab):
    async def presented(randomness: random.Random) -> str:
        lap = Lap(lab)
        lap.vantages, lap.prober.randomness = lap.vantages[:1], randomness
        await lap.round("imap")
        return str(lab.outlook.behaviour.traffic.credentials[-1].secret)

    first, same, other = [await presented(random.Random(seed)) for seed in (7, 7, 8)]
    assert first == same != other
    assert first != await presented(random.SystemRandom())  # the service's own: never the same canary twice
    assert type(Lap(lab).prober.randomness) is random.SystemRandom


async def test_a_stalled_openid_configuration_ends_in_time_and_is_asked_by_a_canary(lab):
    lap = Lap(lab, once=False, timeout=1.5)
    await lap.round("sign_in_work")
    requests = lab.counts["token_request"]
    lab.outlook.behaviour.http_delay = lab.outlook.behaviour.token_delay = 20.0
    began = time.monotonic()
    probes = await lap.round("sign_in_work")
    assert time.monotonic() - began < 5
    assert lab.counts["token_request"] == requests  # the connection is in the middle of an answer
    assert {probe.auth.outcome for probe in probes.values()} == {AuthOutcome.EXPECTED_REFUSAL}
