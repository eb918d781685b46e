"""Background tasks: restarted when they are killed, and told of when that does not help."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from studio.background import MOST_FAILURES, Background


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    opened = Background(first_pause_s=0.01)
    yield opened
    await opened.aclose()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_killed_work_is_started_again_and_told_of(background: Background) -> None:
    starts: list[None] = []

    async def work() -> None:
        starts.append(None)
        await asyncio.Event().wait()

    background.start("work", work)
    for killed in range(1, MOST_FAILURES + 1):
        await until(lambda: len(starts) == killed)  # noqa: B023
        if killed == 1:
            assert background.failures == []
        background.check()
        task = background.tasks["work"]
        assert task is not None
        task.cancel()
        await until(task.done)
        await until(lambda: background.failures == ["work"])
    with pytest.raises(RuntimeError, match="work keeps failing"):
        background.check()
    await until(lambda: len(starts) == MOST_FAILURES + 1)


async def test_work_that_raises_or_returns_is_started_again(background: Background) -> None:
    starts: list[None] = []

    async def work() -> None:
        starts.append(None)
        if len(starts) == 1:
            raise ZeroDivisionError

    background.start("work", work)
    await until(lambda: len(starts) >= MOST_FAILURES)
    with pytest.raises(RuntimeError):
        background.check()


async def test_anothers_task_is_looked_at(background: Background) -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    background.watch("other", lambda: not task.done())
    background.check()
    task.cancel()
    await asyncio.wait({task})
    assert background.failures == ["other"]
    with pytest.raises(RuntimeError, match="other has ended"):
        background.check()
