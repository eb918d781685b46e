"""Deletions of what is large: bounded transactions, which hold nothing that others wait for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.catalog import take_change_lock
from db.deletion.erasures import doom_blobs
from db.tables import (
    DoomedBlob,
    Erasure,
    File,
    Job,
    Mention,
    Product,
    SearchLog,
    SegmentationResult,
    TryonJob,
    User,
)
from db.tryons import update_tryon
from errors import Unavailable
from models.segmenter.shapes import SegmentPrompt
from studio.accounts.removal import end_account, remove_account, remove_ended
from studio.deletion.blob_removal import remove_doomed
from studio.deletion.mentions import PAGES_AT_ONCE, strip_due
from studio.files import files
from studio.ports import Studio
from studio.segmentation.segmentation import segment_stored
from studio.tryon.history import delete_tryon
from tests.support.fakes import picture

OWNER = uuid4()
FILE = uuid4()
KEY = f"uploads/{OWNER}/{FILE}.png"
NOW = datetime.now(UTC)
BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
"""
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
SEARCHES = """
INSERT INTO search_log (id, user_id, type, params, latency_ms, index_version, embedder_version,
    request_id)
SELECT gen_random_uuid(), :owner, 'image', jsonb_build_object('file_id', CAST(:file AS text)), 1,
    'v', 'e', 'r'
FROM generate_series(1, :count)
"""


class WatchfulStore:
    """A blob store that counts the transactions which are open while it is asked to delete."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self.busy = studio, list[int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._studio.blobs, name)

    async def delete(self, key: str) -> None:
        self.busy.append(await run(self._studio, BUSY))
        await self._studio.blobs.delete(key)

    async def bury(self, key: str, *, until: datetime) -> None:
        self.busy.append(await run(self._studio, BUSY))
        await self._studio.blobs.bury(key, until=until)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        self.busy.append(await run(self._studio, BUSY))
        async for key in self._studio.blobs.list(prefix):
            yield key


async def run(studio: Studio, statement: str, **given: Any) -> int:
    async with studio.database.transaction() as session:
        found = await session.exec(text(statement), params=given)  # type: ignore[call-overload]
        return int(found.scalar_one()) if found.returns_rows else int(found.rowcount)


async def rows(studio: Studio, column: Any) -> list[Any]:
    async with studio.database.read() as session:
        return list((await session.exec(select(column))).all())


async def add(studio: Studio, *given: SQLModel) -> None:
    async with studio.database.transaction() as session:
        session.add_all(given)


@pytest.fixture
async def owner(studio: Studio) -> UUID:
    """An account with a selfie and a mask of it."""
    await add(studio, User(id=OWNER, email="a@example.com", password_hash="x"))
    file = File(
        id=FILE, owner_id=OWNER, purpose="selfie", filename="a", content_type="image/png",
        size_bytes=1, blob_key=KEY, status="ready",
    )  # fmt: skip
    await add(studio, file, mask_of(KEY))
    await studio.blobs.put(KEY, picture(kind="PNG"), "image/png")
    return OWNER


def mask_of(key: str) -> SegmentationResult:
    return SegmentationResult(
        user_id=OWNER, input_key=key, mask_key=f"masks/{OWNER}/{uuid4()}.png", label="upper",
        area=1, score=1, model_version="m", latency_ms=1, request_id="r",
    )  # fmt: skip


def tryon(**values: Any) -> TryonJob:
    return TryonJob(user_id=OWNER, person_key=KEY, seed=1, request_id="r", **values)


def batch(state: str) -> Job:
    payload = {"fileIds": [str(FILE), "another"]}
    return Job(type="segment-batch", owner_id=OWNER, state=state, payload=payload)


def product(number: int) -> Product:
    return Product(
        id=f"p-{number}", owner_id=OWNER, title="x", category="x", price=Decimal(1),
        currency="EUR", image_key=f"products/p/{number}.jpg", image_sha256="s", change_seq=-number,
    )  # fmt: skip


async def test_a_request_removes_only_the_blobs_that_it_doomed(studio: Studio, owner: UUID) -> None:
    await studio.blobs.put("masks/other.png", b"x", "image/png")
    async with studio.database.transaction() as session:
        await doom_blobs(session, ["masks/other.png"])
    await files.delete(studio, owner, FILE, ip=None)
    assert await studio.blobs.head(KEY) is None
    assert await rows(studio, DoomedBlob.key) == ["masks/other.png"]
    assert await remove_doomed(studio.database, studio.blobs) == 1


async def test_no_transaction_waits_for_the_store(studio: Studio, owner: UUID) -> None:
    shown = tryon(state="succeeded")
    await add(studio, shown)
    store = WatchfulStore(studio)
    watched = replace(studio, blobs=store)
    await delete_tryon(watched, owner, shown.id, ip=None)
    await files.delete(watched, owner, FILE, ip=None)
    async with studio.database.transaction() as session:
        await doom_blobs(session, ["masks/a.png"])
        await end_account(session, owner)
    await remove_doomed(studio.database, store)
    await remove_account(studio.database, store, owner)
    assert len(store.busy) >= 6 and set(store.busy) == {0}


async def test_a_deletion_leaves_long_histories_to_the_tidy(studio: Studio, owner: UUID) -> None:
    await run(studio, SEARCHES, owner=owner, file=str(FILE), count=6000)
    await add(studio, batch("running"), *(batch("failed") for _ in range(249)))
    await files.delete(studio, owner, FILE, ip=None)
    (entry,) = await rows(studio, Mention)
    assert entry.stage == "job" and PAGES_AT_ONCE == 4
    assert await rows(studio, SearchLog.params) == [{}] * 6000
    assert await strip_due(studio.database) == 3
    held = [payload for payload in await rows(studio, Job.payload) if str(FILE) in str(payload)]
    assert len(held) == 1  # of the one that runs
    await run(studio, "UPDATE job SET state = 'failed'")
    await run(studio, "UPDATE mention SET due_at = now()")
    assert await strip_due(studio.database) == 3
    assert await rows(studio, Job.payload) == [{"fileIds": [None, "another"]}] * 250
    assert await rows(studio, Mention) == []


async def test_an_account_without_products_does_not_wait_for_the_catalogue(
    studio: Studio, owner: UUID
) -> None:
    async with studio.database.transaction() as session:
        await end_account(session, owner)
    async with studio.database.transaction() as session:
        await take_change_lock(session)
        await remove_account(studio.database, studio.blobs, owner)
    assert await rows(studio, User.id) == [] and await rows(studio, Erasure.subject) == [str(OWNER)]


async def test_a_removal_that_was_interrupted_is_carried_on(studio: Studio, owner: UUID) -> None:
    await add(studio, *(product(number) for number in range(1, 151)))
    await add(studio, *(batch("failed") for _ in range(1100)))
    await add(studio, *(mask_of("uploads/x") for _ in range(1100)))
    async with studio.database.transaction() as session:
        await end_account(session, owner)
    await remove_account(studio.database, studio.blobs, owner, steps=1)
    live = [one for one in await rows(studio, Product) if one.deleted_at is None]
    (user,) = await rows(studio, User)
    assert len(live) == 50 and user.ended_at and user.email != "a@example.com"
    await remove_account(studio.database, studio.blobs, owner, steps=3)
    assert await rows(studio, Job.id) == [] and len(await rows(studio, SegmentationResult.id)) > 0
    assert await remove_ended(studio.database, studio.blobs) == 1
    for column in (User.id, File.id, SegmentationResult.id, SearchLog.id):
        assert await rows(studio, column) == []
    assert {one.owner_id for one in await rows(studio, Product)} == {None}
    assert await remove_ended(studio.database, studio.blobs) == 0


async def test_a_try_on_that_ends_and_its_deletion_do_not_wait_in_a_circle(
    studio: Studio, owner: UUID
) -> None:
    job = Job(type="tryon", owner_id=owner, state="running")
    await add(studio, job)
    await add(studio, tryon(id=job.id, job_id=job.id, state="running"))
    async with studio.database.transaction() as session:
        await session.get(Job, job.id, with_for_update=True)  # as a finish does
        deletion = asyncio.create_task(delete_tryon(studio, owner, job.id, ip=None))
        while not await run(studio, WAITING):  # noqa: ASYNC110 - it says nothing when it waits
            await asyncio.sleep(0.01)
        await update_tryon(session, job.id, model_version="m")
    await deletion
    assert await rows(studio, TryonJob.id) == []


async def test_no_mask_is_left_where_its_row_could_not_be_written(
    studio: Studio, owner: UUID
) -> None:
    async def fail(_session: AsyncSession) -> None:
        raise Unavailable("what is to be changed is being changed by others")

    before = {key async for key in studio.blobs.list("masks/")}
    with pytest.raises(Unavailable):
        await segment_stored(studio, owner, SegmentPrompt(target="garment"), KEY, guard=fail)
    assert {key async for key in studio.blobs.list("masks/")} == before
