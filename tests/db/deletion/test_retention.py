"""Rows whose time is over are deleted some at a time; the newest index versions stay."""

from datetime import UTC, datetime, timedelta

from sqlmodel import select

from db.deletion.retention import (
    OTHER_VERSIONS,
    delete_old,
    delete_old_versions,
    get_oldest_base_seq,
)
from db.engine import Database
from db.tables import IndexVersion, WebhookEvent

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def event(name: str, age: timedelta, *, is_applied: bool = True) -> WebhookEvent:
    return WebhookEvent(
        event_id=name, type="X", received_at=NOW - age, retry_at=NOW,
        applied_at=NOW if is_applied else None,
    )  # fmt: skip


async def test_old_rows_are_deleted_some_at_a_time(database: Database) -> None:
    async with database.transaction() as session:
        session.add_all([event(f"old-{number}", 3 * DAY) for number in range(5)])
        session.add_all([event("young", DAY / 2), event("waits", 9 * DAY, is_applied=False)])
    counts = []
    for _ in range(4):
        async with database.transaction() as session:
            counts.append(await delete_old(session, "webhook_event", before=NOW - DAY, limit=2))
    assert counts == [2, 2, 1, 0]
    async with database.read() as session:
        assert set(await session.exec(select(WebhookEvent.event_id))) == {"young", "waits"}


async def test_the_newest_inactive_versions_stay(database: Database) -> None:
    states = ["active", "failed", "failed", "building", *["ready", "retired"] * OTHER_VERSIONS]
    async with database.transaction() as session:
        for number, status in enumerate(states):
            session.add(
                IndexVersion(
                    version=f"{number}-{status}", embedder_version="e", status=status,
                    base_seq=10 - number if status != "failed" else 0,
                    created_at=NOW - (9 * DAY if number < 2 else DAY) + number * DAY / 100,
                )
            )  # fmt: skip
        await session.flush()
        assert await get_oldest_base_seq(session) == 10 - len(states) + 1
        deleted = await delete_old_versions(session, failed_before=NOW - 7 * DAY)
    assert set(deleted) == {"1-failed", "4-ready", "5-retired", "6-ready"}
    async with database.read() as session:
        assert await get_oldest_base_seq(session) == 10 - len(states) + 1
