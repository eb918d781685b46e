"""Removes the ids of deleted pictures from the account's searches and jobs, page by page.

A deletion only inserts a mention with these ids, so its time does not depend on how many searches
and jobs the account has. Each page is a transaction of its own, and the mention stores the
progress.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.erasures import pieces
from db.deletion.mentions import (
    PAUSE,
    list_jobs_mentioning,
    list_mention_page,
    lock_mention,
    strip_events,
    strip_searches,
)
from db.engine import Database
from db.tables import Job, Mention
from errors import StudioError
from studio.deletion.lineage import NAME, UNSETTLED

PAGES_OF_REQUEST = 4
"""Pages that a request strips itself; most accounts have no more."""

log = structlog.get_logger("studio.mentions")


def insert_mentions(session: AsyncSession, owner_id: UUID, keys: Collection[str]) -> None:
    """Inserts mentions of these deleted pictures, to be removed from the owner's history."""
    names = sorted({name for key in keys for name in NAME.findall(key.rpartition("/")[2])})
    session.add_all(Mention(user_id=owner_id, names=list(some)) for some in pieces(names))


async def strip_due(database: Database) -> int:
    """Strips all pages that are due. Returns how many."""
    pages = 0
    while await strip_page(database):
        pages += 1
    return pages


async def strip_soon(database: Database, owner_id: UUID) -> None:
    """Strips the first pages in the request, after its commit; `tidy` does the rest."""
    try:
        for _ in range(PAGES_OF_REQUEST):
            if not await strip_page(database, owner_id):
                return
    except StudioError as error:
        log.warning("mentions.removal_waits", reason=error.detail)


async def strip_page(database: Database, owner_id: UUID | None = None) -> bool:
    """Strips one page of searches or jobs. Returns whether a page was due."""
    async with database.transaction() as session:
        mention = await lock_mention(session, owner_id)
        if mention is None:
            return False
        rows, is_last = await list_mention_page(session, mention)
        ids = [row[1] for row in rows]
        if mention.stage == "search_log":
            await strip_searches(session, ids, mention.names)
        else:
            await _strip_jobs(session, mention, ids)
        if is_last:
            await _end_stage(session, mention)
        else:
            mention.after_at, mention.after_id = rows[-1]
        return True


async def _end_stage(session: AsyncSession, mention: Mention) -> None:
    """Ends the stage. Jobs come after searches; they are repeated later if one was running."""
    if mention.stage == "job" and not mention.is_running:
        await session.delete(mention)
        return
    if mention.stage == "job":
        mention.due_at = datetime.now(UTC) + PAUSE
    mention.stage, mention.is_running = "job", False
    mention.after_at, mention.after_id = None, None


async def _strip_jobs(session: AsyncSession, mention: Mention, ids: list[UUID]) -> None:
    """Strips the ended jobs of a page; a running one keeps its payload until it ends."""
    names = frozenset(mention.names)
    for job in await list_jobs_mentioning(session, ids, mention.names):
        if job.state in UNSETTLED:
            mention.is_running = True
            continue
        row = await session.get(Job, job.id)
        if row is not None:
            row.payload = without(job.payload, names)
            row.result = without(job.result, names)
            await strip_events(session, job.id)


def without(document: Any, names: frozenset[str]) -> Any:
    """A JSON document without the members and objects that contain one of these names.

    A string in a list becomes null, because jobs refer to their pictures by position.
    """
    if isinstance(document, dict):
        rest = {key: without(value, names) for key, value in document.items()}
        return {key: value for key, value in rest.items() if not _names_one(value, names)}
    if isinstance(document, list):
        left = [item for item in document if not _holds_one(item, names)]
        return [None if _names_one(item, names) else without(item, names) for item in left]
    return document


def _names_one(value: Any, names: frozenset[str]) -> bool:
    return isinstance(value, str) and not names.isdisjoint(NAME.findall(value))


def _holds_one(item: Any, names: frozenset[str]) -> bool:
    return isinstance(item, dict) and any(_names_one(value, names) for value in item.values())
