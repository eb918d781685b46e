"""One at a time, the earliest accepted first; bounded, and no turn is lost."""

import asyncio

import pytest

from deployments.turns import Turns
from errors import Unavailable


async def test_the_earliest_accepted_goes_first() -> None:
    turns, served = Turns(8), list[float]()
    release = asyncio.Event()

    async def work(accepted_s: float) -> None:
        async with turns.take(accepted_s):
            await release.wait()
            served.append(accepted_s)

    tasks = []
    for accepted_s in (9.0, 5.0, 3.0, 4.0, 3.5):
        tasks.append(asyncio.create_task(work(accepted_s)))
        await asyncio.sleep(0)
    assert turns.waiting == 5
    release.set()
    await asyncio.gather(*tasks)
    assert served == [9.0, 3.0, 3.5, 4.0, 5.0] and turns.waiting == 0


async def test_a_full_queue_refuses_and_one_that_leaves_gives_its_place() -> None:
    turns = Turns(1)
    async with turns.take(1.0):
        waiting = asyncio.create_task(turns.take(2.0).__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            async with turns.take(0.5):
                pass
        waiting.cancel()
        await asyncio.wait({waiting})
        assert turns.waiting == 1
    async with turns.take(3.0):
        assert turns.waiting == 1


async def test_a_turn_that_comes_while_leaving_is_passed_on() -> None:
    turns, served = Turns(4), list[int]()

    async def work(number: int) -> None:
        async with turns.take(number):
            served.append(number)

    async with turns.take(0):
        tasks = [asyncio.create_task(work(number)) for number in (1, 2)]
        await asyncio.sleep(0)
    tasks[0].cancel()  # its turn has come, it has not run yet
    await asyncio.wait(tasks)
    assert served in ([2], [1, 2]) and turns.waiting == 0
