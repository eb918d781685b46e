"""The micro-batcher: full when busy, instant when idle, fair to the innocent, bounded."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from errors import Invalid, StudioError, Unavailable
from studio.batching import BatchReport, MicroBatcher, in_thread


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


class Model:
    """Doubles numbers, refuses negative ones, and can be paused."""

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
        in_thread(thread, model.run),
        max_batch=bounds.get("max_batch", 8),
        max_waiting=bounds.get("max_waiting", 100),
    )


async def test_a_lone_item_runs_alone(thread: ThreadPoolExecutor) -> None:
    model = Model()
    assert await batcher(model, thread).submit(3) == 6
    assert model.batches == [[3]]


async def test_a_caller_who_asks_again_at_once_is_answered(thread: ThreadPoolExecutor) -> None:
    submit = batcher(Model(), thread).submit

    async def ask() -> list[int]:
        return [await submit(item) for item in range(50)]

    assert await asyncio.wait_for(ask(), 10) == [2 * item for item in range(50)]


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


async def test_a_dead_loop_fails_the_health_check_and_the_next_caller_starts_another() -> None:
    deaths = [asyncio.CancelledError()]

    async def run(items: list[int]) -> list[int]:
        if deaths:
            raise deaths.pop()
        return items

    one = MicroBatcher(run, max_batch=1, max_waiting=9)
    first, second = (asyncio.ensure_future(one.submit(item)) for item in (1, 2))
    await asyncio.sleep(0.02)
    with pytest.raises(RuntimeError, match="died"):
        one.check()
    assert await one.submit(3) == 3
    assert await second == 2
    one.check()
    first.cancel()


async def test_calls_run_side_by_side_and_an_error_among_results_is_that_items() -> None:
    running, most = 0, 0
    batches: list[list[int]] = []

    async def run(items: list[int]) -> list[int | StudioError]:
        nonlocal running, most
        batches.append(items)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return [Invalid("negative") if item < 0 else item for item in items]

    one = MicroBatcher(run, max_batch=4, max_waiting=99, calls=2)
    tasks = [asyncio.create_task(one.submit(1))]
    await asyncio.sleep(0.005)
    tasks += [asyncio.create_task(one.submit(item)) for item in (2, -3, 4, 5, 6, 7)]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers.pop(2), Invalid)
    assert answers == [1, 2, 4, 5, 6, 7]
    assert batches == [[1], [2, -3, 4, 5], [6, 7]] and most == 2


async def test_a_call_carries_no_more_than_it_may_weigh() -> None:
    batches: list[list[bytes]] = []

    async def run(items: list[bytes]) -> list[int]:
        batches.append(items)
        return [len(item) for item in items]

    one = MicroBatcher(run, max_batch=9, max_waiting=99, weigh=len, max_weight=10)
    sizes = [4, 5, 3, 40, 1, 1]
    assert await asyncio.gather(*(one.submit(b"x" * size) for size in sizes)) == sizes
    assert [[len(item) for item in batch] for batch in batches] == [[4, 5], [3], [40], [1, 1]]


async def test_a_batch_belongs_to_nobody_in_particular() -> None:
    caller: ContextVar[str] = ContextVar("caller", default="nobody")
    callers: list[str] = []
    reports: list[BatchReport] = []
    free = asyncio.Event()

    async def run(items: list[int]) -> list[int]:
        callers.append(caller.get())
        await free.wait()
        return items

    batcher = MicroBatcher(run, max_batch=2, max_waiting=9, observe=reports.append)

    async def submit(item: int) -> int:
        caller.set(f"caller {item}")
        return await batcher.submit(item)

    tasks = [asyncio.create_task(submit(item)) for item in range(4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    free.set()
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3]
    assert set(callers) == {"nobody"}
    assert sum(report.size for report in reports) == 4 and reports[-1].waiting == 0
    assert all(report.wait_s >= 0 and report.run_s > 0 for report in reports)
    assert reports[-1].wait_s >= reports[0].run_s  # it waited for the call before it


async def test_a_call_ends_when_all_of_its_callers_have_left() -> None:
    """The others of a batch still get their results; the next call runs at once."""
    cancelled: list[list[int]] = []
    has_begun, is_free = asyncio.Event(), asyncio.Event()

    async def run(items: list[int]) -> list[int]:
        has_begun.set()
        try:
            await is_free.wait()
        except asyncio.CancelledError:
            cancelled.append(items)
            raise
        return [2 * item for item in items]

    calls = MicroBatcher(run, max_batch=4, max_waiting=8, is_cancellable=True)
    alone = asyncio.create_task(calls.submit(1))
    await has_begun.wait()
    pair = [asyncio.create_task(calls.submit(item)) for item in (2, 3)]
    has_begun.clear()
    alone.cancel()
    await has_begun.wait()  # of the pair
    assert cancelled == [[1]]
    pair[0].cancel()
    await asyncio.wait({pair[0]})
    is_free.set()
    assert await pair[1] == 6 and cancelled == [[1]]
    calls.check()
