"""The quota counts everything that is stored for an account, and refuses to store more."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.files import DISK_BLOCK_BYTES, lock_storage, sum_stored
from db.tables import File, Prediction, SegmentationResult, TryonJob
from integrations.fetch import Fetcher
from studio.files import storage
from studio.ports import Studio
from tests.gateway.full_account import GARMENT, SELFIE, FullAccount, blobs_of, open_full_account
from tests.gateway.routes.test_tryon_pictures import ADDRESS, Outside
from tests.support.fakes import make_settings, open_client, open_studio

QUOTA_BYTES = 1_000_000


@pytest.fixture
async def studio(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    settings = make_settings(database_url, redis_url, tmp_path / "blobs", quota_mb=1)
    async with open_studio(settings, fetcher=cast(Fetcher, Outside())) as opened:
        yield opened


@pytest.fixture
async def owner(studio: Studio) -> AsyncIterator[FullAccount]:
    async with open_client(studio) as client:
        yield await open_full_account(client, studio)


async def stored(owner: FullAccount) -> int:
    async with owner.studio.database.transaction() as session:
        counted = await sum_stored(session, owner.id)
        assert (await lock_storage(session, owner.id)).stored_bytes == counted
    return counted


async def sizes_of(studio: Studio) -> dict[str, int]:
    return {entry.key: entry.size async for entry in studio.blobs.scan("")}


async def test_every_result_counts_as_many_bytes_as_its_blobs_have(owner: FullAccount) -> None:
    selfie = await owner.upload(SELFIE, "selfie")
    assert await stored(owner) == DISK_BLOCK_BYTES
    await owner.ask("POST", "/api/cv/segmentation", {"fileId": selfie["id"]})
    await owner.try_on(selfie, ADDRESS)
    order = {"personUrl": ADDRESS, "garmentUrl": ADDRESS, "mode": "queued"}
    await owner.finish(await owner.ask("POST", "/api/cv/tryon", order, 202))
    job = {"type": "tryon", "payload": {"personUrl": ADDRESS, "garmentUrl": selfie["readUrl"]}}
    await owner.finish(await owner.ask("POST", "/api/jobs", job, 202))
    score = {"fileId": selfie["id"], "heatmap": True, "category": "dress"}
    await owner.ask("POST", "/api/analytics/predict", score)
    sizes = await sizes_of(owner.studio)
    async with owner.studio.database.read() as session:
        rows: list[Any] = []
        for table in (SegmentationResult, TryonJob, Prediction):
            rows += (await session.exec(select(table))).all()
    for row in rows:
        keys = {value for name, value in row.model_dump().items() if name.endswith("_key")}
        own = [key for key in keys if key and is_stored_for(row, key)]
        assert row.stored_bytes == sum(sizes[key] for key in own)
    assert len(rows) == 4 + 3 + 1
    counted = sum(max(row.stored_bytes, DISK_BLOCK_BYTES) for row in rows)
    assert await stored(owner) == DISK_BLOCK_BYTES + counted
    await owner.ask("DELETE", f"/api/files/{selfie['id']}", status=204)
    assert await stored(owner) < DISK_BLOCK_BYTES + counted


def is_stored_for(row: Any, key: str) -> bool:
    """Whether the blob was stored for this row."""
    if isinstance(row, TryonJob):
        return key.startswith("tryon/") or "/fetched/" in key
    return key.startswith(("masks/", "heatmaps/"))


@pytest.mark.parametrize("table", [SegmentationResult, TryonJob, Prediction])
async def test_over_the_quota_nothing_is_made_until_there_is_room(
    owner: FullAccount, table: Any
) -> None:
    selfie = await owner.upload(SELFIE, "selfie")
    garment = await owner.upload(GARMENT, "garment")
    lines = await owner.upload(b"title\nA thing\n", "dataset", "text/csv")
    await owner.ask("POST", "/api/cv/segmentation", {"fileId": selfie["id"]})
    await owner.try_on(selfie, garment["readUrl"])
    score = {"fileId": selfie["id"], "category": "dress"}
    await owner.ask("POST", "/api/analytics/predict", score | {"heatmap": True})
    async with owner.studio.database.transaction() as session:
        full = update(table).where(col(table.user_id) == owner.id)
        await session.exec(full.values(stored_bytes=QUOTA_BYTES))
    await pass_seconds(owner)
    before = await blobs_of(owner.studio)
    order = {"personUrl": selfie["readUrl"], "garmentUrl": garment["readUrl"]}
    batch = {"type": "segment-batch", "payload": {"fileIds": [selfie["id"]]}}
    announced = {
        "filename": "a", "contentType": "image/png", "purpose": "selfie", "sizeBytes": 1,
    }  # fmt: skip
    for path, body in (
        ("/api/files/presign", announced),
        ("/api/cv/segmentation", {"fileId": selfie["id"]}),
        ("/api/cv/tryon", order | {"mode": "sync"}),
        ("/api/cv/tryon", order | {"mode": "queued"}),
        ("/api/analytics/predict", score | {"heatmap": True}),
        ("/api/jobs", batch),
        ("/api/jobs", {"type": "tryon", "payload": order}),
        ("/api/catalog/import", {"fileId": lines["id"]}),
        ("/api/analytics/train", {"fileId": lines["id"]}),
    ):
        refused = await owner.ask("POST", path, body, 413)
        assert "delete some uploads" in refused["detail"], path
    assert await blobs_of(owner.studio) == before
    await owner.ask("POST", "/api/analytics/predict", score)  # stores nothing
    await owner.ask("DELETE", f"/api/files/{selfie['id']}", status=204)
    await owner.ask("POST", "/api/cv/segmentation", {"fileId": garment["id"]})


async def test_an_import_that_comes_with_its_file_is_refused_too(owner: FullAccount) -> None:
    await owner.upload(SELFIE, "selfie")
    await fill_quota(owner)
    answer = await owner.client.post(
        "/api/catalog/import", content=b"title\nA thing\n",
        headers=owner.headers | {"Content-Type": "text/csv"},
    )  # fmt: skip
    assert answer.status_code == 413, answer.text
    assert not any(key.startswith("uploads/imports/") for key in await blobs_of(owner.studio))


async def test_a_batch_that_fills_the_quota_says_so_of_the_rest(owner: FullAccount) -> None:
    files = [(await owner.upload(SELFIE, "selfie"))["id"] for _ in range(2)]
    batch = {"type": "segment-batch", "payload": {"fileIds": files}}
    job = await owner.ask("POST", "/api/jobs", batch, 202)
    await fill_quota(owner)
    done = await owner.finish(job)
    assert done["state"] == "succeeded"
    assert all("delete some uploads" in one["error"] for one in done["result"]["results"])


async def fill_quota(owner: FullAccount) -> None:
    async with owner.studio.database.transaction() as session:
        full = update(File).where(col(File.owner_id) == owner.id)
        await session.exec(full.values(size_bytes=QUOTA_BYTES))
    await pass_seconds(owner)


async def pass_seconds(owner: FullAccount) -> None:
    """Expires the cached result that the account is within its quota."""
    await owner.studio.cache.delete(f"storage:{owner.id}")


async def test_an_account_with_room_is_not_summed_up_for_every_request(
    owner: FullAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = 0

    async def count(session: AsyncSession, owner_id: UUID) -> int:
        nonlocal sums
        sums += 1
        return await sum_stored(session, owner_id)

    monkeypatch.setattr(storage, "sum_stored", count)
    for expected in (1, 1, 2):
        if expected == 2:
            await pass_seconds(owner)
        await storage.require_storage(owner.studio, owner.id)
        assert sums == expected


async def test_another_accounts_results_do_not_count(owner: FullAccount, studio: Studio) -> None:
    await owner.upload(SELFIE, "selfie")
    await fill_quota(owner)
    other = await open_full_account(owner.client, studio)
    await other.ask("POST", "/api/cv/segmentation", {"imageUrl": ADDRESS})
    assert await stored(other) == DISK_BLOCK_BYTES
