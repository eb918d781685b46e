"""Queries that delete rows whose retention time is over, some at a time."""

from datetime import datetime

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.statement import run_statement
from db.tables import PERSONAL_SEARCH, IndexVersion

OTHER_VERSIONS = 3
"""The number of inactive index versions that are kept, so that they can be activated again."""

STRIP_SEARCHES = f"""
UPDATE search_log
SET user_id = NULL, params = params - ARRAY['query', 'client', 'image_url', 'file_id']
WHERE id IN (
    SELECT id FROM search_log WHERE at < :before AND ({PERSONAL_SEARCH})
    ORDER BY at LIMIT :limit FOR UPDATE SKIP LOCKED)
"""  # noqa: S608
OLD_ROWS = {
    "search_log": ("id", "at < :before"),
    "audit_log": ("id", "at < :before"),
    "webhook_event": ("event_id", "received_at < :before AND applied_at IS NOT NULL"),
    "refresh_token": ("id", "expires_at < :before OR revoked_at < :before"),
    "api_key": ("id", "expires_at < :before"),
}
OLD_VERSIONS = """
DELETE FROM index_version WHERE version IN (
    SELECT version FROM index_version
    WHERE (status = 'failed' AND created_at < :before)
        OR (status IN ('ready', 'retired') AND version NOT IN (
            SELECT version FROM index_version WHERE status IN ('ready', 'retired')
            ORDER BY created_at DESC, version DESC LIMIT :kept))
    FOR UPDATE SKIP LOCKED)
RETURNING version
"""


async def delete_old(session: AsyncSession, table: str, *, before: datetime, limit: int) -> int:
    """Deletes old rows of a table of `OLD_ROWS`. Returns how many."""
    key, old = OLD_ROWS[table]
    rows = f"SELECT {key} FROM {table} WHERE {old} LIMIT :limit FOR UPDATE SKIP LOCKED"  # noqa: S608
    statement = f"DELETE FROM {table} WHERE {key} IN ({rows})"  # noqa: S608
    return int((await run_statement(session, statement, before=before, limit=limit)).rowcount)


async def strip_old_searches(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Removes the account and the inputs from old searches. Returns how many rows changed."""
    return int((await run_statement(session, STRIP_SEARCHES, before=before, limit=limit)).rowcount)


async def delete_old_versions(session: AsyncSession, *, failed_before: datetime) -> list[str]:
    """Deletes old failed versions, and all but the newest ready or retired ones. Returns them."""
    rows = await run_statement(session, OLD_VERSIONS, before=failed_before, kept=OTHER_VERSIONS)
    return [str(row[0]) for row in rows]


async def get_oldest_base_seq(session: AsyncSession) -> int:
    """The number of the last change that every index version contains.

    It is 0 while a version is being built, and if there are no versions.
    """
    query = select(func.min(col(IndexVersion.base_seq))).where(IndexVersion.status != "failed")
    return (await session.exec(query)).one() or 0
