"""The pages, read by prometheus_client's own parsers and compared with its own output."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.catalogue import TARGETS
from exporter.metrics import exposition as exposition_module
from exporter.metrics.catalogue import METRICS, Part
from exporter.metrics.exposition import OPENMETRICS, TEXT, Exposition, probe_exposition, wants_openmetrics
from exporter.metrics.samples import Sample
from exporter.observations import Probe
from exporter.state import State
from exporter.vocabulary import OfferedMechanism, Outcome, Phase, phases_of
from tests.metrics.made import NOON, failed, healthy, kept, rounds

ASKS_OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
SERIES_OF_THE_PROBER = 3000  # at most, for the whole catalogue at two vantages


@dataclass(frozen=True)
class Vantage:
    name: str
    proxy: object | None = None


def whole_catalogue() -> State:
    state = State(now=lambda: 1_764_000_000.0)
    state.configure(TARGETS.values(), [Vantage("clients"), Vantage("wan")])
    for probe in rounds(2):
        state.record_probe(probe)
    state.record_task("round", "ok")
    state.set_budget("canaries", 117)
    state.observe_loop_delay(0.0004)
    return state


def of(*probes: Probe) -> str:
    state = State()
    for probe in probes:
        state.record_probe(probe)
    return Exposition(state).page("").body.decode()


def series(page: str, name: str) -> dict[str, float]:
    """Labels as written → value."""
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", page, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def ours(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("outlook_")]


@pytest.mark.parametrize(("accept", "content_type"), [("", TEXT), ("*/*", TEXT), (ASKS_OPENMETRICS, OPENMETRICS)])
def test_the_format_follows_the_accept_header(accept: str, content_type: str) -> None:
    page = Exposition(whole_catalogue()).page(accept)
    assert page.content_type == content_type
    assert page.body.endswith(b"# EOF\n") == (content_type == OPENMETRICS)


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text;version=what", ",;=,;", "\x00", "text/plain;version=x"]
)
def test_an_absurd_accept_header_gets_text(accept: str) -> None:
    assert wants_openmetrics(accept) is False


def test_both_formats_say_the_same() -> None:
    exposition = Exposition(whole_catalogue())
    text, openmetrics = (exposition.page(accept).body.decode() for accept in ("", ASKS_OPENMETRICS))
    assert ours(text) == ours(openmetrics)


def test_openmetrics_passes_its_strict_parser_with_the_catalogues_types() -> None:
    page = Exposition(whole_catalogue()).page(ASKS_OPENMETRICS).body.decode()
    families = {family.name: family for family in parse_openmetrics(page)}
    for metric in METRICS.values():
        family = families.get(metric.name.removesuffix("_total"))
        if family is not None:
            assert (family.type, family.documentation) == (metric.kind, metric.help)


def test_the_text_is_what_prometheus_client_would_write() -> None:
    """Parsed, put into its registry, and written by it again: the same samples, families and types."""
    page = Exposition(whole_catalogue()).page("").body.decode()
    families = [family for family in parse_text(page) if family.name.startswith("outlook_")]

    class Parsed:
        def collect(self) -> Iterator[Family]:
            yield from families

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Parsed())
    theirs = generate_latest(registry).decode()
    sorted_labels = [_sorted_labels(line) for line in ours(page)]
    assert [_sorted_labels(line) for line in ours(theirs)] == sorted_labels
    comments = {line for line in page.splitlines() if line.startswith("#") and "outlook_" in line}
    assert {line for line in theirs.splitlines() if line.startswith("#")} == comments


def _sorted_labels(line: str) -> str:
    name, brace, rest = line.partition("{")
    labels, _, value = rest.rpartition("}")
    return name + brace + ",".join(sorted(re.findall(r'\w+="[^"]*"', labels))) + value


def test_no_series_appears_twice_and_each_has_its_labels() -> None:
    page = Exposition(whole_catalogue()).page("").body.decode()
    names = Counter(line.rsplit(" ", 1)[0] for line in page.splitlines() if not line.startswith("#"))
    assert max(names.values()) == 1
    for family in parse_text(page):
        metric = METRICS.get(family.name) or METRICS.get(f"{family.name}_total")
        for sample in family.samples if metric else ():
            optional = {"le", "revision"}
            assert set(sample.labels) - optional == set(metric.labels) - optional  # type: ignore[union-attr]


def test_the_prober_and_exporter_parts_all_appear() -> None:
    page = Exposition(whole_catalogue()).page("").body.decode()
    missing = [
        name
        for name, metric in METRICS.items()
        if metric.part in (Part.PROBER, Part.EXPORTER) and f"# TYPE {name} " not in page
    ]
    assert missing == ["outlook_exporter_inspector_up"]


def test_what_was_never_seen_has_no_help() -> None:
    page = Exposition(State()).page("").body.decode()
    assert "outlook_wire" not in page
    assert "outlook_probe" not in page
    assert "process_cpu_seconds_total" in page


def test_the_whole_catalogue_at_two_vantages_stays_within_its_bound() -> None:
    """Even after a day on which every way failed in many ways: a fault a phase, and those that come with it."""
    state = whole_catalogue()
    minute = 10
    for name, target in TARGETS.items():
        for phase in phases_of(target.protocol, starttls=target.starttls, proxied=False):
            for outcome in (Outcome.TIMEOUT, Outcome.RESET, Outcome.CERTIFICATE_UNTRUSTED)[
                : 3 if phase == "tls" else 2
            ]:
                minute += 1
                for vantage in ("clients", "wan"):
                    probe = healthy(name, vantage, NOON + timedelta(minutes=minute))
                    state.record_probe(failed(probe, phase, outcome))
    for probe in rounds(1):
        state.record_probe(replace(probe, time=NOON + timedelta(days=1)))
    lines = ours(Exposition(state).page("").body.decode())
    assert 1500 < len(lines) <= SERIES_OF_THE_PROBER


def test_only_the_latest_outcome_of_a_phase_is_present() -> None:
    broken = failed(healthy(), Phase.TLS, Outcome.RESET)
    page = of(broken, healthy(time=NOON + timedelta(minutes=1)))
    outcomes = series(page, "outlook_probe_outcome")
    assert 'target="imap",vantage="local",phase="tls",outcome="ok"' in outcomes
    assert set(outcomes.values()) == {1.0}
    assert not [labels for labels in outcomes if "reset" in labels]
    assert series(page, "outlook_probe_success") == {'target="imap",vantage="local"': 1.0}
    results = series(page, "outlook_probe_results_total")
    assert results['target="imap",vantage="local",phase="tls",outcome="reset"'] == 1
    assert results['target="imap",vantage="local",phase="tls",outcome="timeout"'] == 0


def test_a_kept_canarys_seconds_are_shown_but_counted_once() -> None:
    page = of(healthy(), kept(healthy(time=NOON + timedelta(minutes=1)), NOON))
    way = 'target="imap",vantage="local"'
    assert series(page, "outlook_probe_phase_last_seconds")[f'{way},phase="auth"'] == 5.31
    assert series(page, "outlook_probe_phase_seconds_count")[f'{way},phase="auth"'] == 1
    assert series(page, "outlook_probe_phase_seconds_count")[f'{way},phase="tls"'] == 2
    buckets = series(page, "outlook_probe_phase_seconds_bucket")
    assert (buckets[f'{way},phase="auth",le="5.0"'], buckets[f'{way},phase="auth",le="10.0"']) == (0, 1)
    assert buckets[f'{way},phase="tls",le="+Inf"'] == 2


def test_offered_mechanisms_are_a_fixed_list() -> None:
    offered = series(of(healthy("smtp")), "outlook_probe_auth_offered")
    shown = {re.search('mechanism="(.*)"', labels)[1]: value for labels, value in offered.items()}  # type: ignore[index]
    assert {name for name, value in shown.items() if value} == {"LOGIN", "XOAUTH2"}
    assert {"PLAIN", "LOGIN_COMMAND", "other"} <= set(shown) <= set(OfferedMechanism)


def test_addresses_are_counted_by_version_and_outcome() -> None:
    addresses = series(of(healthy()), "outlook_probe_addresses")
    way = 'target="imap",vantage="local"'
    assert addresses == {f'{way},ip_version="4",outcome="ok"': 1, f'{way},ip_version="6",outcome="skipped"': 1}


def test_an_intercepted_handshake() -> None:
    page = of(failed(healthy(), Phase.TLS, Outcome.CERTIFICATE_UNTRUSTED))
    assert list(series(page, "outlook_probe_tls_intercepted").values()) == [1]
    (info,) = series(page, "outlook_probe_certificate_info")
    assert 'issuer_organization="Gateway Inspection",issuer_common_name="Gateway CA",genuine="false"' in info


def test_a_custom_servers_own_chain_is_no_interception() -> None:
    probe = failed(healthy(), Phase.TLS, Outcome.CERTIFICATE_UNTRUSTED)
    page = of(replace(probe, target="relay", host="relay.example"))
    assert "outlook_probe_tls_intercepted{" not in page


def test_expiry_is_that_of_the_first_certificate_to_expire() -> None:
    probe = healthy()
    assert probe.tls is not None
    expiry = series(of(probe), "outlook_probe_certificate_expiry_timestamp_seconds")
    assert list(expiry.values()) == [probe.tls.chain[0].not_after.timestamp()]


def test_without_a_handshake_nothing_is_said_of_tls() -> None:
    page = of(healthy(), failed(healthy(time=NOON + timedelta(minutes=1)), Phase.CONNECT, Outcome.TIMEOUT))
    for name in ("tls_info", "certificate_info", "certificate_expiry_timestamp_seconds", "tls_intercepted"):
        assert f"outlook_probe_{name}{{" not in page
    assert "outlook_probe_last_success_timestamp_seconds{" in page


@pytest.mark.parametrize("name", ['Evil "CA"\n}', "back\\slash", "tab\tand\x00nul", "日本語", "x" * 500, "\u202eACME"])
def test_any_issuer_name_gives_a_page_that_parses(name: str) -> None:
    probe = healthy()
    assert probe.tls is not None
    evil = replace(probe, tls=replace(probe.tls, issuer_organization=name, issuer_common_name=name))
    state = State()
    state.record_probe(evil)
    for accept, parse in (("", parse_text), (ASKS_OPENMETRICS, parse_openmetrics)):
        families = {family.name: family for family in parse(Exposition(state).page(accept).body.decode())}
        (sample,) = families["outlook_probe_certificate_info"].samples
        value = sample.labels["issuer_organization"]
        assert value.isprintable()
        assert 0 < len(value) <= 64


def test_a_removed_target_leaves_the_page_and_the_memory() -> None:
    state = whole_catalogue()
    exposition = Exposition(state)
    assert b'target="smtp"' in exposition.page("").body
    state.configure([TARGETS["imap"]], [Vantage("wan")])
    page = exposition.page("").body
    assert b'target="smtp"' not in page
    assert b'vantage="clients"' not in page
    assert len(exposition._kept) == 1


def test_build_info_names_the_revision_where_there_is_one() -> None:
    page = Exposition(whole_catalogue()).page("").body.decode()
    (labels,) = series(page, "outlook_exporter_build_info")
    assert re.fullmatch(r'version="[^"]+",python="[^"]+"', labels)


def test_a_scrape_between_rounds_renders_nothing_of_targets_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prober's clocks share the interpreter's lock with us; benchmarks/scrape.py measures what it saves."""
    state = State()
    vantages = [Vantage(f"v{number}") for number in range(5)]
    state.configure(TARGETS.values(), vantages)
    for probe in rounds(1, vantages=tuple(vantage.name for vantage in vantages)):
        state.record_probe(probe)
    rendered: list[Sample] = []
    render = exposition_module._rendered

    def counting(samples: Iterable[Sample]) -> Mapping[str, str]:
        found = list(samples)
        rendered.extend(found)
        return render(found)

    monkeypatch.setattr(exposition_module, "_rendered", counting)
    exposition = Exposition(state)
    first = exposition.page("").body
    assert len(rendered) > 5_000
    rendered.clear()
    assert len(exposition.page("").body) > 0.9 * len(first)
    assert rendered
    assert not [sample for sample in rendered if "target" in dict(sample.labels)]


class TestProbePage:
    def test_has_its_own_metrics_and_those_of_its_target_alone(self) -> None:
        page = probe_exposition(healthy(), 5.5)
        text = page.body.decode()
        assert page.content_type == TEXT
        assert series(text, "probe_success") == {"": 1.0}
        assert series(text, "probe_duration_seconds") == {"": 5.5}
        names = {family.name for family in parse_text(text)} - {"probe_success", "probe_duration_seconds"}
        assert all(name.startswith("outlook_probe_") for name in names)
        assert "outlook_probe_phase_last_seconds" in names

    def test_says_no_in_both_formats(self) -> None:
        probe = failed(healthy(), Phase.TLS, Outcome.RESET)
        for accept, parse in (("", parse_text), (ASKS_OPENMETRICS, parse_openmetrics)):
            families = {family.name: family for family in parse(probe_exposition(probe, 1.0, accept).body.decode())}
            assert families["probe_success"].samples[0].value == 0
