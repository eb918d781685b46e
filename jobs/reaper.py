"""Jobs whose worker is gone: cancelled where that was asked, tried again, or dead letters."""

from collections.abc import Mapping, Sequence
from typing import Any

from db.engine import Database
from db.job_claims import finish_jobs, lock_abandoned, requeue_jobs
from jobs.claim import Claim
from jobs.retry import CRASHED, LATE, RetryPolicy

Row = Mapping[str, Any]


async def reap_expired(database: Database, policy: RetryPolicy, limit: int = 100) -> int:
    """Takes jobs from workers whose lease ran out; how many there were."""
    return await _reap(database, policy, None, limit)


async def reap_dead(database: Database, policy: RetryPolicy, claims: Sequence[Claim]) -> int:
    """As `reap_expired`, for workers that are known to have ended; their leases are not awaited."""
    held = [claim.held for claim in claims]
    return await _reap(database, policy, held, len(held)) if held else 0


async def _reap(
    database: Database, policy: RetryPolicy, held: Sequence[Row] | None, limit: int
) -> int:
    async with database.transaction() as session:
        rows = await lock_abandoned(session, limit=limit, held=held or ())
        ended: list[Row] = []
        freed: list[Row] = []
        for row in rows:
            told = decide(row, policy)
            (ended if "state" in told else freed).append(told)
        if ended:
            await finish_jobs(session, ended)
        if freed:
            await requeue_jobs(session, freed)
    return len(rows)


def decide(row: Row, policy: RetryPolicy) -> dict[str, Any]:
    """What is written of one job: a final state, or a delay until the next attempt."""
    told: dict[str, Any] = {"id": row["id"], "fence": row["fence"], "result": None}
    if row["cancel_requested"]:
        return told | {"state": "cancelled", "error": None}
    if row["is_late"]:
        return told | {"state": "failed", "error": LATE}
    crashes = row["crashes"] + 1
    delay_s = policy.after_crash(crashes, row["attempts"], row["max_attempts"])
    if delay_s is None:
        return told | {"state": "failed", "error": f"{CRASHED}, {crashes} times", "crashes": 1}
    return told | {"delay_s": delay_s, "unspent": 0, "error": CRASHED, "crashes": 1}


async def release(database: Database, claims: Sequence[Claim]) -> None:
    """Gives back, without blame, jobs that could not start or were interrupted by a stop."""
    rows = [
        claim.held | {"delay_s": 0.0, "unspent": 1, "crashes": 0, "error": None} for claim in claims
    ]
    if rows:
        async with database.transaction() as session:
            await requeue_jobs(session, rows)
