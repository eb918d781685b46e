"""Old rows, index versions and products are deleted when their time is over."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import col, select

from db.search_log import insert_searches
from db.tables import ApiKey, AuditLog, IndexVersion, Product, RefreshToken, SearchLog, WebhookEvent
from studio.operations.retention import (
    end_forgotten_products,
    end_old_rows,
    end_old_versions,
    sweep_daily,
    tidy,
)
from studio.ports import Studio
from tests.studio.deletion.rows import NOW, OWNER, STRAYS, OldStore, add, ago, ids, searched

pytestmark = pytest.mark.usefixtures("account")


def token(expires_in_days: float, revoked: datetime | None = None) -> RefreshToken:
    return RefreshToken(
        family_id=uuid4(), user_id=OWNER, token_hash=uuid4().bytes, revoked_at=revoked,
        expires_at=NOW + timedelta(days=expires_in_days),
    )  # fmt: skip


def api_key(expires_in_days: float | None) -> ApiKey:
    end = None if expires_in_days is None else NOW + timedelta(days=expires_in_days)
    return ApiKey(
        user_id=OWNER, name="n", key_hash=uuid4().bytes, hint="h", role="customer", expires_at=end
    )


async def test_logs_events_and_tokens_end(studio: Studio) -> None:
    searches = [searched(days) for days in (21, 11, 1)]
    audits = [AuditLog(at=ago(days), action="LOGIN") for days in (21, 19)]
    events = [
        WebhookEvent(event_id=name, type="t", received_at=ago(21), applied_at=applied)
        for name, applied in (("applied", ago(21)), ("waiting", None))
    ]
    tokens = [token(-8), token(-6), token(20, ago(8)), token(20, ago(6)), token(20)]
    keys = [api_key(days) for days in (-8, -6, 1, None)]
    await add(studio, *searches, *audits, *events, *tokens, *keys)
    ended = await end_old_rows(studio.database, studio.settings)
    assert ended == {
        "search_log": 1, "audit_log": 1, "webhook_event": 1, "refresh_token": 2, "api_key": 1,
    }  # fmt: skip
    async with studio.database.read() as session:
        rows = (await session.exec(select(SearchLog).order_by(col(SearchLog.at)))).all()
    assert [row.user_id for row in rows] == [None, OWNER]
    assert (rows[0].params, rows[0].results) == ({"top_k": 10}, ["p"])
    assert set(rows[1].params) == {"query", "image_url", "file_id", "top_k"}
    assert await ids(studio, WebhookEvent.event_id) == {"waiting"}
    assert sum((await end_old_rows(studio.database, studio.settings)).values()) == 0


async def test_the_active_index_and_three_others_stay(studio: Studio) -> None:
    statuses = ("active", "failed", "retired", "retired", "ready", "retired", "building", "failed")
    for age, status in enumerate(reversed(statuses)):
        version = f"v{age}"
        await studio.blobs.put(f"indexes/{version}/faiss", b"x", "application/json")
        await add(
            studio,
            IndexVersion(
                version=version, embedder_version="e", status=status, base_seq=9,
                created_at=ago(age if status != "failed" else 8 * (age > 1)),
            ),
        )  # fmt: skip
    removed = await end_old_versions(studio.database, studio.blobs)
    assert set(removed) == {"v5", "v6"}  # the oldest retired one, and a failed one of last week
    left = await ids(studio, IndexVersion.version)
    assert {key async for key in studio.blobs.list("indexes/")} == {
        f"indexes/{version}/faiss" for version in left
    }


async def test_deleted_products_stay_until_every_index_knows(studio: Studio) -> None:
    await add(studio, IndexVersion(version="v", embedder_version="e", status="active", base_seq=5))
    for seq, days in ((4, 8), (5, 6), (6, 8)):
        await add(
            studio,
            Product(
                id=f"p-{seq}", title="", category="", price=Decimal(1), currency="EUR",
                image_key="", image_sha256="", change_seq=seq, deleted_at=ago(days),
            ),
        )  # fmt: skip
    assert await end_forgotten_products(studio.database) == 1
    assert await ids(studio, Product.id) == {"p-5", "p-6"}


async def test_searches_of_a_deleted_account_are_not_written(studio: Studio) -> None:
    async with studio.database.transaction() as session:
        rows = [
            searched(1).model_dump() | {"user_id": user_id} for user_id in (OWNER, uuid4(), None)
        ]
        await insert_searches(session, rows)
    assert await ids(studio, SearchLog.user_id) == {OWNER, None}


async def test_the_tidy_does_all_of_it_and_sweeps_once_a_day(studio: Studio) -> None:
    await add(studio, searched(21))
    old: Any = OldStore(studio)
    await studio.blobs.put(STRAYS[4], b"x", "image/png")
    await tidy(studio.database, old, studio.cache, studio.settings)
    assert await ids(studio, SearchLog.id) == set()
    assert await studio.blobs.head(STRAYS[4]) is None
    await studio.blobs.put(STRAYS[4], b"x", "image/png")
    await sweep_daily(studio.database, old, studio.cache)
    assert await studio.blobs.head(STRAYS[4]) is not None
