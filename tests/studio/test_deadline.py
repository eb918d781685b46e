"""Deadlines: they bound a block, travel as the time that remains, and interrupt no commit."""

import asyncio
import pickle
import time
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from db.engine import Database
from db.tables import DoomedBlob
from errors import DeadlinePassed, Invalid
from studio import context as module
from studio.context import Deadline, committing, current_deadline, shared_task, within

SHORT_S = 0.05


async def test_a_block_ends_at_its_deadline() -> None:
    is_cancelled = False
    with pytest.raises(DeadlinePassed):
        async with within(Deadline.after(SHORT_S)):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                is_cancelled = True
                raise
    assert is_cancelled and current_deadline() is None


async def test_no_block_begins_after_its_deadline() -> None:
    has_begun = False
    with pytest.raises(DeadlinePassed):
        async with within(Deadline.after(-1)):
            has_begun = True
    assert not has_begun


async def test_an_inner_timeout_is_no_deadline() -> None:
    with pytest.raises(TimeoutError):
        async with within(Deadline.after(60)), asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_the_errors_of_a_block_are_its_own() -> None:
    async with within(None):
        assert current_deadline() is None
    with pytest.raises(Invalid):
        async with within(Deadline.after(60)):
            raise Invalid("wrong")


def test_what_travels_is_the_time_that_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(Deadline.after(60))
    now_s = time.monotonic() + 1_000_000  # the other machine has been up for longer
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    assert 50 < pickle.loads(data).remaining_s <= 60


async def test_a_deadline_waits_for_a_commit() -> None:
    async with within(Deadline.after(SHORT_S)):
        with committing():
            await asyncio.sleep(2 * SHORT_S)
        assert (deadline := current_deadline()) is not None and deadline.remaining_s < 0
        await asyncio.sleep(0)  # there is still time to answer


async def test_after_the_commit_the_time_is_limited_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_GRACE_S", SHORT_S)
    with pytest.raises(DeadlinePassed):
        async with within(Deadline.after(SHORT_S)):
            with committing():
                await asyncio.sleep(2 * SHORT_S)
            await asyncio.Event().wait()


async def test_shared_work_outlives_the_deadline_of_its_first_caller() -> None:
    async def work() -> Deadline | None:
        with committing():  # of a block that has ended
            return current_deadline()

    async with within(Deadline.after(60)):
        task = shared_task(work(), name="shared")
    assert await task is None


async def test_a_cancelled_commit_ends_first(database_url: str) -> None:
    """The row is there, and the connection is usable."""
    database = Database(database_url, pool_size=1, committing=committing)
    row = DoomedBlob(key=f"uploads/{uuid4()}", due_at=datetime.now(UTC))
    has_written = asyncio.Event()

    async def write() -> None:
        async with database.transaction() as session:
            session.add(row)
            await session.flush()
            has_written.set()

    task = asyncio.create_task(write())
    await has_written.wait()
    task.cancel()  # arrives in the commit, which is the task's next wait
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.transaction() as session:
        stored = await session.get(DoomedBlob, (row.key, row.due_at))
        assert stored is not None
        await session.delete(stored)
    await database.aclose()
