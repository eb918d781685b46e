"""Random input at every entry; `make proof` runs the long version."""

import secrets

import pytest

from tests.support.fuzzing import TARGETS, Target, fuzz


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.name))
def test_nothing_breaks_it(target: Target) -> None:
    assert fuzz(target, cases=200, seed=secrets.randbits(32)) >= 100
