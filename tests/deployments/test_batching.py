"""The micro-batcher: full when busy, instant when idle, fair to the innocent, bounded."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployments.batching import MicroBatcher
from errors import Invalid, Unavailable


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


class Model:
    """Doubles numbers; refuses negative ones; can be held."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = threading.Event()
        self.free.set()

    def run(self, items: list[int]) -> list[int]:
        self.free.wait(10)
        self.batches.append(items)
        if any(item < 0 for item in items):
            raise Invalid("negative")
        return [2 * item for item in items]


def batcher(model: Model, thread: ThreadPoolExecutor, **bounds: int) -> MicroBatcher[int, int]:
    return MicroBatcher(
        model.run,
        thread,
        max_batch=bounds.get("max_batch", 8),
        max_waiting=bounds.get("max_waiting", 100),
    )


async def test_a_lone_item_runs_alone(thread: ThreadPoolExecutor) -> None:
    model = Model()
    assert await batcher(model, thread).submit(3) == 6
    assert model.batches == [[3]]


async def test_what_waits_while_the_model_works_becomes_one_batch(
    thread: ThreadPoolExecutor,
) -> None:
    model = Model()
    model.free.clear()
    submit = batcher(model, thread).submit
    tasks = [asyncio.create_task(submit(item)) for item in range(12)]
    await asyncio.sleep(0.05)
    model.free.set()
    assert await asyncio.gather(*tasks) == [2 * item for item in range(12)]
    # All were submitted before the loop ran once, so they fill batches of eight.
    assert [len(batch) for batch in model.batches] == [8, 4]


async def test_a_bad_item_fails_alone(thread: ThreadPoolExecutor) -> None:
    model = Model()
    submit = batcher(model, thread).submit
    answers = await asyncio.gather(
        *(submit(item) for item in (1, 2, -3, 4, -5)), return_exceptions=True
    )
    assert [answers[place] for place in (0, 1, 3)] == [2, 4, 8]
    assert isinstance(answers[2], Invalid) and isinstance(answers[4], Invalid)
    assert await submit(6) == 12


async def test_more_than_may_wait_are_refused_and_the_others_answered(
    thread: ThreadPoolExecutor,
) -> None:
    model = Model()
    model.free.clear()
    one = batcher(model, thread, max_batch=2, max_waiting=4)
    tasks = [asyncio.create_task(one.submit(item)) for item in range(3)]
    await asyncio.sleep(0.05)
    tasks += [asyncio.create_task(one.submit(item)) for item in range(3, 9)]
    await asyncio.sleep(0.05)
    model.free.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert len(refused) == 3
    assert list(answers[:3]) == [0, 2, 4]


async def test_a_caller_who_left_costs_nothing(thread: ThreadPoolExecutor) -> None:
    model = Model()
    model.free.clear()
    one = batcher(model, thread, max_batch=1)
    first = asyncio.create_task(one.submit(1))
    await asyncio.sleep(0.02)
    gone = asyncio.create_task(one.submit(2))
    last = asyncio.create_task(one.submit(3))
    await asyncio.sleep(0.02)
    gone.cancel()
    await asyncio.sleep(0.02)
    model.free.set()
    assert list(await asyncio.gather(first, last)) == [2, 6]
    assert model.batches == [[1], [3]]


async def test_a_dead_loop_fails_the_health_check(thread: ThreadPoolExecutor) -> None:
    one = batcher(Model(), thread)
    await one.submit(1)
    one.check()

    async def dies() -> None:
        raise SystemError

    one._task = asyncio.create_task(dies())
    one._waiting.append((1, asyncio.get_running_loop().create_future()))
    await asyncio.wait([one._task])
    with pytest.raises(RuntimeError, match="died"):
        one.check()
    assert isinstance(one._task.exception(), SystemError)
