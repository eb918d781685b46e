"""Searches, 100 writes a second, swaps and rollbacks at once: no failed, mixed or stale answer."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import insert, text

from db.catalog import put_embedding, take_change_seq
from db.tables import IndexVersion, Product, ProductEmbedding
from errors import Conflict
from models.embedder.shapes import pack_vector
from models.index import approximate
from models.index import check as index_check
from models.index.shapes import SearchQuery
from models.index.stats import SearchParameters
from studio.accounts.accounts import create_user
from studio.index.build import build_version
from studio.index.files import cache_folder
from studio.index.live import LiveIndex
from studio.index.versions import activate_version
from studio.ports import Studio
from tests.support.fakes import DIM, FakeEmbedder, make_settings
from tests.support.live import open_live_studio

COUNT = 3000
SECONDS, WRITES_PER_S, SWAPS = 4.0, 100, 8


@pytest.fixture
async def studio(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Studio]:
    monkeypatch.setattr(approximate, "EXACT_ROWS", 1000)
    monkeypatch.setattr(approximate, "LIST_ROWS", 1000)
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    async with open_live_studio(settings, activate=False) as opened:
        yield opened


def unit(random: np.random.Generator) -> NDArray[np.float32]:
    vector = random.normal(size=DIM) + np.ones(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float32)


class Shop:
    """A catalogue that records all its states: product -> (number of the write, vector)."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.random = np.random.default_rng(0)
        self.states: dict[str, list[tuple[int, NDArray[np.float32] | None]]] = {}
        self.written = 0

    async def open(self) -> None:
        owner = await create_user(
            self.studio.database, email="m@example.com", password="x" * 12, role="merchant"
        )
        products, embeddings = [], []
        for row in range(COUNT):
            vector = unit(self.random)
            self.states[f"p{row}"] = [(0, vector)]
            products.append(product(f"p{row}", owner.id, row + 1))
            embeddings.append(embedding(f"p{row}", vector))
        async with self.studio.database.transaction() as session:
            await session.exec(insert(Product), params=products)
            await session.exec(insert(ProductEmbedding), params=embeddings)
            await session.exec(text(f"SELECT setval('product_change_seq', {COUNT})"))  # type: ignore[call-overload]

    async def write(self) -> None:
        """Changes the vector of a product, deletes it, or adds it again."""
        product_id = f"p{self.random.integers(COUNT)}"
        vector = None if self.random.random() < 0.2 else unit(self.random)
        async with self.studio.database.transaction() as session:
            seq = await take_change_seq(session)
            values = {"id": product_id, "seq": seq, "gone": vector is None}
            await session.exec(  # type: ignore[call-overload]
                text(
                    "UPDATE product SET change_seq = :seq,"
                    " deleted_at = CASE WHEN :gone THEN now() END WHERE id = :id"
                ),
                params=values,
            )
            if vector is not None:
                await put_embedding(session, ProductEmbedding(**embedding(product_id, vector)))
        self.written += 1
        self.states[product_id].append((self.written, vector))

    def possible(self, product_id: str, since: int) -> list[NDArray[np.float32] | None]:
        """The states that a search may return which started after the index had write `since`."""
        states = self.states[product_id]
        newest = max(place for place, (number, _) in enumerate(states) if number <= since)
        return [vector for _, vector in states[newest:]]


def product(product_id: str, owner: UUID, seq: int) -> dict[str, object]:
    return {
        "id": product_id, "owner_id": owner, "title": f"thing {seq % 60}", "category": "dress",
        "price": Decimal(9), "currency": "EUR", "in_stock": True, "attributes": {},
        "image_key": "products/x.jpg", "image_sha256": "x", "change_seq": seq,
    }  # fmt: skip


def embedding(product_id: str, vector: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "product_id": product_id, "embedder_version": "fake-embedder",
        "vector": pack_vector(vector), "image_sha256": "x",
    }  # fmt: skip


class Load:
    """Searches while `running`; compares every answer with the possible states of the shop."""

    def __init__(self, shop: Shop, live: LiveIndex, versions: list[str]) -> None:
        self.shop, self.live, self.versions = shop, live, versions
        self.followed = 0
        self.running = True
        self.answered: dict[str, int] = {}

    async def follow(self) -> None:
        while self.running:
            written = self.shop.written
            await self.live.sync()
            self.followed = written
            await asyncio.sleep(0.01)

    async def search(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        while self.running:
            target = f"p{random.integers(COUNT)}"
            since, before = self.followed, self.shop.possible(target, self.followed)
            vector = before[-1] if before[-1] is not None else unit(random)
            answer = await self.live.search(SearchQuery(10, "fake-embedder", image=vector))
            assert answer.index_version in self.versions
            assert len({product_id for product_id, _ in answer.hits}) == 10
            for product_id, score in answer.hits:
                states = self.shop.possible(product_id, since)
                assert any(
                    state is not None and abs(float(state @ vector) - score) < 2e-6
                    for state in states
                ), (product_id, score)
            if before[-1] is not None and len(self.shop.possible(target, since)) == 1:
                assert answer.hits[0][0] == target
            self.answered[answer.index_version] = self.answered.get(answer.index_version, 0) + 1

    async def write(self) -> None:
        for _ in range(int(SECONDS * WRITES_PER_S)):
            await asyncio.gather(self.shop.write(), asyncio.sleep(1 / WRITES_PER_S))

    async def swap(self) -> None:
        for turn in range(SWAPS):
            await asyncio.sleep(SECONDS / SWAPS)
            await activate_version(self.shop.studio, self.versions[turn % 2])
        self.running = False


# Slow: four seconds of load, after the versions are built.
async def test_no_answer_is_failed_mixed_or_stale(studio: Studio) -> None:
    shop = Shop(studio)
    await shop.open()
    versions = [await build_version(studio), await build_version(studio)]
    await activate_version(studio, versions[1])
    with ThreadPoolExecutor(1) as thread:
        live = LiveIndex(studio.database, studio.blobs, thread, cache_folder(studio.settings))
        await live.sync()
        load = Load(shop, live, versions)
        async with asyncio.TaskGroup() as tasks:
            for work in (load.follow(), load.write(), load.swap(), load.search(1), load.search(2)):
                tasks.create_task(work)
        await live.sync()
        for product_id in list(shop.states)[:300]:
            (state,) = shop.possible(product_id, shop.written)
            vector = unit(shop.random) if state is None else state
            hits = (await live.search(SearchQuery(10, "fake-embedder", image=vector))).hits
            assert (hits[0][0] == product_id) == (state is not None)
    assert set(load.answered) == set(versions)
    assert shop.written == int(SECONDS * WRITES_PER_S)


# Slow: two versions with a trained index are built.
async def test_a_version_of_low_recall_is_never_activated(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(studio)
    await shop.open()
    good = await build_version(studio)
    await activate_version(studio, good)
    monkeypatch.setattr(index_check, "tune", lambda *_: SearchParameters(1, 10, 1, 10))
    with pytest.raises(Conflict, match="recall of image searches"):
        await build_version(studio)
    async with studio.database.transaction() as session:
        query = text("SELECT version, error FROM index_version WHERE status = 'failed'")
        ((bad, error),) = (await session.exec(query)).all()  # type: ignore[call-overload]
        row = await session.get(IndexVersion, good)
        assert row is not None and row.stats["image_recall"] >= 0.95
    assert "below 0.95" in error
    with pytest.raises(Conflict, match="failed"):
        await activate_version(studio, bad)
    assert (await studio.index.status())["version"] == good
    assert isinstance(studio.embedder, FakeEmbedder)
