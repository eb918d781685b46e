"""The model-based test: 25 runs in `make test`, 500 and more in `make proof`."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.studio.payments.payment_machine import PaymentMachine, Stage
from tests.studio.payments.shop import open_shop
from tests.support.simulator import Simulator


@pytest.fixture
def stage(database_url: str, redis_url: str, simulator: Simulator) -> Iterator[type[Stage]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        shop = runner.run(stack.enter_async_context(open_shop(database_url, redis_url, simulator)))
        Stage.shop, Stage.runner, Stage.runs, Stage.ends = shop, runner, 0, Counter()
        yield Stage
        runner.run(stack.aclose())


def walk(runs: int, steps: int, number: int) -> None:
    """Runs the machine so many times, with at most so many steps."""
    profile = settings(
        max_examples=runs, stateful_step_count=steps, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck), print_blob=True,
    )  # fmt: skip
    run_state_machine_as_test(seed(number)(PaymentMachine), settings=profile)


# Slow: 25 runs of up to ten steps, which call the simulator over HTTP.
def test_the_money_is_the_same_everywhere(stage: type[Stage]) -> None:
    walk(25, 10, secrets.randbits(32))
    assert stage.runs >= 25


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_the_money_is_the_same_everywhere_at_length(stage: type[Stage]) -> None:
    number = secrets.randbits(32)
    print(f"\npayments: seed {number}")  # noqa: T201
    walk(500, 20, number)
    print(f"payments: {stage.runs} runs, orders ended as {dict(stage.ends)}")  # noqa: T201
    assert stage.runs >= 500
    assert set(stage.ends) >= {"CREATED", "APPROVED", "COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"}
