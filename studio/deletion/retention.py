"""What is kept for how long: the end of old rows, and of blobs that nothing stands for."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.erasures import doom_blobs
from db.deletion.product_removal import delete_forgotten_products
from db.deletion.retention import (
    delete_old,
    delete_old_versions,
    oldest_base_seq,
    strip_old_searches,
)
from db.engine import Database
from errors import StudioError
from settings import Settings
from studio.accounts.removal import remove_ended
from studio.deletion.blob_removal import remove_doomed
from studio.deletion.mentions import strip_due
from studio.deletion.sweep import sweep
from studio.files.reaper import reap_unfinished
from studio.jobs.reaper import reap_old_jobs
from studio.ports import BlobStore, Cache

BATCH = 5000
WEEK = timedelta(days=7)
SWEEP_EVERY_S = 24 * 3600

log = structlog.get_logger("studio.retention")

Step = Callable[[AsyncSession], Awaitable[int]]


async def tidy(database: Database, blobs: BlobStore, cache: Cache, settings: Settings) -> None:
    """Everything that is due, by any number of processes at once; one step does not wait for
    another that fails.
    """
    for work in (
        lambda: reap_unfinished(database, blobs),
        lambda: reap_old_jobs(database, blobs, days=settings.job_retention_days),
        lambda: remove_ended(database, blobs),
        lambda: remove_doomed(database, blobs),
        lambda: strip_due(database),
        lambda: end_old_rows(database, settings),
        lambda: end_old_versions(database, blobs),
        lambda: end_forgotten_products(database),
        lambda: sweep_daily(database, blobs, cache),
    ):
        try:
            await work()
        except (StudioError, SQLAlchemyError) as error:
            log.warning("tidy.waits", error=str(error))


async def end_old_rows(database: Database, settings: Settings) -> dict[str, int]:
    """Removes logs, events and tokens whose time is over; how many, by table."""
    now = datetime.now(UTC)
    kept = {
        "search_log": timedelta(days=settings.search_log_days),
        "audit_log": timedelta(days=settings.audit_days),
        "webhook_event": timedelta(days=settings.webhook_event_days),
        "refresh_token": WEEK,
    }
    ended: dict[str, int] = {}
    for table, age in kept.items():
        ended[table] = await _in_batches(database, _deleting(table, now - age))
    before = now - timedelta(days=settings.search_personal_days)
    await _in_batches(database, lambda s: strip_old_searches(s, before=before, limit=BATCH))
    if any(ended.values()):
        log.info("rows.ended", **ended)
    return ended


def _deleting(table: str, before: datetime) -> Step:
    return lambda session: delete_old(session, table, before=before, limit=BATCH)


async def _in_batches(database: Database, step: Step) -> int:
    """A transaction each, so that no lock lasts long."""
    total = 0
    while True:
        async with database.transaction() as session:
            count = await step(session)
        total += count
        if count < BATCH:
            return total


async def end_old_versions(database: Database, blobs: BlobStore) -> list[str]:
    """Removes index versions but the active one and the newest three others, rows and files."""
    async with database.transaction() as session:
        versions = await delete_old_versions(session, failed_before=datetime.now(UTC) - WEEK)
    keys = [key for name in versions async for key in blobs.list(f"indexes/{name}/")]
    async with database.transaction() as session:  # the sweep removes them, were this not reached
        await doom_blobs(session, keys)
    if versions:
        log.info("index_versions.ended", versions=versions)
        await remove_doomed(database, blobs)
    return versions


async def end_forgotten_products(database: Database) -> int:
    """Removes rows of deleted products that no kept index version has to hear of."""
    before = datetime.now(UTC) - WEEK

    async def delete(session: AsyncSession) -> int:
        seq = await oldest_base_seq(session)
        return await delete_forgotten_products(session, before=before, up_to_seq=seq, limit=BATCH)

    return await _in_batches(database, delete)


async def sweep_daily(database: Database, blobs: BlobStore, cache: Cache) -> None:
    """Whichever process comes first on a day sweeps; one that fails leaves it to the next day."""
    day = f"sweep:{datetime.now(UTC):%Y-%m-%d}"
    if await cache.add(day, b"1", lifetime_s=SWEEP_EVERY_S):
        await sweep(database, blobs)
