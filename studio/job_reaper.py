"""Ended jobs are kept for a while, then removed with their events and what they left behind."""

from datetime import UTC, datetime, timedelta

import structlog

from db.engine import Database
from db.jobs import delete_jobs, lock_old_jobs
from studio.catalog_import import drop_file
from studio.ports import BlobStore

BATCH = 100

log = structlog.get_logger("studio.jobs")


async def reap_old_jobs(database: Database, blobs: BlobStore, *, days: int) -> int:
    """Removes jobs that ended so long ago; how many. Any number of dispatchers may do this at once.

    Dead letters go too: an operator has so long to retry them. A try-on's own row stays.

    Raises:
        Unavailable: database or blob store are away; the next turn goes on.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    reaped = 0
    while True:
        async with database.transaction() as session:
            jobs = await lock_old_jobs(session, before=before, limit=BATCH)
            for job in jobs:
                await drop_file(blobs, job.payload)
            await delete_jobs(session, [job.id for job in jobs])
        reaped += len(jobs)
        if len(jobs) < BATCH:
            break
    if reaped:
        log.info("jobs.reaped", count=reaped)
    return reaped
