"""Pictures in memory count for their request, its caller and the process."""

import asyncio

import pytest

from integrations.fair_semaphore import AllBusy, Caller, OwnerBusy
from studio.files import picture_memory
from studio.files.picture_memory import PictureMemory, hold_picture

SIZE = picture_memory.MAX_BYTES_PER_OWNER


async def test_bounds_of_a_caller_and_of_all() -> None:
    memory = PictureMemory()
    owners = [str(number) for number in range(picture_memory.MAX_BYTES // SIZE)]
    end = asyncio.Event()
    names: list[str] = []

    async def request(owner: str) -> None:
        with memory.request(owner):
            hold_picture(SIZE // 2)
            hold_picture(SIZE // 2)
            names.append(owner)
            await end.wait()

    tasks = [asyncio.create_task(request(owner)) for owner in owners]
    await asyncio.sleep(0)
    assert names == owners
    with pytest.raises(OwnerBusy):
        await request(owners[0])
    with pytest.raises(AllBusy):
        await request("another")
    end.set()
    await asyncio.gather(*tasks)
    assert not memory._bytes
    await request("another")
    assert not memory._bytes


async def test_accounts_of_one_network_share_its_memory() -> None:
    memory = PictureMemory()
    for number in range(picture_memory.MAX_BYTES_PER_NETWORK // SIZE):
        memory.take(Caller(f"user:{number}", "192.0.2.1"), SIZE)
    with pytest.raises(OwnerBusy):
        memory.take(Caller("user:another", "192.0.2.1"), SIZE)
    memory.take(Caller("user:far", "192.0.2.2"), SIZE)
    memory.give_back(Caller("user:0", "192.0.2.1"), SIZE)
    memory.take(Caller("user:another", "192.0.2.1"), SIZE)


async def test_work_that_outlives_its_request_holds_nothing() -> None:
    memory, end = PictureMemory(), asyncio.Event()

    async def late() -> None:
        await end.wait()
        hold_picture(SIZE)

    with memory.request("a"):
        hold_picture(1)
        task = asyncio.create_task(late())
    end.set()
    await task
    assert not memory._bytes


def test_jobs_have_no_request() -> None:
    for _ in range(2):
        hold_picture(2 * SIZE)
