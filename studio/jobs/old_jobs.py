"""Deletes jobs some time after their end, with their events and files."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from db.engine import Database
from db.jobs import delete_jobs, lock_old_jobs
from db.tables import Job
from errors import StudioError
from studio.catalog.import_job import drop_file
from studio.ports import BlobStore

BATCH = 100
MOST_STUCK = 20
"""A round ends after this many files can't be deleted: the blob store is down then."""

log = structlog.get_logger("studio.jobs")


async def reap_old_jobs(database: Database, blobs: BlobStore, *, days: int) -> int:
    """Deletes jobs that ended `days` ago and returns their number; several dispatchers may run it.

    This includes dead letters, which an operator can retry until then. The row of a try-on stays.
    A job whose file can't be deleted stays for the next round and does not delay the others.

    Raises:
        Unavailable: the database can't be reached; the next round continues.
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
    """Deletes the file that came with the job, if any; False where that fails."""
    try:
        await drop_file(blobs, job.payload)
    except StudioError as error:
        log.warning("jobs.file_stays", job_id=str(job.id), error=error.detail)
        return False
    return True
