"""`studio jobs`: listing, retrying and cancelling jobs."""

import asyncio
from pathlib import Path
from uuid import UUID

from db.engine import Database
from jobs.claim import ClaimRequest, claim
from jobs.reaper import reap_dead
from jobs.retry import RetryPolicy
from local.running import studio
from studio.job_types import JobType, enqueue

NOTE = JobType("note", role="customer")


async def make_dead_letter(url: str) -> UUID:
    """Makes a job that failed because its worker died."""
    database = Database(url, pool_size=1)
    async with database.transaction() as session:
        job = await enqueue(session, NOTE, {}, owner_id=None)
    claims = await claim(
        database, ClaimRequest(["note"], 1), owner="t", lease_s=9, deadlines={"note": 9.0}
    )
    await reap_dead(database, RetryPolicy(max_crashes=1), claims)
    await database.aclose()
    return job.id


# Slow: six commands, each a process of its own.
def test_a_dead_letter_is_listed_retried_and_cancelled(database_url: str, tmp_path: Path) -> None:
    job_id = asyncio.run(make_dead_letter(database_url))

    def ask(*words: str) -> tuple[int, str]:
        done = studio(tmp_path, "jobs", *words, STUDIO_DATABASE_URL=database_url)
        return done.returncode, done.stdout + done.stderr

    code, output = ask("list", "--state", "failed")
    assert code == 0 and str(job_id) in output and "the worker ended" in output
    assert ask("retry", str(job_id)) == (0, f"note {job_id} is queued\n")
    code, output = ask("retry", str(job_id))
    assert code == 1 and "only a failed job can be retried" in output
    assert ask("cancel", str(job_id)) == (0, f"note {job_id} is cancelled\n")
    assert "cancelled" in ask("list")[1]
