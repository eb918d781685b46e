"""Queries over mentions of deleted pictures; the caller owns the transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.statement import run_statement
from db.tables import Mention

NAME = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
START = datetime(1970, 1, 1, tzinfo=UTC)
PAUSE = timedelta(minutes=10)
PAGES = {
    "search_log": ("user_id", "at", 2000),
    "job": ("owner_id", "created_at", 100),
}
"""Table -> column of the owner, column of the order, and rows per page. The pages of `job` are
small because the documents of one job may have a megabyte."""

HOLDS = f"""EXISTS (
    SELECT FROM regexp_matches(%s, '{NAME}', 'g') AS held(name)
    WHERE held.name[1] = ANY(CAST(:names AS text[])))
"""
STRIP_SEARCHES = (
    """
UPDATE search_log SET params = params - 'file_id' - 'image_url'
WHERE id = ANY(CAST(:ids AS uuid[])) AND params ?| ARRAY['file_id', 'image_url'] AND
"""
    + HOLDS % "concat_ws(' ', params->>'file_id', params->>'image_url')"
)
MENTIONING = (
    """
SELECT id, state, payload, result FROM job WHERE id = ANY(CAST(:ids AS uuid[])) AND
"""
    + HOLDS % "concat_ws(' ', payload::text, result::text)"
    + "ORDER BY id FOR UPDATE"
)
STRIP_EVENTS = "UPDATE job_event SET progress = progress - 'pictures' WHERE job_id = :job_id"


async def lock_mention(session: AsyncSession, user_id: UUID | None = None) -> Mention | None:
    """Locks a mention that is due, of one account if `user_id` is set; skips locked ones."""
    query = select(Mention).where(col(Mention.due_at) <= func.now())
    if user_id is not None:
        query = query.where(Mention.user_id == user_id)
    query = query.order_by(col(Mention.due_at)).limit(1).with_for_update(skip_locked=True)
    return (await session.exec(query)).one_or_none()


async def list_mention_page(session: AsyncSession, mention: Mention) -> tuple[Sequence[Any], bool]:
    """The (time, id) pairs of the mention's next page of rows, and whether it is the last page."""
    owner, order, limit = PAGES[mention.stage]
    statement = f"""
    SELECT {order}, id FROM {mention.stage}
    WHERE {owner} = :user_id AND ({order}, id) > (:after_at, :after_id)
    ORDER BY {order}, id LIMIT :limit
    """  # noqa: S608
    rows = await run_statement(
        session, statement, user_id=mention.user_id, limit=limit,
        after_at=mention.after_at or START, after_id=mention.after_id or UUID(int=0),
    )  # fmt: skip
    page = rows.all()
    return page, len(page) < limit


async def strip_searches(session: AsyncSession, ids: Sequence[UUID], names: Sequence[str]) -> None:
    """Removes the picture from the searches with these ids that used one of the names."""
    await run_statement(session, STRIP_SEARCHES, ids=list(ids), names=list(names))


async def list_jobs_mentioning(
    session: AsyncSession, ids: Sequence[UUID], names: Sequence[str]
) -> Sequence[Any]:
    """Locks and returns the jobs with these ids whose payload or result contains a name."""
    rows = await run_statement(session, MENTIONING, ids=list(ids), names=list(names))
    jobs: Sequence[Any] = rows.all()
    return jobs


async def strip_events(session: AsyncSession, job_id: UUID) -> None:
    """Removes the entry `pictures` from the progress events of a job."""
    await run_statement(session, STRIP_EVENTS, job_id=job_id)
