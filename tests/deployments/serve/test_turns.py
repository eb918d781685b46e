"""One at a time, owners in turn, the earliest accepted first; bounded, and no turn is lost."""

import asyncio

import pytest

from deployments.serve.turns import Turns
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


async def serve_all(turns: Turns, requests: list[tuple[str, str]]) -> list[str]:
    """Who was served one after the other, where all wait behind the first."""
    served, release = list[str](), asyncio.Event()

    async def work(number: int, owner: str, network: str) -> None:
        async with turns.take(number, owner, network):
            await release.wait()
            served.append(owner)

    tasks = []
    for number, (owner, network) in enumerate(requests):
        tasks.append(asyncio.create_task(work(number, owner, network)))
        await asyncio.sleep(0)
    release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return served + [type(one).__name__ for one in results if one is not None]


async def test_owners_are_served_in_turn() -> None:
    """Whoever came later isn't behind all jobs of somebody who was served just now."""
    jobs = [("a", ""), ("a", ""), ("a", ""), ("a", ""), ("b", ""), ("c", ""), ("b", "")]
    assert await serve_all(Turns(8), jobs) == ["a", "b", "c", "a", "b", "a", "a"]


async def test_accounts_of_one_network_are_served_as_one() -> None:
    requests = [("a", "192.0.2.1"), ("b", "192.0.2.1"), ("c", "192.0.2.1"), ("d", "192.0.2.2")]
    assert await serve_all(Turns(8), requests) == ["a", "d", "b", "c"]


async def test_requests_of_one_owner_or_network_leave_places_in_the_queue() -> None:
    """Nine sync requests of an account were all that TryOn took; jobs are bounded elsewhere."""
    flood = [("a", "192.0.2.1")] * 4 + [(owner, "192.0.2.1") for owner in "bcd"]
    refused = ["Unavailable"] * 2
    assert await serve_all(Turns(8), [*flood, ("e", "192.0.2.2")]) == [
        "a", "e", "b", "c", "a", "a", *refused
    ]  # fmt: skip
    assert await serve_all(Turns(8), [("a", "")] * 6) == ["a"] * 6


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


async def test_some_requests_may_have_their_turn_at_a_time() -> None:
    turns, running, most = Turns(8, at_once=3), 0, 0

    async def work(number: int) -> None:
        nonlocal running, most
        async with turns.take(number):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(work(number) for number in range(8)))
    assert most == 3 and turns.waiting == 0
