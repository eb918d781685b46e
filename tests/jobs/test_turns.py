"""Turns by owner: no account waits behind all jobs of another one, and no claim reads them all."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, text

from db.job_claims import claim_statement, finish_jobs
from db.tables import Job
from jobs.claim import Claim, ClaimRequest, claim
from jobs.reaper import release
from studio.accounts.accounts import create_user
from studio.job_types import JobType, TooManyOpenJobs, enqueue
from studio.ports import Studio
from tests.jobs.working import put_job
from tests.support.fakes import PASSWORD


async def account(studio: Studio) -> UUID:
    email = f"{uuid4().hex}@example.com"
    user = await create_user(studio.database, email=email, password=PASSWORD, role="customer")
    return user.id


async def fill(studio: Studio, owner_id: UUID | None, count: int, **facts: Any) -> None:
    """Inserts due jobs that are older than any other."""
    past = datetime.now(UTC) - timedelta(hours=1)
    row = {"type": "note", "owner_id": owner_id, "payload": {}, "run_at": past} | facts
    async with studio.database.transaction() as session:
        await session.exec(insert(Job), params=[row | {"id": uuid4()} for _ in range(count)])


async def take(studio: Studio, limit: int = 1, types: tuple[str, ...] = ("note",)) -> list[Claim]:
    return await claim(
        studio.database, ClaimRequest(types, limit), owner="a", lease_s=10.0,
        deadlines=dict.fromkeys(types, 60.0),
    )  # fmt: skip


async def finish(studio: Studio, claims: list[Claim]) -> None:
    async with studio.database.transaction() as session:
        await finish_jobs(session, [one.row | {"state": "succeeded"} for one in claims])


async def test_due_jobs_of_one_priority_take_turns_by_owner(studio: Studio) -> None:
    many, few = await account(studio), await account(studio)
    await fill(studio, many, 30)
    await fill(studio, None, 10)
    lone = [await put_job(studio, owner_id=few), await put_job(studio, owner_id=few)]
    owners: list[UUID | None] = []
    for _ in range(9):
        claims = await take(studio)
        owners += [one.owner_id for one in claims]
        await finish(studio, claims)
    assert set(owners[:3]) == set(owners[3:6]) == {many, None, few}
    assert {owners[6], owners[7]} == {many, None} and owners[8] in {many, None}
    assert len(lone) == owners.count(few)


async def test_a_claim_of_many_is_shared_and_priority_comes_first(studio: Studio) -> None:
    many, few = await account(studio), await account(studio)
    await fill(studio, many, 30)
    await fill(studio, few, 4, priority=-1)
    for _ in range(3):
        await put_job(studio, owner_id=few)
    shares = [one.owner_id for one in await take(studio, 8)]
    assert shares == [many, few, many, few, many, few, many, many]


async def test_who_has_the_fewest_running_jobs_comes_first(studio: Studio) -> None:
    many, few = await account(studio), await account(studio)
    await fill(studio, many, 30)
    running = await take(studio, 3)
    await fill(studio, few, 5)
    claims = [one for _ in range(4) for one in await take(studio)]
    assert [one.owner_id for one in claims[:3]] == [few] * 3
    await finish(studio, running)
    assert [one.owner_id for one in await take(studio, 2)] == [many] * 2


async def test_a_retried_job_takes_its_owners_turn_and_a_future_one_saves_none_up(
    studio: Studio,
) -> None:
    many, few = await account(studio), await account(studio)
    await fill(studio, many, 30, run_at=datetime.now(UTC) + timedelta(hours=1))
    await fill(studio, few, 5)
    first = await take(studio, 2)
    assert [one.owner_id for one in first] == [few] * 2  # many has nothing due
    await release(studio.database, first)
    async with studio.database.transaction() as session:
        await session.exec(text("UPDATE job SET run_at = now()"))  # type: ignore[call-overload]
    assert [one.owner_id for one in await take(studio, 4)] == [many, few, many, few]


async def test_side_by_side_claims_leave_nobody_out(studio: Studio) -> None:
    many, few = await account(studio), await account(studio)
    await fill(studio, many, 50)
    await put_job(studio, owner_id=few)
    claim_lists = await asyncio.gather(*(take(studio) for _ in range(4)))
    assert few in [one.owner_id for claims in claim_lists for one in claims]


async def test_a_claim_reads_no_more_rows_however_many_jobs_one_owner_has(
    studio: Studio,
) -> None:
    rows = []
    for count in (100, 3000):
        for owner_id in (await account(studio), None):
            await fill(studio, owner_id, count)
        await put_job(studio, owner_id=await account(studio))
        rows.append(await count_rows(studio))
    assert rows[1] - rows[0] < 100, "beside those of the new accounts"


async def count_rows(studio: Studio) -> int:
    """Counts the rows of `job` that a claim reads."""
    statement = "EXPLAIN (ANALYZE, FORMAT JSON) " + claim_statement(("note",), 1, alone=False)
    parameters = {"owner": "a", "lease_s": 10.0, "deadlines": '{"note": 60}'}
    async with studio.database.transaction() as session:
        await session.exec(text("ANALYZE job"))  # type: ignore[call-overload]
        result = await session.exec(text(statement), params=parameters)  # type: ignore[call-overload]
        (plan,) = result.scalar_one()
    return sum(rows_of_scans(plan["Plan"]))


def rows_of_scans(node: dict[str, Any]) -> Iterator[int]:
    if node.get("Relation Name") == "job" and "Scan" in node["Node Type"]:
        read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        yield round(read * node["Actual Loops"])
    for part in node.get("Plans", ()):
        yield from rows_of_scans(part)


async def test_open_jobs_of_an_account_and_type_are_bounded_also_side_by_side(
    studio: Studio,
) -> None:
    owner_id, other = await account(studio), await account(studio)
    bounded = JobType("note", role="customer", max_open=5)

    async def ask(owner_id: UUID, job_type: JobType = bounded) -> bool:
        try:
            async with studio.database.transaction() as session:
                await enqueue(session, job_type, {}, owner_id=owner_id)
        except TooManyOpenJobs as error:
            assert "5 open note jobs" in error.detail and error.retry_after_s > 0
            return False
        return True

    assert sum(await asyncio.gather(*(ask(owner_id) for _ in range(20)))) == 5
    assert await ask(other) and await ask(owner_id, JobType("other", role="customer", max_open=5))
    claims = [one for one in await take(studio, 10) if one.owner_id == owner_id]
    assert not await ask(owner_id), "running jobs are open"
    await finish(studio, claims[:1])
    assert await ask(owner_id) and not await ask(owner_id)


def test_only_names_get_into_the_statement() -> None:
    with pytest.raises(ValueError, match="lower-case"):
        claim_statement(("x'); DROP TABLE job; --",), 1, alone=False)
