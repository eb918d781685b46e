"""Leases: they are renewed while an attempt makes progress, and an attempt ends without one."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from jobs.attempt import run_leased
from jobs.claim import Claim, ClaimRequest, claim
from jobs.handler import Handler
from jobs.lease import LeaseKeeper
from jobs.reaper import reap_expired
from studio.job_types import JobRun, Outcome
from studio.jobs.jobs import cancel_job
from studio.ports import Studio
from tests.jobs.working import NOTE, SOON, job_of, put_job

LEASE_S = 0.6


@pytest.fixture
async def keeper(studio: Studio) -> AsyncIterator[LeaseKeeper]:
    opened = LeaseKeeper(studio.settings.required("database_url"))
    yield opened
    await asyncio.to_thread(opened.close)


async def take(studio: Studio) -> Claim:
    await put_job(studio)
    (one,) = await claim(
        studio.database, ClaimRequest(["note"], 1), owner="dispatcher", lease_s=LEASE_S,
        deadlines={"note": 60.0},
    )  # fmt: skip
    return one


async def block_the_loop(_: Studio, __: JobRun) -> Outcome:
    time.sleep(4 * LEASE_S)  # noqa: ASYNC251 - a handler that does what it should not
    return Outcome({"blocked": True})


async def wait_for_ever(_: Studio, __: JobRun) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


async def reap_often(studio: Studio) -> int:
    """Reaps as other dispatchers do; returns how many jobs were taken."""
    count = 0
    for _ in range(20):
        await asyncio.sleep(0.1)
        count += await reap_expired(studio.database, SOON)
    return count


async def test_a_blocked_loop_does_not_lose_the_lease(studio: Studio, keeper: LeaseKeeper) -> None:
    one = await take(studio)
    await run_leased(studio, one, Handler(NOTE, block_the_loop), SOON, keeper)
    assert await reap_expired(studio.database, SOON) == 0
    job = await job_of(studio, one.id)
    assert (job.state, job.result, job.crashes) == ("succeeded", {"blocked": True}, 0)


async def test_an_attempt_that_does_not_get_on_is_ended_and_reaped(
    studio: Studio, keeper: LeaseKeeper
) -> None:
    one = await take(studio)
    handler = Handler(NOTE, wait_for_ever, stall_s=0.3)
    _, reaped = await asyncio.gather(
        run_leased(studio, one, handler, SOON, keeper), reap_often(studio)
    )
    assert reaped == 1
    job = await job_of(studio, one.id)
    assert (job.state, job.crashes) == ("queued", 1)


async def test_a_running_attempt_hears_of_its_cancellation(
    studio: Studio, keeper: LeaseKeeper
) -> None:
    one = await take(studio)
    running = asyncio.create_task(
        run_leased(studio, one, Handler(NOTE, wait_for_ever), SOON, keeper)
    )
    await asyncio.sleep(0.1)
    await cancel_job(studio.database, one.id)
    await running
    job = await job_of(studio, one.id)
    assert (job.state, job.leased_by, job.lease_until) == ("cancelled", None, None)


async def test_an_attempt_that_was_superseded_ends_and_writes_nothing(
    studio: Studio, keeper: LeaseKeeper
) -> None:
    one = await take(studio)
    running = asyncio.create_task(
        run_leased(studio, one, Handler(NOTE, wait_for_ever), SOON, keeper)
    )
    await asyncio.sleep(0.1)
    async with studio.database.transaction() as session:
        await session.exec(text("UPDATE job SET fence = fence + 1"))  # type: ignore[call-overload]
    await running
    job = await job_of(studio, one.id)
    assert (job.state, job.fence, job.finished_at) == ("running", one.fence + 1, None)


async def test_a_claim_that_is_lost_before_it_begins_is_not_run(
    studio: Studio, keeper: LeaseKeeper
) -> None:
    one = await take(studio)
    async with studio.database.transaction() as session:
        await session.exec(text("UPDATE job SET fence = fence + 1"))  # type: ignore[call-overload]
    await run_leased(studio, one, Handler(NOTE, block_the_loop), SOON, keeper)
    assert (await job_of(studio, one.id)).state == "running"
