"""`make proof`: at least 100,000 made-up inputs at every way in; each prints its seed."""

import secrets

import pytest

from tests.fuzzing import TARGETS, fuzz

CASES = 20_000


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_inputs_break_nothing() -> None:
    made = 0
    for target in TARGETS:
        seed = secrets.randbits(32)
        print(f"\nfuzz: {target.name}, seed {seed}", end="")  # noqa: T201
        found = fuzz(target, CASES, seed)
        made += found
        print(f": {found} inputs", end="")  # noqa: T201
    assert made >= 100_000
