"""Queries of dispatchers and workers: writes are fenced, times come from the database's clock."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import ACCOUNT

Row = Mapping[str, Any]

EVENT = """
    INSERT INTO job_event (job_id, state, progress)
    SELECT id, state, jsonb_build_object(
        'done', progress_done, 'total', progress_total, 'message', progress_message)
"""

SPARE = 16
"""Rows that a claim reads beyond its limit, as other dispatchers may be claiming the first ones."""

CLAIM = f"""
WITH RECURSIVE kind(type) AS (
    SELECT type FROM (VALUES %(types)s) AS requested(type)
    WHERE NOT (%(alone)s AND EXISTS (
        SELECT 1 FROM job WHERE state = 'running' AND type IN (SELECT * FROM (VALUES %(types)s))))
), account AS (
    SELECT kind.type, first.id FROM kind CROSS JOIN LATERAL (
        SELECT {ACCOUNT} AS id FROM job WHERE state = 'queued' AND type = kind.type
        ORDER BY {ACCOUNT} LIMIT 1) AS first
    UNION ALL
    SELECT account.type, following.id FROM account CROSS JOIN LATERAL (
        SELECT {ACCOUNT} AS id FROM job
        WHERE state = 'queued' AND type = account.type AND {ACCOUNT} > account.id
        ORDER BY {ACCOUNT} LIMIT 1) AS following
), running AS (
    SELECT {ACCOUNT} AS account, count(*) AS jobs FROM job WHERE state = 'running' GROUP BY 1
), front AS (
    SELECT account.*, coalesce(running.jobs, 0) AS busy, latest.claimed_at
    FROM account
    CROSS JOIN LATERAL (
        SELECT id, priority, run_at FROM job
        WHERE state = 'queued' AND type = account.type AND {ACCOUNT} = account.id
            AND run_at <= now()
        ORDER BY priority DESC, run_at, id LIMIT 1) AS head
    LEFT JOIN running ON running.account = account.id
    LEFT JOIN LATERAL (
        SELECT claimed_at FROM job WHERE {ACCOUNT} = account.id AND claimed_at IS NOT NULL
        ORDER BY claimed_at DESC LIMIT 1) AS latest ON true
    ORDER BY head.priority DESC, busy, latest.claimed_at NULLS FIRST, head.run_at, head.id
    LIMIT %(accounts)s
), turn AS (
    SELECT due.id, row_number() OVER (
        ORDER BY due.priority DESC, share, claimed_at NULLS FIRST, due.run_at, due.id) AS place
    FROM (
        SELECT front.claimed_at, due.*, front.busy + row_number() OVER (
            PARTITION BY front.id ORDER BY due.priority DESC, due.run_at, due.id) AS share
        FROM front CROSS JOIN LATERAL (
            SELECT id, priority, run_at FROM job
            WHERE state = 'queued' AND type = front.type AND {ACCOUNT} = front.id
                AND run_at <= now()
            ORDER BY priority DESC, run_at, id LIMIT %(reach)s) AS due
    ) AS due
), locked AS (
    SELECT free.id, ordered.place FROM (SELECT * FROM turn ORDER BY place) AS ordered
    CROSS JOIN LATERAL (
        SELECT id FROM job WHERE id = ordered.id AND state = 'queued'
        FOR UPDATE SKIP LOCKED) AS free
    LIMIT %(limit)s
), claimed AS (
    UPDATE job SET state = 'running', fence = fence + 1, attempts = attempts + 1,
        leased_by = :owner, lease_until = now() + make_interval(secs => :lease_s),
        started_at = coalesce(started_at, now()), claimed_at = now(),
        deadline_at = now() + make_interval(secs => (CAST(:deadlines AS jsonb) ->> type)::float8)
    FROM locked WHERE job.id = locked.id RETURNING job.*, locked.place
), event AS ({EVENT} FROM claimed)
SELECT id, type, owner_id, payload, fence, attempts, max_attempts, crashes, progress_done,
    request_id, traceparent, extract(epoch FROM deadline_at - now())::float8 AS deadline_s
FROM claimed ORDER BY place
"""  # noqa: S608 - every part is a constant
"""Claims in turns: highest priority first; then the account with the fewest running jobs, then the
account whose last claim is longest ago, then the oldest job.

`account` is a loose index scan: it takes one step for each account with queued jobs of a type,
however many jobs the account has. Numbers and types are part of the text, so that PostgreSQL plans
each statement once.
"""


@lru_cache(maxsize=256)
def claim_statement(types: tuple[str, ...], limit: int, *, alone: bool) -> str:
    """`CLAIM` for these types and this number of jobs.

    Raises:
        ValueError: a type does not look like a name of the registry.
    """
    if not all(re.fullmatch(r"[a-z][a-z-]*", name) for name in types):
        raise ValueError(f"types are lower-case words with hyphens, not {types}")
    return CLAIM % {
        "types": ", ".join(f"('{name}')" for name in types),
        "alone": str(alone),
        "accounts": limit * len(types) + SPARE,
        "reach": limit + SPARE,
        "limit": limit,
    }


WAITING = """
SELECT type FROM job AS large
WHERE state = 'queued' AND type = ANY(:large)
    AND run_at <= now() - make_interval(secs => :patience_s)
    AND NOT (type = ANY(:alone) AND EXISTS (
        SELECT 1 FROM job AS other WHERE other.state = 'running' AND other.type = large.type))
    AND priority >= coalesce((
        SELECT max(priority) FROM job
        WHERE state = 'queued' AND type = ANY(:small) AND run_at <= now()), -32768)
ORDER BY priority DESC, run_at, id LIMIT 1
"""

RENEW = """
UPDATE job SET lease_until = clock_timestamp() + make_interval(secs => :lease_s), leased_by = :owner
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS claim(id uuid, fence bigint)
WHERE job.id = claim.id AND job.fence = claim.fence AND state = 'running'
    AND (:former = '' OR leased_by = :former)
RETURNING job.id, job.fence, cancel_requested
"""

WATCH = """
SELECT job.id, job.fence, job.leased_by, cancel_requested,
    deadline_at + make_interval(secs => :grace_s) < now() AS is_late
FROM job JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS claim(id uuid, fence bigint)
    ON job.id = claim.id AND job.fence = claim.fence
WHERE state = 'running'
"""

PROGRESS = """
WITH moved AS (
    UPDATE job SET progress_done = :done, progress_total = :total, progress_message = :message
    WHERE id = :id AND fence = :fence AND state = 'running'
    RETURNING id, state, cancel_requested
), event AS (
    INSERT INTO job_event (job_id, state, progress)
    SELECT id, state, CAST(:progress AS jsonb) FROM moved)
SELECT cancel_requested FROM moved
"""

GUARD = "SELECT 1 FROM job WHERE id = :id AND fence = :fence AND state = 'running' FOR SHARE"

FINISH = f"""
WITH ended AS (
    UPDATE job SET state = change.state, result = change.result, error = change.error,
        finished_at = now(), lease_until = NULL, leased_by = NULL,
        crashes = job.crashes + coalesce(change.crashes, 0)
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS change(id uuid, fence bigint, state text, result jsonb, error text, crashes int)
    WHERE job.id = change.id AND job.fence = change.fence AND job.state = 'running'
    RETURNING job.*
), event AS ({EVENT} FROM ended)
SELECT id, fence FROM ended
"""  # noqa: S608 - every part is a constant

REQUEUE = f"""
WITH queued AS (
    UPDATE job SET lease_until = NULL, leased_by = NULL, error = change.error,
        state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
        finished_at = CASE WHEN cancel_requested THEN now() END,
        run_at = now() + make_interval(secs => change.delay_s),
        attempts = job.attempts - change.unspent, crashes = job.crashes + change.crashes
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS change(id uuid, fence bigint, delay_s float8, unspent int, crashes int, error text)
    WHERE job.id = change.id AND job.fence = change.fence AND job.state = 'running'
    RETURNING job.*
), event AS ({EVENT} FROM queued)
SELECT id, fence FROM queued
"""  # noqa: S608 - every part is a constant

ABANDONED = """
SELECT id, fence, type, attempts, max_attempts, crashes, cancel_requested,
    coalesce(deadline_at < now(), false) AS is_late
FROM job WHERE state = 'running' AND (:rows = '' AND lease_until < now()
    OR :rows <> '' AND (id, fence) IN (
        SELECT id, fence FROM jsonb_to_recordset(CAST(coalesce(nullif(:rows, ''), '[]') AS jsonb))
            AS claim(id uuid, fence bigint)))
ORDER BY lease_until LIMIT :limit FOR UPDATE SKIP LOCKED
"""


async def run_query(session: AsyncSession, statement: str, **parameters: Any) -> Sequence[Row]:
    """Executes one statement and returns its rows as mappings."""
    result = await session.exec(  # type: ignore[call-overload]
        text(statement), params=parameters
    )
    return [dict(row) for row in result.mappings()]


def pack(claims: Sequence[Row]) -> str:
    """Packs rows into one JSON parameter; an empty string for no rows."""
    return json.dumps(claims, default=str) if claims else ""


async def claim_jobs(
    session: AsyncSession,
    *,
    types: Sequence[str],
    limit: int,
    owner: str,
    lease_s: float,
    deadlines: Mapping[str, float],
    alone: bool = False,
) -> Sequence[Row]:
    """Sets up to `limit` due jobs to running under a new fence, in the order of `CLAIM`.

    Args:
        alone: claim only while no job of these types runs anywhere.
    """
    if alone:
        lock = "SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0)) AS free"
        (row,) = await run_query(session, lock, name=f"alone {' '.join(types)}")
        if not row["free"]:
            return []
    statement = claim_statement(tuple(types), limit, alone=alone)
    return await run_query(
        session, statement, owner=owner, lease_s=lease_s, deadlines=json.dumps(deadlines)
    )


async def find_starved_type(
    session: AsyncSession,
    *,
    large: Sequence[str],
    small: Sequence[str],
    alone: Sequence[str],
    patience_s: float,
) -> str | None:
    """Finds the first job of the large types that has been due for `patience_s`; returns its type.

    A job does not count while a due job of the small types has a higher priority, or while
    another job of its `alone` type runs: then it waits for that job, not for capacity.
    """
    rows = await run_query(
        session, WAITING, large=list(large), small=list(small), alone=list(alone),
        patience_s=patience_s,
    )  # fmt: skip
    return str(rows[0]["type"]) if rows else None


async def renew_leases(
    session: AsyncSession, claims: Sequence[Row], *, owner: str, lease_s: float, former: str = ""
) -> Sequence[Row]:
    """Renews the leases of claims that are not lost; returns these with `cancel_requested`.

    Args:
        claims: rows with `id` and `fence`.
        former: renew only leases that this owner holds.
    """
    return await run_query(
        session, RENEW, rows=pack(claims) or "[]", owner=owner, lease_s=lease_s, former=former
    )


async def watch_claims(
    session: AsyncSession, claims: Sequence[Row], *, grace_s: float
) -> Sequence[Row]:
    """The claims that still run, with the holder of the lease and whether they should end."""
    return await run_query(session, WATCH, rows=pack(claims) or "[]", grace_s=grace_s)


async def report_progress(
    session: AsyncSession, job_id: UUID, fence: int, progress: Row
) -> bool | None:
    """Stores the progress; returns whether the job is to stop, None where the claim is lost."""
    columns = {name: progress[name] for name in ("done", "total", "message")}
    rows = await run_query(
        session, PROGRESS, id=job_id, fence=fence, progress=json.dumps(progress), **columns
    )
    return bool(rows[0]["cancel_requested"]) if rows else None


async def has_lost_claim(session: AsyncSession, job_id: UUID, fence: int) -> bool:
    """Whether the job has ended or another worker has it.

    If not, the row stays locked, so that the claim is not lost before this transaction ends.
    """
    return not await run_query(session, GUARD, id=job_id, fence=fence)


async def finish_jobs(session: AsyncSession, endings: Sequence[Row]) -> set[tuple[UUID, int]]:
    """Moves running jobs to their final `state`, with `result`, `error` and added `crashes`.

    Returns the (id, fence) of those that were written; the other claims are lost.
    """
    rows = await run_query(session, FINISH, rows=pack(endings) or "[]")
    return {(row["id"], row["fence"]) for row in rows}


async def requeue_jobs(session: AsyncSession, retries: Sequence[Row]) -> set[tuple[UUID, int]]:
    """Queues running jobs again after `delay_s`, or cancels them where that was requested.

    `unspent` is subtracted from the attempts, `crashes` is added. Returns the (id, fence) of those
    that were written; the other claims are lost.
    """
    rows = await run_query(session, REQUEUE, rows=pack(retries) or "[]")
    return {(row["id"], row["fence"]) for row in rows}


async def lock_abandoned(
    session: AsyncSession, *, limit: int = 100, claims: Sequence[Row] = ()
) -> Sequence[Row]:
    """Locks running jobs whose lease expired, or these claims, whose workers are dead."""
    return await run_query(session, ABANDONED, rows=pack(claims), limit=limit)
