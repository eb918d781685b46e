"""The queue in PostgreSQL: the order of claims, leases and fences."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db.job_claims import (
    finish_jobs,
    has_lost_claim,
    renew_leases,
    report_progress,
    requeue_jobs,
)
from db.job_counts import count_backlog, count_overdue
from db.jobs import CHANNEL, insert_job
from db.notices import listen
from db.tables import Job
from errors import Conflict
from jobs.claim import Claim, ClaimRequest, claim
from jobs.reaper import reap_dead, reap_expired, release
from jobs.retry import CRASHED, RetryPolicy
from studio.accounts.accounts import create_user
from studio.job_types import JobType, enqueue
from studio.jobs.jobs import cancel_job, follow_job, retry_job
from studio.ports import Studio
from tests.jobs.working import SOON, events_of, job_of, put_job, until_state
from tests.support.fakes import PASSWORD

AT_ONCE = RetryPolicy(first_s=0.0, longest_s=0.0)


async def take(
    studio: Studio, limit: int = 10, *, owner: str = "a", lease_s: float = 10.0, alone: bool = False
) -> list[Claim]:
    """Claims jobs of the type `note`."""
    return await claim(
        studio.database, ClaimRequest(["note"], limit, alone), owner=owner, lease_s=lease_s,
        deadlines={"note": 60.0},
    )  # fmt: skip


async def finish(studio: Studio, one: Claim, **facts: object) -> bool:
    row = one.row | {"state": "succeeded", "result": {}, "error": None} | facts
    async with studio.database.transaction() as session:
        return bool(await finish_jobs(session, [row]))


async def test_higher_priority_first_then_older_and_nothing_before_its_time(
    studio: Studio,
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    first, second = await put_job(studio), await put_job(studio)
    await put_job(studio, run_at=later)
    urgent = await put_job(studio, priority=5)
    assert [one.id for one in await take(studio, 2)] == [urgent, first]
    assert [one.id for one in await take(studio)] == [second]
    assert await take(studio) == []


async def test_claimers_side_by_side_never_get_the_same_job(studio: Studio) -> None:
    jobs = {await put_job(studio) for _ in range(30)}
    claim_lists = await asyncio.gather(*(take(studio, 5, owner=str(turn)) for turn in range(10)))
    ids = [one.id for claims in claim_lists for one in claims]
    ids += [one.id for one in await take(studio, 30)]
    assert len(ids) == len(set(ids)) == 30 and set(ids) == jobs


async def test_only_the_newest_fence_is_believed(studio: Studio) -> None:
    job_id = await put_job(studio)
    (late,) = await take(studio, lease_s=0.05)
    await asyncio.sleep(0.1)
    assert await reap_expired(studio.database, AT_ONCE) == 1
    (now,) = await take(studio, owner="b")
    assert now.fence == late.fence + 1
    async with studio.database.transaction() as session:
        assert await renew_leases(session, [late.row], owner="a", lease_s=9) == []
        assert await report_progress(session, job_id, late.fence, PROGRESS) is None
        assert await has_lost_claim(session, job_id, late.fence)
        assert not await has_lost_claim(session, job_id, now.fence)
        assert not await requeue_jobs(session, [late.row | REQUEUE])
    assert not await finish(studio, late, result={"by": "late"})
    assert await finish(studio, now, result={"by": "now"})
    assert not await finish(studio, now, result={"by": "again"})
    job = await job_of(studio, job_id)
    assert (job.state, job.result, job.attempts, job.crashes) == (
        "succeeded", {"by": "now"}, 2, 1,
    )  # fmt: skip


PROGRESS = {"done": 1, "total": 2, "message": "going"}
REQUEUE = {"delay_s": 0, "unspent": 0, "crashes": 0, "error": None}


async def test_a_renewed_lease_is_not_reaped(studio: Studio) -> None:
    await put_job(studio)
    (one,) = await take(studio, lease_s=0.2)
    async with studio.database.transaction() as session:
        assert len(await renew_leases(session, [one.row], owner="worker", lease_s=30)) == 1
        assert await renew_leases(session, [one.row], owner="a", former="a", lease_s=1) == []
    await asyncio.sleep(0.3)
    assert await reap_expired(studio.database, AT_ONCE) == 0


async def test_a_job_that_ends_its_workers_is_a_dead_letter_that_an_operator_retries(
    studio: Studio,
) -> None:
    job_id = await put_job(studio)
    for _ in range(3):
        (one,) = await take(studio)
        await reap_dead(studio.database, AT_ONCE, [one])
    job = await job_of(studio, job_id)
    assert (job.state, job.crashes) == ("failed", 3)
    assert job.error is not None and job.error.startswith(CRASHED)
    with pytest.raises(Conflict):
        await cancel_job(studio.database, job_id)
    await retry_job(studio.database, job_id)
    with pytest.raises(Conflict):
        await retry_job(studio.database, job_id)
    (again,) = await take(studio)
    assert (again.attempts, again.crashes) == (1, 0)
    assert await finish(studio, again)


async def test_a_released_job_starts_at_once_and_is_not_blamed(studio: Studio) -> None:
    job_id = await put_job(studio)
    (one,) = await take(studio)
    await release(studio.database, [one])
    job = await job_of(studio, job_id)
    assert (job.state, job.attempts, job.crashes) == ("queued", 0, 0)
    assert len(await take(studio)) == 1


async def test_of_a_lone_type_one_runs_at_a_time(studio: Studio) -> None:
    for _ in range(4):
        await put_job(studio)
    claim_lists = await asyncio.gather(*(take(studio, 1, alone=True) for _ in range(8)))
    (first,) = [one for claims in claim_lists for one in claims]
    assert await take(studio, 1, alone=True) == []
    await finish(studio, first)
    assert len(await take(studio, 1, alone=True)) == 1


async def test_a_hundred_submissions_under_one_key_make_one_job(studio: Studio) -> None:
    user = await create_user(
        studio.database, email="a@example.com", password=PASSWORD, role="customer"
    )
    ids = await asyncio.gather(
        *(put_job(studio, owner_id=user.id, idempotency_key="k") for _ in range(100))
    )
    assert len(set(ids)) == 1
    assert [event.state for event in await events_of(studio, ids[0])] == ["queued"]
    with pytest.raises(Conflict):
        await put_job(studio, payload={"other": 1}, owner_id=user.id, idempotency_key="k")
    with pytest.raises(Conflict):
        await put_job(studio, "other", owner_id=user.id, idempotency_key="k")


async def test_a_job_is_enqueued_with_its_transaction_or_not_at_all(studio: Studio) -> None:
    job_id = uuid4()
    with pytest.raises(ZeroDivisionError):
        async with studio.database.transaction() as session:
            await enqueue(session, JobType("note", "customer"), {}, owner_id=None, job_id=job_id)
            raise ZeroDivisionError
    assert await take(studio) == []


async def test_a_queued_job_is_cancelled_at_once_and_a_running_one_is_asked(
    studio: Studio,
) -> None:
    queued = await put_job(studio)
    assert (await cancel_job(studio.database, queued)).state == "cancelled"
    assert (await cancel_job(studio.database, queued)).state == "cancelled"
    assert await take(studio) == []
    running = await put_job(studio)
    (one,) = await take(studio)
    assert (await cancel_job(studio.database, running)).state == "running"
    async with studio.database.transaction() as session:
        assert await report_progress(session, running, one.fence, PROGRESS) is True
    await reap_dead(studio.database, SOON, [one])
    assert (await until_state(studio, running)).state == "cancelled"


async def test_a_job_that_fails_while_it_is_being_cancelled_does_not_run_again(
    studio: Studio,
) -> None:
    job_id = await put_job(studio)
    (one,) = await take(studio)
    await cancel_job(studio.database, job_id)
    async with studio.database.transaction() as session:
        assert await requeue_jobs(session, [one.row | REQUEUE])
    job = await job_of(studio, job_id)
    assert job.state == "cancelled" and job.finished_at is not None
    assert [event.state for event in await events_of(studio, job_id)][-1] == "cancelled"
    assert await take(studio) == []


async def test_events_tell_every_change_in_order(studio: Studio) -> None:
    job_id = await put_job(studio)
    (one,) = await take(studio)
    async with studio.database.transaction() as session:
        await report_progress(session, job_id, one.fence, PROGRESS | {"errors": [1]})
    await finish(studio, one)
    events = await events_of(studio, job_id)
    assert [event.state for event in events] == ["queued", "running", "running", "succeeded"]
    assert [event.id for event in events] == sorted(event.id or 0 for event in events)
    assert events[2].progress == PROGRESS | {"errors": [1]}
    assert events[3].progress == PROGRESS


async def test_the_backlog_is_counted_by_type(studio: Studio) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    for _ in range(3):
        await put_job(studio)
    await put_job(studio, "other", run_at=later)
    await take(studio, 1, lease_s=0.05)
    await asyncio.sleep(0.2)
    async with studio.database.transaction() as session:
        backlog = await count_backlog(session)
        assert (await count_overdue(session, 0.0), await count_overdue(session, 60.0)) == (1, 0)
    assert {name: (row["due"], row["queued"]) for name, row in backlog.items()} == {
        "note": (2, 2), "other": (0, 1),
    }  # fmt: skip


async def test_a_watcher_is_kept_awake_and_let_go_when_the_server_drains(studio: Studio) -> None:
    job_id = await put_job(studio)
    draining = asyncio.Event()
    states = []
    async for event in follow_job(studio.database, job_id, keep_alive_s=0.0, until=draining):
        states.append(event and event.state)
        if len(states) == 3:
            draining.set()
    assert states == ["queued", None, None]


async def test_a_commit_is_hinted_at(studio: Studio) -> None:
    notice = asyncio.Event()
    url = studio.settings.required("database_url")
    listening = asyncio.create_task(listen(url, CHANNEL, notice.set))
    try:
        async with asyncio.timeout(10):
            while not notice.is_set():  # the first may come before it listens
                await put_job(studio)
                await asyncio.sleep(0.05)
    finally:
        listening.cancel()


async def test_an_inserted_job_is_given_back_as_it_is_stored(studio: Studio) -> None:
    async with studio.database.transaction() as session:
        job = await insert_job(session, Job(type="note", payload={"a": [1]}))
    assert isinstance(job.id, UUID) and job.payload == {"a": [1]} and job.created_at is not None


async def test_a_job_that_goes_back_to_the_queue_meanwhile_is_cancelled_all_the_same(
    studio: Studio,
) -> None:
    job_id = await put_job(studio)
    (one,) = await take(studio)
    async with studio.database.transaction() as session:
        assert await requeue_jobs(session, [one.row | REQUEUE])
        cancelling = asyncio.create_task(cancel_job(studio.database, job_id))
        while not await waits_for_a_lock(studio):
            assert not cancelling.done()
            await asyncio.sleep(0.01)
    assert (await cancelling).state == "cancelled"
    assert await take(studio) == []
    assert [event.state for event in await events_of(studio, job_id)][-1] == "cancelled"


async def waits_for_a_lock(studio: Studio) -> bool:
    """Whether a session of this database waits for a lock."""
    query = (
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with studio.database.read() as session:
        return bool((await session.exec(text(query))).scalar_one())  # type: ignore[call-overload]
