"""Deletes rows whose retention time is over, and blobs without rows."""

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
    get_oldest_base_seq,
    strip_old_searches,
)
from db.engine import Database
from errors import StudioError
from integrations.cache import RedisCache
from settings import Settings
from studio.accounts.removal import remove_ended
from studio.deletion.blob_removal import remove_doomed
from studio.deletion.mentions import strip_due
from studio.files.unfinished import reap_unfinished
from studio.jobs.old_jobs import reap_old_jobs
from studio.operations.sweep import sweep
from studio.ports import BlobStore

BATCH = 5000
WEEK = timedelta(days=7)
SWEEP_EVERY_S = 24 * 3600

log = structlog.get_logger("studio.retention")

Step = Callable[[AsyncSession], Awaitable[int]]


async def tidy(database: Database, blobs: BlobStore, cache: RedisCache, settings: Settings) -> None:
    """Runs every clean-up step that is due; a step that fails does not stop the others.

    Any number of processes may run it at once.
    """
    for step in (
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
            await step()
        except (StudioError, SQLAlchemyError) as error:
            log.warning("tidy.waits", error=str(error))


async def end_old_rows(database: Database, settings: Settings) -> dict[str, int]:
    """Deletes logs, events and tokens whose retention time is over. Returns the counts by table."""
    now = datetime.now(UTC)
    ages = {
        "search_log": timedelta(days=settings.search_log_days),
        "audit_log": timedelta(days=settings.audit_days),
        "webhook_event": timedelta(days=settings.webhook_event_days),
        "refresh_token": WEEK,
        "api_key": WEEK,
    }
    counts: dict[str, int] = {}
    for table, age in ages.items():
        counts[table] = await _in_batches(database, _step_deleting(table, now - age))
    before = now - timedelta(days=settings.search_personal_days)
    await _in_batches(database, lambda s: strip_old_searches(s, before=before, limit=BATCH))
    if any(counts.values()):
        log.info("rows.ended", **counts)
    return counts


def _step_deleting(table: str, before: datetime) -> Step:
    return lambda session: delete_old(session, table, before=before, limit=BATCH)


async def _in_batches(database: Database, step: Step) -> int:
    """Repeats a step, each time in a new transaction, until a batch isn't full. Returns the sum."""
    total = 0
    while True:
        async with database.transaction() as session:
            count = await step(session)
        total += count
        if count < BATCH:
            return total


async def end_old_versions(database: Database, blobs: BlobStore) -> list[str]:
    """Deletes index versions and their files, except the active one and the newest three others."""
    async with database.transaction() as session:
        versions = await delete_old_versions(session, failed_before=datetime.now(UTC) - WEEK)
    keys = [key for name in versions async for key in blobs.list(f"indexes/{name}/")]
    async with database.transaction() as session:  # if this fails, the sweep removes them
        await doom_blobs(session, keys)
    if versions:
        log.info("index_versions.ended", versions=versions)
        await remove_doomed(database, blobs)
    return versions


async def end_forgotten_products(database: Database) -> int:
    """Deletes rows of removed products that no index version needs. Returns how many."""
    before = datetime.now(UTC) - WEEK

    async def delete(session: AsyncSession) -> int:
        seq = await get_oldest_base_seq(session)
        return await delete_forgotten_products(session, before=before, up_to_seq=seq, limit=BATCH)

    return await _in_batches(database, delete)


async def sweep_daily(database: Database, blobs: BlobStore, cache: RedisCache) -> None:
    """Sweeps once a day, in the first process that calls this; after a failure, on the next day."""
    day = f"sweep:{datetime.now(UTC):%Y-%m-%d}"
    if await cache.add(day, b"1", lifetime_s=SWEEP_EVERY_S):
        await sweep(database, blobs)
