"""The benchmark's own traffic, in small: whatever its truth says of a connection, `inspect` says too."""

import io
import json
import random
from pathlib import Path

import pytest

from benchmarks.traffic.connections import Trouble
from benchmarks.traffic.generate import NAMES, write
from benchmarks.traffic.judge import judge
from exporter.observations import as_json
from tests.wire.conversation import inspect_file

CONNECTIONS = 400


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    capture, truths = io.BytesIO(), io.StringIO()
    write(capture, truths, seed=7, connections=CONNECTIONS, per_second=500.0, bulk=4_000, names=NAMES[:3])
    truth = tmp_path_factory.mktemp("traffic") / "truth"
    truth.write_text(truths.getvalue())
    return capture.getvalue(), truth


def test_it_has_what_it_promises(generated: tuple[bytes, Path]):
    truths = [json.loads(line) for line in generated[1].read_text().splitlines()]
    assert len(truths) == CONNECTIONS
    assert {truth["trouble"] for truth in truths} == set(Trouble)
    outcomes = {"established", "no_answer", "refused", "hello_unanswered", "hello_reset", "handshake_failed"}
    assert {truth["outcome"] for truth in truths} == outcomes
    assert {truth["server_port"] for truth in truths} == {443, 993, 995, 587}
    assert any(truth["vlan"] for truth in truths)
    assert any(":" in truth["client"] for truth in truths)
    assert {"large", "tls13-retry", "tls12-resumed", "untrusting13"} <= {truth["kind"] for truth in truths}


def test_everything_is_told_as_it_is(generated: tuple[bytes, Path]):
    capture, truth = generated
    verdict = judge((json.loads(as_json(each)) for each in inspect_file(capture)), truth)
    assert verdict.examples == []
    assert (verdict.missing, verdict.wrong_names, verdict.recall) == (0, 0, 1.0)
    assert max(verdict.errors) < 2e-6
    assert not set(verdict.sign_ins) & {"wrong", "missing"}
    assert verdict.sign_ins["right"] > 20 * verdict.sign_ins["in part"]


def test_the_judge_finds_what_is_wrong(generated: tuple[bytes, Path]):
    """Names swapped, an outcome changed, a connection left out, a handshake a millisecond longer."""
    capture, truth = generated
    said = [json.loads(as_json(each)) for each in inspect_file(capture)]
    complete = [each for each in said if each["tls_handshake_seconds"] is not None]
    chosen = random.Random(1).sample(complete, 4)
    chosen[0]["sni"] = "another.example.com"
    chosen[1]["outcome"] = "handshake_failed"
    said.remove(chosen[2])
    chosen[3]["tls_handshake_seconds"] += 0.001
    verdict = judge(said, truth)
    assert (verdict.missing, verdict.wrong_names, verdict.wrong["sni"], verdict.wrong["outcome"]) == (1, 1, 1, 1)
    assert verdict.recall < 1
    assert 0.0009 < max(verdict.errors) < 0.0011
