"""Queries that end what is kept no longer, some rows at a time; the caller owns the transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import PERSONAL_SEARCH, IndexVersion

KEPT_VERSIONS = 3
"""Index versions that can be rolled back to, beside the active one."""

STRIP_SEARCHES = f"""
UPDATE search_log SET user_id = NULL, params = params - ARRAY['query', 'image_url', 'file_id']
WHERE id IN (
    SELECT id FROM search_log WHERE at < :before AND ({PERSONAL_SEARCH})
    ORDER BY at LIMIT :limit FOR UPDATE SKIP LOCKED)
"""  # noqa: S608
OLD_ROWS = {
    "search_log": ("id", "at < :before"),
    "audit_log": ("id", "at < :before"),
    "webhook_event": ("event_id", "received_at < :before AND applied_at IS NOT NULL"),
    "refresh_token": ("id", "expires_at < :before OR revoked_at < :before"),
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


async def _run(session: AsyncSession, statement: str, **given: Any) -> Any:
    return await session.exec(text(statement), params=given)  # type: ignore[call-overload]


async def delete_old(session: AsyncSession, table: str, *, before: datetime, limit: int) -> int:
    """Removes rows of one of `OLD_ROWS`; how many."""
    key, old = OLD_ROWS[table]
    chosen = f"SELECT {key} FROM {table} WHERE {old} LIMIT :limit FOR UPDATE SKIP LOCKED"  # noqa: S608
    statement = f"DELETE FROM {table} WHERE {key} IN ({chosen})"  # noqa: S608
    return int((await _run(session, statement, before=before, limit=limit)).rowcount)


async def strip_old_searches(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Searches no longer say who searched for what; how many."""
    return int((await _run(session, STRIP_SEARCHES, before=before, limit=limit)).rowcount)


async def delete_old_versions(session: AsyncSession, *, failed_before: datetime) -> list[str]:
    """Removes rows of index versions that are neither active nor among the newest others."""
    rows = await _run(session, OLD_VERSIONS, before=failed_before, kept=KEPT_VERSIONS)
    return [str(row[0]) for row in rows]


async def oldest_base_seq(session: AsyncSession) -> int:
    """The change that every index version holds; 0 where one is being built, or none is there."""
    query = select(func.min(col(IndexVersion.base_seq))).where(IndexVersion.status != "failed")
    return (await session.exec(query)).one() or 0
