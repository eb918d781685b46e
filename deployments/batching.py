"""A micro-batcher that takes whatever waits the moment the model is free, and never waits itself.

`@serve.batch` seals batches on a timer, also while the model is busy; this one lets a batch grow
until the model can take it, and runs a lone item at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Generic, TypeVar

from errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class MicroBatcher(Generic[Item, Result]):
    """Many callers' items become one call of `run`.

    Args:
        run: items -> as many results, in order; blocking, called in `executor`. Raising means that
            an item is bad: the batch is then split until only the bad items fail.
        executor: one thread, shared by all batchers of one model.
        max_batch: items of one call at most.
        max_waiting: items that may wait; more are refused.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Iterable[Result]],
        executor: Executor,
        *,
        max_batch: int,
        max_waiting: int,
    ) -> None:
        self._run = run
        self._executor = executor
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """The item's result.

        Raises:
            Unavailable: too many items wait already.
            Exception: whatever `run` raises for this very item.
        """
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable(f"{self._max_waiting} requests wait for the model already")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="micro-batcher")
        return await future

    def check(self) -> None:
        """Raises:
        RuntimeError: the batching loop died and left callers waiting.
        """
        if self._task is not None and self._task.done() and self._waiting:
            raise RuntimeError("the batching loop has died")

    async def _drain(self) -> None:
        while self._waiting:
            batch = [
                self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))
            ]
            await self._run_batch([pair for pair in batch if not pair[1].done()])
        self._task = None

    async def _run_batch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        if not batch:
            return
        loop = asyncio.get_running_loop()
        try:
            items = [item for item, _ in batch]
            results = await loop.run_in_executor(self._executor, self._run, items)
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0][1], error=error)
                return
            middle = len(batch) // 2
            await self._run_batch(batch[:middle])
            await self._run_batch(batch[middle:])
            return
        for (_, future), result in zip(batch, results, strict=True):
            _settle(future, result=result)


def _settle(
    future: asyncio.Future[Result],
    *,
    result: Result | None = None,
    error: Exception | None = None,
) -> None:
    """Answers a caller who is still there."""
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)  # type: ignore[arg-type]
