"""Ended jobs are kept for a while, then removed with their events and what they left behind."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from db.engine import Database
from db.jobs import delete_jobs, lock_old_jobs
from db.tables import Job
from errors import StudioError
from studio.catalog.imports import drop_file
from studio.ports import BlobStore

BATCH = 100
MOST_STUCK = 20
"""So many files that can't be deleted end a round: the blob store itself is away then."""

log = structlog.get_logger("studio.jobs")


async def reap_old_jobs(database: Database, blobs: BlobStore, *, days: int) -> int:
    """Removes jobs that ended so long ago; how many. Any number of dispatchers may do this at once.

    Dead letters go too: an operator has so long to retry them. A try-on's own row stays. A job
    whose file can't be deleted stays for the next round, and holds up no other one.

    Raises:
        Unavailable: the database is away; the next turn goes on.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    reaped, stuck = 0, set[UUID]()
    while len(stuck) < MOST_STUCK:
        async with database.transaction() as session:
            jobs = await lock_old_jobs(session, before=before, limit=BATCH, without=stuck)
            free = [job.id for job in jobs if await _drop_file(blobs, job)]
            await delete_jobs(session, free)
        reaped += len(free)
        stuck |= {job.id for job in jobs} - set(free)
        if len(jobs) < BATCH:
            break
    if reaped:
        log.info("jobs.reaped", count=reaped)
    return reaped


async def _drop_file(blobs: BlobStore, job: Job) -> bool:
    """Whether nothing is left of the file that came with the job."""
    try:
        await drop_file(blobs, job.payload)
    except StudioError as error:
        log.warning("jobs.file_stays", job_id=str(job.id), error=error.detail)
        return False
    return True
