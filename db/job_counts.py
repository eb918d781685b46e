"""Counts over all jobs, for metrics and health checks."""

from sqlmodel.ext.asyncio.session import AsyncSession

from db.job_claims import Row, run_query

BACKLOG = """
SELECT type, count(*) FILTER (WHERE run_at <= now()) AS due, count(*) AS queued,
    coalesce(extract(epoch FROM max(now() - run_at)), 0)::float8 AS oldest_s
FROM job WHERE state = 'queued' GROUP BY type
"""

STATES = """
SELECT type, state, count(*) AS jobs FROM job
WHERE state IN ('queued', 'running') OR finished_at > now() - interval '1 hour'
GROUP BY type, state
"""

OVERDUE = """
SELECT count(*) FROM job
WHERE state = 'running' AND lease_until < now() - make_interval(secs => :patience_s)
"""


async def count_backlog(session: AsyncSession) -> dict[str, Row]:
    """The number of `due` and `queued` jobs by type, and how long the oldest has been due."""
    return {row["type"]: dict(row) for row in await run_query(session, BACKLOG)}


async def count_states(session: AsyncSession) -> dict[tuple[str, str], int]:
    """The number of jobs by type and state; of ended jobs, only those of the last hour."""
    rows = await run_query(session, STATES)
    return {(row["type"], row["state"]): row["jobs"] for row in rows}


async def count_overdue(session: AsyncSession, patience_s: float) -> int:
    """Running jobs whose lease expired more than `patience_s` ago, which no dispatcher noticed."""
    return int((await run_query(session, OVERDUE, patience_s=patience_s))[0]["count"])
