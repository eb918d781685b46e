"""A micro-batcher that runs as soon as the model is free, with all items that are waiting.

`@serve.batch` closes batches on a timer, even while the model is busy. This batcher lets a batch
grow until the model is free, and runs a single item at once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from errors import StudioError, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
Waiting = tuple[Item, asyncio.Future[Result], float]
"""An item, its result, and the time of its arrival."""
Run = Callable[[list[Item]], Coroutine[Any, Any, Iterable[Result | StudioError]]]


class CallersLeft(Exception):
    """All callers of a batch have left before its end."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One call of a batcher, for metrics.

    size: its items. waiting: the items that wait after it. wait_s: how long its oldest item has
    waited for it. run_s: how long the model took.
    """

    size: int
    waiting: int
    wait_s: float
    run_s: float


def in_thread(
    executor: Executor, run: Callable[[list[Item]], Iterable[Result]]
) -> Run[Item, Result]:
    """Turns a blocking `run` into an async one that uses the executor."""

    async def run_in_thread(items: list[Item]) -> Iterable[Result | StudioError]:
        return await asyncio.get_running_loop().run_in_executor(executor, run, items)

    return run_in_thread


class MicroBatcher(Generic[Item, Result]):
    """Joins the items of many callers into one call of `run`.

    Args:
        run: maps items to results in the same order; an error in place of a result belongs to
            that item. If it raises, an unknown item is bad: the batch is split until only the bad
            items fail.
        max_batch: the most items of one call.
        max_waiting: the most items that wait; more are refused.
        calls: how many calls run in parallel.
        weigh, max_weight: the weight of an item, and the most that one call may weigh; a single
            item may weigh more.
        is_cancellable: whether a call is cancelled once all of its callers have left; work in a
            thread can't be.
        observe: receives a report after every call.
    """

    def __init__(
        self,
        run: Run[Item, Result],
        *,
        max_batch: int,
        max_waiting: int,
        calls: int = 1,
        weigh: Callable[[Item], int] = lambda _: 0,
        max_weight: int = 0,
        is_cancellable: bool = False,
        observe: Callable[[BatchReport], None] = lambda _: None,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._calls = calls
        self._weigh = weigh
        self._max_weight = max_weight
        self._is_cancellable = is_cancellable
        self._observe = observe
        self._waiting: deque[Waiting[Item, Result]] = deque()
        self._loops: set[asyncio.Task[Any] | None] = set()

    async def submit(self, item: Item) -> Result:
        """Returns the result of the item.

        Raises:
            Unavailable: too many items are waiting.
            Exception: the error of `run` for this item.
        """
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable(f"{self._max_waiting} requests are waiting already")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future, time.perf_counter()))
        if len(self._loops) < self._calls:
            # In a context of its own, because it works for all callers; in the context of the
            # first one, Serve would cancel it when that caller disconnects.
            loop = asyncio.get_running_loop().create_task(
                self._drain(), name="micro-batcher", context=Context()
            )
            self._loops.add(loop)
            loop.add_done_callback(self._loops.discard)
        return await future

    @property
    def is_busy(self) -> bool:
        """Whether a call is running."""
        return bool(self._loops)

    def check(self) -> None:
        """Checks that waiting items have a running loop.

        Raises:
            RuntimeError: a batching loop has died while callers wait.
        """
        if self._waiting and not self._loops:
            raise RuntimeError("the batching loop has died")

    async def _drain(self) -> None:
        while batch := self._take():
            started_s = time.perf_counter()
            await self._run_batch(batch)
            wait_s, run_s = started_s - batch[0][2], time.perf_counter() - started_s
            self._observe(BatchReport(len(batch), len(self._waiting), wait_s, run_s))
        # Here, not only in the done callback: a caller who submits again at once runs before that
        # callback, and would take this task for a loop that is still draining.
        self._loops.discard(asyncio.current_task())

    def _take(self) -> list[Waiting[Item, Result]]:
        """Takes the oldest items that fit into one call, except those whose callers have left."""
        batch: list[Waiting[Item, Result]] = []
        weight = 0
        while self._waiting and len(batch) < self._max_batch:
            if self._waiting[0][1].done():
                self._waiting.popleft()
                continue
            weight += self._weigh(self._waiting[0][0])
            if batch and weight > self._max_weight:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _run_batch(self, batch: Sequence[Waiting[Item, Result]]) -> None:
        try:
            results = await self._call(batch)
        except CallersLeft:
            return
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0][1], error)
                return
            middle = len(batch) // 2
            await self._run_batch(batch[:middle])
            await self._run_batch(batch[middle:])
            return
        for (_, future, _), result in zip(batch, results, strict=True):
            _settle(future, result)

    async def _call(self, batch: Sequence[Waiting[Item, Result]]) -> Iterable[Result | StudioError]:
        work = self._run([item for item, _, _ in batch])
        if not self._is_cancellable:
            return await work
        return await while_awaited(work, [future for _, future, _ in batch])


async def while_awaited(
    work: Coroutine[Any, Any, Result], futures: Iterable[asyncio.Future[Any]]
) -> Result:
    """Awaits the work; cancels it when all of the futures are cancelled.

    Raises:
        CallersLeft: nobody waits for the result any longer.
    """
    task = asyncio.ensure_future(work)
    waiting = set(futures)

    def leave(future: asyncio.Future[Any]) -> None:
        waiting.discard(future)
        if not waiting:
            task.cancel()

    for future in tuple(waiting):
        future.add_done_callback(leave)
    try:
        return await task
    except asyncio.CancelledError:
        if waiting:
            raise
        raise CallersLeft from None


def _settle(future: asyncio.Future[Result], outcome: Result | Exception) -> None:
    """Sets the result or the error, unless the caller has left."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def portions(items: Sequence[bytes], most: int, max_bytes: int) -> Iterator[list[bytes]]:
    """Groups items, at most `most` and `max_bytes` together; a single item may be larger."""
    part: list[bytes] = []
    for item in items:
        if part and (len(part) == most or sum(map(len, part)) + len(item) > max_bytes):
            yield part
            part = []
        part.append(item)
    if part:
        yield part
