"""Made-up input at every way in: a little of what `make proof` does at length."""

import secrets

import pytest

from tests.support.fuzzing import TARGETS, Target, fuzz


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.name))
def test_nothing_breaks_it(target: Target) -> None:
    assert fuzz(target, cases=200, seed=secrets.randbits(32)) >= 100
