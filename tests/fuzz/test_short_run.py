"""Every target with its seeds, and with a fixed number of damaged ones: no traceback, nothing without end."""

import random

import pytest

from tests.fuzz.damage import damaged
from tests.fuzz.targets import TARGETS

#: Damaged inputs of each target.
TIMES = 3_000
SEED = 20_251_125


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str):
    target = TARGETS[name]
    seeds = target.seeds()
    assert seeds
    for seed in seeds:
        target.run(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_seeds(name: str):
    target = TARGETS[name]
    seeds = target.seeds()
    generator = random.Random(f"{SEED} {name}")
    for _ in range(TIMES):
        data = damaged(generator, seeds)
        try:
            target.run(data)
        except Exception as error:
            error.add_note(f"input: {data.hex()}")
            raise


def test_damage_is_the_same_for_the_same_seed_and_differs():
    def run(seed: int) -> list[bytes]:
        generator = random.Random(seed)
        return [damaged(generator, [b"one seed", b"another"]) for _ in range(50)]

    assert run(1) == run(1) != run(2)
    assert len(set(run(1))) > 30
