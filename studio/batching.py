"""A micro-batcher that takes whatever waits the moment there is room, and never waits itself.

`@serve.batch` seals batches on a timer, also while the model is busy; this one lets a batch grow
until the model can take it, and runs a lone item at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, Generic, TypeVar

from errors import StudioError, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
Waiting = tuple[Item, asyncio.Future[Result]]
Run = Callable[[list[Item]], Awaitable[Iterable[Result | StudioError]]]


def in_thread(
    executor: Executor, run: Callable[[list[Item]], Iterable[Result]]
) -> Callable[[list[Item]], Awaitable[Iterable[Result | StudioError]]]:
    """A blocking `run` for a batcher; one thread serves all batchers of one model."""

    async def run_in_thread(items: list[Item]) -> Iterable[Result | StudioError]:
        return await asyncio.get_running_loop().run_in_executor(executor, run, items)

    return run_in_thread


class MicroBatcher(Generic[Item, Result]):
    """Many callers' items become one call of `run`.

    Args:
        run: items -> as many results, in order; an error in place of a result is that item's own.
            Raising means that an item is bad, nobody knows which: the batch is then split until
            only the bad items fail.
        max_batch: items of one call at most.
        max_waiting: items that may wait; more are refused.
        calls: how many calls run side by side.
        weigh, max_weight: what an item weighs, and what one call may carry (one item: anything).
        observe: told of every call: how many items it carries, and how many still wait.
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
        observe: Callable[[int, int], None] = lambda _size, _waiting: None,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._calls = calls
        self._weigh = weigh
        self._max_weight = max_weight
        self._observe = observe
        self._waiting: deque[Waiting[Item, Result]] = deque()
        self._loops: set[asyncio.Task[Any] | None] = set()

    async def submit(self, item: Item) -> Result:
        """The item's result.

        Raises:
            Unavailable: too many items wait already.
            Exception: whatever `run` raises for this very item.
        """
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable(f"{self._max_waiting} requests wait already")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._loops) < self._calls:
            # In a context of its own: it works for everyone, not for whoever came first, and
            # Serve would cancel it when that one's caller hangs up.
            loop = asyncio.get_running_loop().create_task(
                self._drain(), name="micro-batcher", context=Context()
            )
            self._loops.add(loop)
            loop.add_done_callback(self._loops.discard)
        return await future

    def check(self) -> None:
        """Raises:
        RuntimeError: a batching loop died and left callers waiting.
        """
        if self._waiting and not self._loops:
            raise RuntimeError("the batching loop has died")

    async def _drain(self) -> None:
        while batch := self._take():
            self._observe(len(batch), len(self._waiting))
            await self._run_batch(batch)
        # Now, not when the loop hears of it: a caller who was just answered and asks again at once
        # comes before that, and would take this task for one that still looks.
        self._loops.discard(asyncio.current_task())

    def _take(self) -> list[Waiting[Item, Result]]:
        """The oldest items that one call may carry, without those whose callers have left."""
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
            results = await self._run([item for item, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0][1], error)
                return
            middle = len(batch) // 2
            await self._run_batch(batch[:middle])
            await self._run_batch(batch[middle:])
            return
        for (_, future), result in zip(batch, results, strict=True):
            _settle(future, result)


def _settle(future: asyncio.Future[Result], outcome: Result | Exception) -> None:
    """Answers a caller who is still there."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def portions(items: Sequence[bytes], most: int, max_bytes: int) -> Iterator[list[bytes]]:
    """Items in order, so many and so large at most together; one alone may be larger."""
    part: list[bytes] = []
    for item in items:
        if part and (len(part) == most or sum(map(len, part)) + len(item) > max_bytes):
            yield part
            part = []
        part.append(item)
    if part:
        yield part
