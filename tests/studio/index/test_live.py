"""Versions and changes: no change is lost before activation, no damaged version is loaded."""

import asyncio
import math
import shutil
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sqlalchemy import text

from db.tables import File, IndexVersion
from errors import Conflict, Invalid, NotFound, NotLoaded, Unavailable
from models.index import approximate
from models.index.device_index import Chunk, DeviceIndex
from models.index.files import IndexFiles, open_files
from models.index.shapes import Scan, SearchQuery
from settings import Settings
from studio.accounts.accounts import create_user
from studio.catalog.catalog import Owner, delete_product, put_product
from studio.catalog.form import ProductForm
from studio.index.build import build_version
from studio.index.embed import embed_missing
from studio.index.files import cache_folder
from studio.index.live import LiveIndex
from studio.index.versions import activate_version
from studio.ports import Studio
from tests.support.fakes import DIM, FakeEmbedder, make_settings, picture
from tests.support.live import SyncedIndex, open_live_studio
from tests.support.products import EMBEDDER, insert_products

COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, redis_url, tmp_path / "blobs")


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings, activate=False) as opened:
        yield opened


async def upload(studio: Studio, owner: Owner, colour: str) -> UUID:
    """A completed upload, without HTTP."""
    key = f"uploads/{owner.id}/{colour}.jpg"
    await studio.blobs.put(key, picture(colour), "image/jpeg")
    file = File(
        owner_id=owner.id, purpose="product", filename="a.jpg", content_type="image/jpeg",
        size_bytes=1, blob_key=key, status="ready",
    )  # fmt: skip
    async with studio.database.transaction() as session:
        session.add(file)
    return file.id


async def fill(studio: Studio) -> tuple[Owner, dict[str, UUID]]:
    account = await create_user(
        studio.database, email="m@example.com", password="x" * 12, role="merchant"
    )
    owner = Owner(account.id)
    files = {colour: await upload(studio, owner, colour) for colour in COLOURS}
    for colour, file_id in files.items():
        await put_product(studio, owner, colour, form_of(file_id))
    return owner, files


def form_of(file_id: UUID) -> ProductForm:
    product = {"title": "A thing", "category": "dress", "price": "9.99", "currency": "EUR"}
    return ProductForm.model_validate(product | {"fileId": file_id})


async def nearest(studio: Studio, colour: str) -> list[str]:
    embedding = await studio.embedder.embed_image(picture(colour))
    answer = await studio.index.search(
        SearchQuery(top_k=10, embedder_version=embedding.version, image=embedding.vector)
    )
    return [product_id for product_id, _ in answer.hits]


async def test_changes_made_after_the_build_are_in_the_activated_version(studio: Studio) -> None:
    owner, files = await fill(studio)
    version = await build_version(studio)
    await delete_product(studio, owner, "red")
    await put_product(studio, owner, "green", form_of(files["blue"]))
    await put_product(studio, owner, "new", form_of(files["yellow"]))
    await activate_version(studio, version)
    assert set(await nearest(studio, "red")) == {"green", "blue", "yellow", "new"}
    assert (await nearest(studio, "blue"))[:2] == ["blue", "green"]
    assert (await nearest(studio, "yellow"))[:2] == ["new", "yellow"]


async def test_rolling_back_is_the_same_step_and_loses_no_change(studio: Studio) -> None:
    owner, _ = await fill(studio)
    first = await build_version(studio)
    await activate_version(studio, first)
    await delete_product(studio, owner, "red")
    second = await build_version(studio)
    await activate_version(studio, second)
    assert (await studio.index.status())["version"] == second
    assert len(await nearest(studio, "red")) == 3
    await activate_version(studio, first)
    assert (await studio.index.status())["version"] == first
    assert "red" not in await nearest(studio, "red")


async def test_rolling_back_soon_loads_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, _ = await fill(studio)
    first, second, third = [await build_version(studio) for _ in range(3)]
    for version in (first, second):
        await activate_version(studio, version)
        await nearest(studio, "red")
    opened: list[str] = []

    def open_and_tell(folder: Path) -> IndexFiles:
        opened.append(folder.name)
        return open_files(folder)

    monkeypatch.setattr("studio.index.loaded.open_files", open_and_tell)
    await delete_product(studio, owner, "red")
    for version in (first, second, first):
        await activate_version(studio, version)
        assert set(await nearest(studio, "red")) == {"green", "blue", "yellow"}
        assert (await studio.index.status())["version"] == version
    assert opened == []
    await activate_version(studio, third)
    await nearest(studio, "red")
    await activate_version(studio, second)  # the one before is `first` now
    assert set(await nearest(studio, "red")) == {"green", "blue", "yellow"}
    assert opened == [third, second]
    monkeypatch.setattr("studio.index.live.time.monotonic", lambda: math.inf)
    await nearest(studio, "red")
    await activate_version(studio, third)
    assert set(await nearest(studio, "red")) == {"green", "blue", "yellow"}
    assert opened == [third, second, third]


async def test_two_builds_of_one_catalogue_have_the_same_files(studio: Studio) -> None:
    await fill(studio)
    manifests = []
    for _ in range(2):
        version = await build_version(studio)
        async with studio.database.transaction() as session:
            row = await session.get(IndexVersion, version)
            assert row is not None and row.status == "ready" and row.count == 4
            manifests.append((row.manifest, row.stats))
    assert manifests[0] == manifests[1]


async def test_a_damaged_version_is_never_loaded(studio: Studio) -> None:
    await fill(studio)
    good, bad = await build_version(studio), await build_version(studio)
    await activate_version(studio, good)
    assert len(await nearest(studio, "red")) == 4
    key = f"indexes/{bad}/vectors.f16.npy"
    data = bytearray(await studio.blobs.get(key))
    data[-1] ^= 1
    await studio.blobs.put(key, bytes(data), "application/octet-stream")
    shutil.rmtree(cache_folder(studio.settings) / bad)
    await activate_version(studio, bad)
    assert isinstance(studio.index, SyncedIndex)
    with pytest.raises(Invalid, match=r"vectors\.f16\.npy"):
        await studio.index.live.sync()
    assert studio.index.live.status()["version"] == good


async def test_files_of_an_older_studio_are_refused_by_name(studio: Studio) -> None:
    await fill(studio)
    version = await build_version(studio)
    async with studio.database.transaction() as session:
        row = await session.get(IndexVersion, version)
        assert row is not None
        row.manifest = {"ids.txt": {"size": 1, "sha256": "x"}}
        session.add(row)
    await activate_version(studio, version)
    assert isinstance(studio.index, SyncedIndex)
    with pytest.raises(Invalid, match="rebuild the index"):
        await studio.index.live.sync()


async def test_a_version_of_another_embedder_is_not_activated(studio: Studio) -> None:
    await fill(studio)
    version = await build_version(studio)
    assert isinstance(studio.embedder, FakeEmbedder)
    studio.embedder._version = "another"
    with pytest.raises(Conflict, match="another"):
        await activate_version(studio, version)
    with pytest.raises(NotFound):
        await activate_version(studio, "nothing")
    assert (await embed_missing(studio)).count == 4
    fresh = await build_version(studio)
    await activate_version(studio, fresh)
    assert len(await nearest(studio, "red")) == 4
    assert (await embed_missing(studio)).count == 0


async def test_replicas_answer_alike(studio: Studio, tmp_path: Path) -> None:
    owner, files = await fill(studio)
    await activate_version(studio, await build_version(studio))
    await put_product(studio, owner, "copy", form_of(files["red"]))
    await nearest(studio, "red")
    with ThreadPoolExecutor(1) as thread:
        other = LiveIndex(studio.database, studio.blobs, thread, tmp_path / "another cache")
        await other.sync()
        for colour in COLOURS:
            embedding = await studio.embedder.embed_image(picture(colour))
            text = await studio.embedder.embed_text(f"{colour} dress")
            query = SearchQuery(
                top_k=5, embedder_version=embedding.version, image=embedding.vector,
                text=text.vector, alpha=0.4,
            )  # fmt: skip
            assert await other.search(query) == await studio.index.search(query)


async def test_a_replica_follows_a_database_that_was_brought_back(studio: Studio) -> None:
    owner, files = await fill(studio)
    await activate_version(studio, await build_version(studio))
    async with studio.database.transaction() as session:
        last = (await session.exec(text("SELECT last_value FROM product_change_seq"))).scalar_one()  # type: ignore[call-overload]
    for name in ("lost-1", "lost-2", "lost-3"):
        await put_product(studio, owner, name, form_of(files["red"]))
    assert "lost-1" in await nearest(studio, "red")
    async with studio.database.transaction() as session:  # as it was before those three
        for statement in (
            "DELETE FROM product WHERE id LIKE 'lost-%'",
            f"SELECT setval('product_change_seq', {last})",
        ):
            await session.exec(text(statement))  # type: ignore[call-overload]
    await put_product(studio, owner, "new", form_of(files["red"]))
    assert (await nearest(studio, "red"))[:2] == ["new", "red"]
    await put_product(studio, owner, "newer", form_of(files["red"]))
    assert (await nearest(studio, "red"))[:3] == ["new", "newer", "red"]


async def test_many_searches_share_a_scan_of_the_device(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approximate, "EXACT_ROWS", 1000)
    await insert_products(studio.database, 1500)
    await activate_version(studio, await build_version(studio))
    scans: list[int] = []
    search_many = DeviceIndex.search_many

    def count_and_search(index: DeviceIndex, together: Sequence[Scan]) -> list[NDArray[np.int64]]:
        scans.append(len(together))
        return search_many(index, together)

    monkeypatch.setattr(DeviceIndex, "search_many", count_and_search)
    queries = [
        SearchQuery(5, EMBEDDER, image=vector)
        for vector in np.random.default_rng(1).normal(size=(30, DIM)).astype(np.float32)
    ]
    with ThreadPoolExecutor(1) as thread:
        live = LiveIndex(studio.database, studio.blobs, thread, tmp_path / "c", device="cpu")
        await live.sync()
        assert live.status()["lacksMemory"] is False
        scans.clear()
        other = replace(queries[0], embedder_version="another")
        *answers, error = await live.search_many([*queries, other])
        assert scans == [30]
        assert answers == [await live.search(query) for query in queries]
        assert isinstance(error, Unavailable) and "another embedder" in error.detail


async def test_a_full_device_leaves_the_replica_answering(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approximate, "EXACT_ROWS", 1000)
    await insert_products(studio.database, 1500)
    await activate_version(studio, await build_version(studio))
    query = SearchQuery(5, EMBEDDER, image=np.ones(DIM, dtype=np.float32))

    def fill(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with ThreadPoolExecutor(1) as thread:
        live = LiveIndex(studio.database, studio.blobs, thread, tmp_path / "c", device="cpu")
        await live.sync()
        second = await build_version(studio)
        await activate_version(studio, second)
        monkeypatch.setattr(Chunk, "add", fill)
        await live.sync()
        assert (await live.search(query)).index_version == second
        status = live.status()
        assert (status["version"], status["lacksMemory"]) == (second, True)


async def test_the_status_tells_how_a_version_was_loaded(studio: Studio, tmp_path: Path) -> None:
    await fill(studio)
    with ThreadPoolExecutor(1) as thread:
        live = LiveIndex(studio.database, studio.blobs, thread, tmp_path / "another cache")
        await live.sync()
        query = SearchQuery(5, EMBEDDER, image=np.ones(DIM, dtype=np.float32))
        with pytest.raises(Unavailable, match="no search index is active") as nothing:
            await live.search(query)
        assert type(nothing.value) is Unavailable
        version = await build_version(studio)
        await activate_version(studio, version)
        async with studio.database.transaction() as session:
            row = await session.get(IndexVersion, version)
        assert row is not None
        loading = asyncio.create_task(live.sync())
        while not live._has_active:  # noqa: ASYNC110
            await asyncio.sleep(0)
        with pytest.raises(NotLoaded):
            await live.search(query)
        await loading
        status = live.status()
        assert status["fetchedBytes"] == sum(int(file["size"]) for file in row.manifest.values())
        assert float(str(status["loadSeconds"])) > 0
