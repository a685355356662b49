"""Recorded rounds: written, read, judged the same; and whatever else may stand in such a file."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.diagnosis import recording
from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.judge import judge
from exporter.observations import as_json, from_json
from exporter.settings_errors import ConfigurationError
from exporter.vocabulary import Cause, Outcome, Phase
from tests.diagnosis.made import CLIENTS, WAN, broken, seen, tried, verdict, walk

PROBE = broken("sign_in_work", Phase.TLS, Outcome.RESET)
ROUND = seen(
    PROBE,
    walk("sign_in_work", "wan"),
    experiments=[tried(PROBE, Kind.NO_NAME, Outcome.OK, Phase.TLS)],
    facts=[CLIENTS, WAN],
    private_networks=("10.0.0.0/8",),
)


def write(path, *lines: str):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_round_comes_back_as_it_was(tmp_path):
    read = recording.read(write(tmp_path / "round.jsonl", *recording.lines(ROUND)))
    assert read == ROUND
    assert judge(read) == judge(ROUND)


def test_what_probe_prints_is_a_round_too(tmp_path):
    read = recording.read(write(tmp_path / "probes.jsonl", *(as_json(probe) for probe in ROUND.probes)))
    assert read.probes == ROUND.probes


def test_a_probe_of_the_contracts_fields_alone(tmp_path):
    """Another program's: no `signatures_genuine`, no `hosts`, and fields we don't know."""
    content = json.loads(as_json(walk(outcome=Outcome.CERTIFICATE_UNTRUSTED)))
    content["tls"] = {"trusted": False, "genuine": False, "issuer_organization": "Fortinet", "chain": [], "more": 1}
    content["phases"] = [
        {"phase": "tls", "outcome": "certificate_untrusted", "seconds": 0.1, "detail": None},
        {"phase": "greeting", "outcome": "ok", "seconds": 0.1, "detail": None},
    ]
    content |= {"failed_phase": "tls", "color": "red"}
    for gone in ("hosts", "retry_after_seconds"):
        content.pop(gone)
    read = recording.read(write(tmp_path / "other.jsonl", json.dumps(content)))
    assert verdict(read).cause is Cause.TLS_INTERCEPTED


def test_verdicts_and_the_demos_first_line_are_left_out(tmp_path):
    lines = [json.dumps({"url": "http://127.0.0.1:1/"}), as_json(walk()), as_json(judge(ROUND)[0].verdict), ""]
    assert len(recording.read(write(tmp_path / "mixed.jsonl", *lines)).probes) == 1


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["{not json"], "line 1: not JSON"),
        (["[1]"], "line 1: not a JSON object"),
        (['{"color": "red"}'], "line 1: neither a probe nor"),
        (['{"recording": 1, "exporter": "x"}'], "transcript"),
        (['{"target": "imap", "phases": 3}'], "line 1: "),
        (["", '{"url": "x"}'], "neither a probe nor a connection"),
    ],
)
def test_what_is_no_round_is_said_with_its_line(tmp_path, lines, words):
    with pytest.raises(ConfigurationError) as raised:
        recording.read(write(tmp_path / "bad.jsonl", *lines))
    (problem,) = raised.value.problems
    assert problem.startswith("--from: ")
    assert words in problem


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="absent"):
        recording.read(tmp_path / "absent.jsonl")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_round_or_a_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError):
        recording.read(path)


def test_an_experiment_survives_json():
    experiment = tried(PROBE, Kind.HELLO_AT_TTL, Outcome.UNREACHABLE, Phase.TLS, ttl=2, control=True, detail="ICMP")
    assert from_json(Experiment, as_json(experiment)) == experiment
