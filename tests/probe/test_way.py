"""The record of one walk: which time-out a phase has, what cuts it, and what is left behind."""

import asyncio
import time

import pytest

from exporter.probe import way
from exporter.probe.failures import PhaseFailure
from exporter.probe.way import PATIENT_PHASES, Deadline, WalkEnded, Way
from exporter.vocabulary import Outcome, Phase

PHASES = (Phase.DNS, Phase.CONNECT, Phase.TLS, Phase.AUTH, Phase.TOKEN)
FOR_EVER = 1e6


def a_way(*, left: float = FOR_EVER, timeout: float = 0.05, cut: Outcome = Outcome.TIMEOUT) -> Way:
    deadline = Deadline(time.monotonic() + left, cut)
    return Way(phases=PHASES, deadline=deadline, clock=time.monotonic, timeout=timeout)


async def wait(walked: Way, phase: Phase, seconds: float) -> None:
    async with walked.phase(phase):
        await asyncio.sleep(seconds)


@pytest.mark.parametrize("phase", PHASES)
async def test_only_a_credentials_answer_is_waited_for_longer(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert way.PATIENT_TIMEOUT == 30  # Microsoft holds refusals back for up to 18 s
    monkeypatch.setattr(way, "PATIENT_TIMEOUT", 5.0)
    walked = a_way()
    if phase in PATIENT_PHASES:
        await wait(walked, phase, 0.2)
        assert walked.results[0].outcome is Outcome.OK
    else:
        with pytest.raises(WalkEnded):
            await wait(walked, phase, 5)
        assert (walked.results[0].outcome, walked.results[0].detail) == (Outcome.TIMEOUT, "nothing within 0.05 s")


async def test_a_longer_time_out_of_the_configuration_holds_for_credentials_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(way, "PATIENT_TIMEOUT", 0.01)
    walked = a_way(timeout=5.0)
    await wait(walked, Phase.AUTH, 0.1)
    assert walked.results[0].outcome is Outcome.OK


@pytest.mark.parametrize(
    ("cut", "outcome", "detail"),
    [(Outcome.TIMEOUT, "timeout", "round deadline"), (Outcome.SKIPPED, "skipped", "the caller's deadline")],
)
async def test_no_phase_begins_with_less_than_a_second_left(cut: Outcome, outcome: str, detail: str) -> None:
    walked = a_way(left=0.9, cut=cut)
    with pytest.raises(WalkEnded):
        async with walked.phase(Phase.TLS):
            raise AssertionError("begun")
    (result,) = walked.results
    assert (result.outcome, result.detail, result.seconds) == (outcome, detail, None)


async def test_what_was_not_reached_is_skipped_in_the_order_of_the_way() -> None:
    walked = a_way()
    await wait(walked, Phase.DNS, 0)
    with pytest.raises(WalkEnded):
        async with walked.phase(Phase.CONNECT):
            raise PhaseFailure(Outcome.REFUSED, "RST\x1b[2J")
    assert [(result.phase, result.outcome) for result in walked.finished()] == [
        ("dns", "ok"),
        ("connect", "refused"),
        ("tls", "skipped"),
        ("auth", "skipped"),
        ("token", "skipped"),
    ]
    assert "\x1b" not in (walked.results[1].detail or "")


async def test_a_certificate_that_is_not_trusted_ends_nothing() -> None:
    walked = a_way()
    async with walked.phase(Phase.TLS) as phase:
        phase.outcome = Outcome.CERTIFICATE_UNTRUSTED
    await wait(walked, Phase.AUTH, 0)
    assert [result.outcome for result in walked.results] == ["certificate_untrusted", "ok"]


async def test_an_error_of_the_system_ends_the_phase_by_a_word() -> None:
    walked = a_way()
    with pytest.raises(WalkEnded):
        async with walked.phase(Phase.CONNECT):
            raise ConnectionResetError(104, "Connection reset by peer")
    assert (walked.results[0].outcome, walked.results[0].detail) == (Outcome.RESET, "Connection reset by peer")


async def test_a_fault_of_ours_ends_its_phase_and_tells_its_place_not_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    walked = a_way()
    await wait(walked, Phase.DNS, 0)
    with pytest.raises(KeyError) as caught:
        async with walked.phase(Phase.CONNECT):
            raise KeyError("a secret")
    walked.broken_by(caught.value)
    assert [result.outcome for result in walked.finished()] == ["ok", "unrecognized", "skipped", "skipped", "skipped"]
    detail = walked.results[1].detail or ""
    assert detail.startswith("this exporter failed: KeyError in test_way.py:")
    assert "secret" not in detail + capsys.readouterr().out


async def test_a_fault_of_ours_between_two_phases_ends_the_next() -> None:
    walked = a_way()
    await wait(walked, Phase.DNS, 0)
    walked.broken_by(raised(ValueError()))
    assert [result.outcome for result in walked.results] == ["ok", "unrecognized"]
    assert walked.results[1].phase is Phase.CONNECT


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as seen:
        return seen
