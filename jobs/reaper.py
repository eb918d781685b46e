"""Takes jobs from dead workers: they are cancelled if requested, retried, or dead letters."""

from collections.abc import Mapping, Sequence
from typing import Any

from db.engine import Database
from db.job_claims import finish_jobs, lock_abandoned, requeue_jobs
from jobs.claim import Claim
from jobs.retry import CRASHED, LATE, RetryPolicy

Row = Mapping[str, Any]


async def reap_expired(database: Database, policy: RetryPolicy, limit: int = 100) -> int:
    """Takes jobs from workers whose lease expired; returns how many."""
    return await _reap(database, policy, (), limit)


async def reap_dead(database: Database, policy: RetryPolicy, claims: Sequence[Claim]) -> int:
    """Takes these claims from workers that are known to be dead, without waiting for the lease."""
    rows = [claim.row for claim in claims]
    return await _reap(database, policy, rows, len(rows)) if rows else 0


async def _reap(database: Database, policy: RetryPolicy, claims: Sequence[Row], limit: int) -> int:
    """Takes `claims`; if there are none, takes those whose lease has expired."""
    async with database.transaction() as session:
        rows = await lock_abandoned(session, limit=limit, claims=claims)
        endings: list[Row] = []
        retries: list[Row] = []
        for row in rows:
            change = decide(row, policy)
            (endings if "state" in change else retries).append(change)
        if endings:
            await finish_jobs(session, endings)
        if retries:
            await requeue_jobs(session, retries)
    return len(rows)


def decide(row: Row, policy: RetryPolicy) -> dict[str, Any]:
    """The change of one abandoned job: a final state, or a delay until the next attempt."""
    change: dict[str, Any] = {"id": row["id"], "fence": row["fence"], "result": None}
    if row["cancel_requested"]:
        return change | {"state": "cancelled", "error": None}
    if row["is_late"]:
        return change | {"state": "failed", "error": LATE}
    crashes = row["crashes"] + 1
    delay_s = policy.after_crash(crashes, row["attempts"], row["max_attempts"])
    if delay_s is None:
        return change | {"state": "failed", "error": f"{CRASHED}, {crashes} times", "crashes": 1}
    return change | {"delay_s": delay_s, "unspent": 0, "error": CRASHED, "crashes": 1}


async def release(database: Database, claims: Sequence[Claim]) -> None:
    """Queues jobs again that could not start or that a shutdown interrupted.

    Their attempt does not count.
    """
    rows = [
        claim.row | {"delay_s": 0.0, "unspent": 1, "crashes": 0, "error": None} for claim in claims
    ]
    if rows:
        async with database.transaction() as session:
            await requeue_jobs(session, rows)
