"""Packets that die on their way: which are sent, in which order, and how fast."""

import asyncio
from collections.abc import Mapping

import pytest

from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.experiments.pace import HopPace
from exporter.diagnosis.experiments.programs import by_turns
from exporter.vocabulary import Outcome, Phase
from tests.diagnosis.made import broken, tried

PROBE = broken("imap", Phase.CONNECT, Outcome.TIMEOUT)
EXPIRED, SILENT, RESET, OK = Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.REFUSED, Outcome.OK


def made(outcome: Outcome, ttl: int, *, control: bool = False) -> Experiment:
    detail = f"ICMP type 11 code 0 from 10.0.{ttl}.1 (EHOSTUNREACH)" if outcome is EXPIRED else None
    return tried(PROBE, Kind.SYN_AT_TTL, outcome, Phase.CONNECT, ttl=ttl, control=control, detail=detail)


def sent(
    subject: Mapping[int, Outcome], control: Mapping[int, Outcome] | None = None, *, forwards: bool = False
) -> list[str]:
    """What is sent, in order, where packets of a TTL end so: `2` of the subject's, `2c` of the control's."""
    order: list[str] = []

    async def dying(ttl: int) -> Experiment:
        order.append(str(ttl))
        return made(subject[ttl], ttl)

    async def compared(ttl: int) -> Experiment:
        order.append(f"{ttl}c")
        return made((control or {})[ttl], ttl, control=True)

    asyncio.run(by_turns(dying, (lambda _ttl: None) if control is None else compared, forwards))
    return order


BOTH_HOPS = {1: EXPIRED, 2: EXPIRED}


@pytest.mark.parametrize(
    ("subject", "control", "expected"),
    [
        ({2: EXPIRED}, BOTH_HOPS, "2"),  # it passed the gateway: no more to ask
        ({2: RESET, 1: EXPIRED}, BOTH_HOPS, "2 1 2c"),
        ({2: SILENT, 1: EXPIRED}, BOTH_HOPS, "2 1 2c 2 2c"),  # silence is met twice
        ({2: RESET, 1: RESET}, BOTH_HOPS, "2 1 1c"),
        ({2: OK, 1: OK}, BOTH_HOPS, "2 1 1c"),
        ({2: SILENT, 1: SILENT}, BOTH_HOPS, "2 1 1c 1 1c"),
        ({2: RESET, 1: SILENT}, {1: SILENT, 2: EXPIRED}, "2 1 1c 2c"),  # a first hop that never says a word
        ({2: SILENT, 1: SILENT}, {1: SILENT, 2: SILENT}, "2 1 1c 2c"),
        ({2: SILENT, 1: EXPIRED}, {1: EXPIRED, 2: OK}, "2 1 2c"),  # the control's server is that near
        ({2: SILENT, 1: EXPIRED}, None, "2 1"),
    ],
)
def test_no_more_is_sent_than_it_takes_to_decide(subject, control, expected):
    assert " ".join(sent(subject, control)) == expected


def test_from_a_router_only_its_next_hop_is_asked():
    assert sent({1: EXPIRED}, BOTH_HOPS, forwards=True) == ["1"]
    assert sent({1: SILENT}, BOTH_HOPS, forwards=True) == ["1"]


def waits(monkeypatch, arrivals: list[float]) -> list[float]:
    """When each that asks at those seconds may leave."""
    now, left = 0.0, []

    async def sleep(seconds: float) -> None:
        left.append(round(now + seconds, 6))

    monkeypatch.setattr("exporter.diagnosis.experiments.pace.asyncio.sleep", sleep)
    turns = HopPace(lambda: now, burst=3, every=1.0)
    for arrival in arrivals:
        now = arrival
        asyncio.run(turns.turn())
    return left


def test_three_leave_at_once_then_one_a_second(monkeypatch):
    assert waits(monkeypatch, [0.0] * 6) == [0, 0, 0, 1, 2, 3]


def test_a_pause_lets_as_many_leave_again(monkeypatch):
    assert waits(monkeypatch, [0.0] * 4 + [60.0] * 4) == [0, 0, 0, 1, 60, 60, 60, 61]


def test_those_who_come_slowly_never_wait(monkeypatch):
    arrivals = [number * 1.0 for number in range(10)]
    assert waits(monkeypatch, arrivals) == arrivals
