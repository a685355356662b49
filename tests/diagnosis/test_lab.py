"""Every fault of the embedded lab, diagnosed with one vantage and with two: cause and responsible by the contract's table.

The lab's gateway is a relay on loopback, so hops can't place anything there: with one vantage only addresses, issuers and
Microsoft's own words can. All faults are tried once for the whole file, several labs side by side.
"""

import asyncio
import contextlib
import io
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.catalogue import TARGETS
from exporter.diagnosis.command import Diagnosis, Printing, Wishes
from exporter.lab.faults import FAULTS, VARIANTS, fault_named
from exporter.lab.lab import Lab
from exporter.observations import Verdict
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.probe_command import accounts_job
from exporter.settings_file import load
from exporter.vocabulary import Cause, Protocol, Responsible

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

GATEWAY, NETWORK, MICROSOFT = Responsible.GATEWAY, Responsible.NETWORK, Responsible.MICROSOFT
APPLIANCE, UNKNOWN = Responsible.APPLIANCE, Responsible.UNKNOWN

#: Who is responsible: seen from one vantage, from two.
EXPECTED: dict[str, tuple[Responsible, Responsible]] = {
    **dict.fromkeys(
        (
            "dns_failure", "dns_redirected", "tcp_dropped", "tcp_reset", "sni_reset", "sni_dropped", "tls_reset",
            "large_hello_dropped", "tls_version_blocked", "starttls_stripped", "auth_mechanism_stripped",
            "protocol_rewritten", "auth_dropped", "idle_cut", "block_page", "tenant_restricted",
        ),
        (UNKNOWN, GATEWAY),
    ),
    "tls_intercepted": (GATEWAY, GATEWAY),  # the issuer is a known product
    "tls_intercepted.trusted": (UNKNOWN, GATEWAY),  # a company's own CA is no sign
    "captive_portal": (GATEWAY, GATEWAY),  # it leads to a private address
    "ipv6_broken": (NETWORK, NETWORK),  # the other vantage has no IPv6 address of it
    "mtu_blackhole": (NETWORK, GATEWAY),
    "slow_path": (NETWORK, GATEWAY),
    "partial_outage": (NETWORK, MICROSOFT),
    "root_not_trusted": (APPLIANCE, APPLIANCE),
    "clock_skew": (APPLIANCE, APPLIANCE),
    **dict.fromkeys(
        (
            "certificate_expired", "certificate_not_yet_valid", "certificate_name_mismatch",
            "certificate_chain_incomplete", "throttled", "service_outage", "slow_sign_in", "slow_service",
        ),
        (MICROSOFT, MICROSOFT),
    ),
}  # fmt: skip

#: Before TLS nothing proves that Microsoft itself speaks.
IN_CLEAR = {("service_outage", "smtp"), ("service_outage", "smtp_office365")}
#: Targets that are there to compare with, besides some of those concerned.
COMPARED = ("imap", "smtp_office365", "outlook_web", "sign_in_work", "revocation")


def expected(fault: str, count: int) -> Responsible:
    one, two = EXPECTED[fault if fault in EXPECTED else fault.partition(".")[0]]
    return one if count == 1 else two


def concerned(name: str) -> set[str]:
    """The targets at which the fault shows."""
    fault = fault_named(name)
    if fault.cause is Cause.CLOCK_SKEW:  # where a Date is read
        return {name for name in fault.affected if TARGETS[name].protocol not in (Protocol.IMAP, Protocol.POP)}
    if fault.cause is Cause.SLOW_SERVICE:
        return {name for name in fault.affected if TARGETS[name].protocol is not Protocol.SIGN_IN}
    if fault.cause is Cause.SLOW_PATH:  # the relay holds what TCP carries, not TCP's own handshake
        return {name for name in fault.affected if TARGETS[name].protocol is not Protocol.HTTP}
    if fault.cause is Cause.IDLE_CUT:
        return {"imap"}  # the one that is held
    return set(fault.affected)


def tried(name: str) -> list[str]:
    """Some of the targets concerned, of every port, and some to compare with."""
    by_port: dict[int, list[str]] = {}
    for target in sorted(concerned(name)):
        by_port.setdefault(TARGETS[target].port, []).append(target)
    some = [target for targets in by_port.values() for target in targets[:2]]
    return [target for target in TARGETS if target in (*some, *COMPARED)]


@dataclass
class Ran:
    """What came out of one diagnosis."""

    fault: str
    vantages: int
    verdicts: list[Verdict] = field(default_factory=list)

    def at(self, target: str, vantage: str) -> list[Verdict]:
        return [each for each in self.verdicts if (each.target, each.vantage) == (target, vantage)]


async def diagnose(lab: Lab, directory: Path, fault: str, vantages: int) -> Ran:
    content: dict[str, Any] = lab.configuration()
    content["probe"] |= {
        "timeout": "3.5s",
        "hold": {"targets": ["imap"], "duration": "10.5s"} if "idle" in fault else {},
    }
    if vantages == 1:
        content["vantages"] = content["vantages"][:1]
        content["diagnosis"] = {"resolvers": [f"127.0.0.1:{lab.wan_dns.port}"]}  # never this machine's
    config = directory / f"{fault}.{vantages}.yml"
    config.write_text(yaml.safe_dump(content))
    settings = load(config, {})
    prober = make_prober(settings, once=True)
    seen_from = make_vantages(settings, {}, VantageProcesses())
    known = settings.all_targets()
    targets = [known[name] for name in (tried(fault) if fault else COMPARED)]
    printing = Printing(Wishes(as_json=True))
    job = accounts_job(settings, {}, prober, seen_from)
    await Diagnosis(settings, prober, seen_from, targets, job, printing).run()
    return Ran(fault, vantages, printing.verdicts)


async def all_of_them(directory: Path) -> list[Ran]:
    slots = asyncio.Semaphore(1)  # SSL_CERT_FILE is read when a prober is made
    many = asyncio.Semaphore(4)  # more would slow their own handshakes: a slow path, rightly
    found: list[Ran] = []
    names = ["", *FAULTS, *VARIANTS]

    async def one(name: str) -> None:
        async with many:
            own = directory / (name or "healthy")
            own.mkdir()
            async with Lab.start(own) as lab:
                lab.outlook.behaviour.tarpit = 0.01
                await lab.set_fault(name or None)
                runs = []
                async with slots:
                    os.environ["SSL_CERT_FILE"] = str(lab.trust_store())
                    for vantages in (1, 2):
                        runs.append(asyncio.create_task(diagnose(lab, own, name, vantages)))
                    await asyncio.sleep(0.3)
                found.extend(await asyncio.gather(*runs))

    await asyncio.gather(*(one(name) for name in names))
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Ran]:
    before = os.environ.get("SSL_CERT_FILE")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            ran = asyncio.run(all_of_them(tmp_path_factory.mktemp("faults")))
    finally:
        if before is None:
            os.environ.pop("SSL_CERT_FILE", None)
        else:
            os.environ["SSL_CERT_FILE"] = before
    return {(each.fault, each.vantages): each for each in ran}


def is_both_sides(name: str) -> bool:
    """Whether every vantage meets it."""
    fault = fault_named(name)
    return bool(fault.outlook) or "outside" in fault.sides


@pytest.mark.parametrize("vantages", [1, 2])
@pytest.mark.parametrize("name", [*FAULTS, *VARIANTS])
def test_cause_and_responsible(results, name, vantages):
    ran, fault = results[name, vantages], fault_named(name)
    for target in set(tried(name)) & concerned(name):
        causes = {(each.cause, each.responsible) for each in ran.at(target, "clients")}
        who = UNKNOWN if vantages == 1 and (name, target) in IN_CLEAR else expected(name, vantages)
        assert causes == {(fault.cause, who)}, f"{target}: {ran.at(target, 'clients')}"


@pytest.mark.parametrize("vantages", [1, 2])
@pytest.mark.parametrize("name", ["", *FAULTS, *VARIANTS])
def test_what_is_not_concerned_is_healthy(results, name, vantages):
    ran = results[name, vantages]
    fine = [
        each for each in ran.verdicts
        if not name or each.target not in concerned(name) or (each.vantage == "wan" and not is_both_sides(name))
    ]  # fmt: skip
    assert fine or concerned(name) >= set(tried(name))
    assert {(each.target, each.vantage): each.cause for each in fine if each.cause is not Cause.HEALTHY} == {}


@pytest.mark.parametrize("vantages", [1, 2])
def test_a_line_for_each_target_and_vantage(results, vantages):
    for name in ("", "sni_reset", "tcp_dropped"):
        ways = Counter((each.target, each.vantage) for each in results[name, vantages].verdicts)
        wanted = tried(name) if name else COMPARED
        seen_from = ("clients", "wan")[:vantages]
        assert ways == Counter((target, vantage) for target in wanted for vantage in seen_from)


def test_the_gateway_and_microsoft_are_never_named_where_they_were_not(results):
    for (name, vantages), ran in results.items():
        for verdict in ran.verdicts:
            if verdict.responsible in (GATEWAY, MICROSOFT):
                assert name, verdict
                assert verdict.responsible is expected(name, vantages), (name, verdict)


def test_confidence_means_something(results, capsys):
    """The calibration: of verdicts of so much confidence, how many were right."""
    right: Counter[float] = Counter()
    all_of: Counter[float] = Counter()
    for (name, vantages), ran in results.items():
        for verdict in ran.verdicts:
            bucket = round(verdict.confidence, 1)
            all_of[bucket] += 1
            right[bucket] += is_right(name, vantages, verdict)
    with capsys.disabled():
        print("\nconfidence: right of all")
        for bucket in sorted(all_of):
            print(f"  {bucket:.1f}: {right[bucket]} of {all_of[bucket]} ({right[bucket] / all_of[bucket]:.0%})")
    sure = sum(all_of[bucket] for bucket in all_of if bucket >= 0.9)
    assert sum(right[bucket] for bucket in right if bucket >= 0.9) >= 0.95 * sure


def is_right(name: str, vantages: int, verdict: Verdict) -> bool:
    meets = name and verdict.target in concerned(name) and (verdict.vantage == "clients" or is_both_sides(name))
    if not meets:
        return verdict.cause is Cause.HEALTHY
    who = UNKNOWN if vantages == 1 and (name, verdict.target) in IN_CLEAR else expected(name, vantages)
    return (verdict.cause, verdict.responsible) == (fault_named(name).cause, who)


def test_a_long_command_is_tried_before_authentication_and_behind_it(results: dict[tuple[str, int], Ran]):
    """Where tokens die by their length, so does whatever is as long, at any time."""
    [verdict] = results["auth_dropped", 1].at("imap", "clients")
    said = " ".join(each.observation for each in verdict.evidence)
    assert "a long harmless command dies too" in said
    assert "behind that refusal a long harmless command dies" in said
