"""One query serves many readers: events in order, little memory for slow readers, and the end."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlmodel import insert

from db.tables import JobEvent
from errors import Unavailable
from studio.jobs.jobs import cancel_job
from studio.jobs.watch import BATCH, EventStream, JobWatch, StreamOver, TooManyStreams
from studio.ports import Studio
from tests.jobs.working import put_job


@pytest.fixture
async def watch(studio: Studio) -> AsyncIterator[JobWatch]:
    opened = JobWatch(studio.database, until=asyncio.Event())
    running = asyncio.create_task(opened.run())
    yield opened
    await opened.aclose()
    running.cancel()
    await asyncio.wait({running})


async def tell(studio: Studio, job_id: UUID, count: int) -> None:
    """Reports progress this many times."""
    rows = [{"job_id": job_id, "state": "running", "progress": {"done": n}} for n in range(count)]
    async with studio.database.transaction() as session:
        await session.exec(insert(JobEvent), params=rows)


async def read_all(stream: EventStream) -> list[JobEvent]:
    events = []
    async with asyncio.timeout(20):
        try:
            while True:
                if (event := await stream.next(5)) is not None:
                    events.append(event)
        except StreamOver:
            return events


async def test_a_hundred_streams_cost_one_query_a_look(studio: Studio, watch: JobWatch) -> None:
    jobs = [await put_job(studio) for _ in range(10)]
    streams = [watch.open(uuid4(), job_id, 0) for job_id in jobs for _ in range(10)]
    first = await asyncio.gather(*(stream.next(5) for stream in streams))
    assert [event and event.state for event in first] == ["queued"] * 100
    queries = watch.queries
    assert queries <= 3
    for job_id in jobs:
        await cancel_job(studio.database, job_id)
    ends = await asyncio.gather(*(read_all(stream) for stream in streams))
    assert [[event.state for event in events] for events in ends] == [["cancelled"]] * 100
    assert watch.queries - queries <= 4


async def test_a_slow_reader_holds_few_events_and_misses_none(
    studio: Studio, watch: JobWatch
) -> None:
    job_id = await put_job(studio)
    slow = watch.open(uuid4(), job_id, 0)
    await tell(studio, job_id, 35)
    await cancel_job(studio.database, job_id)
    quick = await read_all(watch.open(uuid4(), job_id, 0))
    assert len(slow.events) == BATCH and len(quick) == 37
    assert [event.id for event in await read_all(slow)] == [event.id for event in quick]
    resumed = watch.open(uuid4(), job_id, quick[20].id or 0)
    assert [event.id for event in await read_all(resumed)] == [one.id for one in quick[21:]]


async def test_an_even_number_of_batches_ends_too(studio: Studio, watch: JobWatch) -> None:
    job_id = await put_job(studio)
    await tell(studio, job_id, 2 * BATCH - 2)
    await cancel_job(studio.database, job_id)
    assert len(await read_all(watch.open(uuid4(), job_id, 0))) == 2 * BATCH


async def test_streams_end_with_their_process_and_their_task(studio: Studio) -> None:
    job_id = await put_job(studio)
    until = asyncio.Event()
    watch = JobWatch(studio.database, until=until)
    running = asyncio.create_task(watch.run())
    stream = watch.open(uuid4(), job_id, 0)
    assert await stream.next(5) is not None
    until.set()
    assert await read_all(stream) == []
    lost = watch.open(uuid4(), job_id, 0)
    running.cancel()
    await asyncio.wait({running})
    with pytest.raises((Unavailable, StreamOver)):
        await lost.next(5)


async def test_places_are_counted_and_given_back_once(studio: Studio, watch: JobWatch) -> None:
    account, job_id = uuid4(), await put_job(studio)
    streams = [watch.open(account, job_id, 0) for _ in range(5)]
    with pytest.raises(TooManyStreams):
        watch.open(account, job_id, 0)
    watch.close(streams[0])
    watch.close(streams[0])
    watch.open(account, job_id, 0)
    with pytest.raises(TooManyStreams):
        watch.open(account, job_id, 0)
