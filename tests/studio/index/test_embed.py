"""Embedding the catalogue: no vector is computed twice, bad pictures don't stop the others."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func
from sqlmodel import col, select

from db.catalog import newest_change_seq, take_change_seq, upsert_product
from db.embeddings import NewVector, put_vectors
from db.engine import AsyncSession, Database
from db.tables import Product, ProductEmbedding
from errors import Superseded, Unavailable
from models.embedder.shapes import Embedding
from studio.accounts.accounts import create_user
from studio.index.embed import EmbeddingTask, PictureResult, embed_by_deployment, embed_missing
from studio.ports import Studio
from tests.support.fakes import FakeEmbedder, picture

BATCH = 8
COUNT = 3 * BATCH + 5


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.index.embed.BATCH", BATCH)


async def fill(studio: Studio, count: int = COUNT) -> UUID:
    """Adds products without vectors; returns their owner."""
    account = await create_user(
        studio.database, email="m@example.com", password="x" * 12, role="merchant"
    )
    for number in range(count):
        await put(studio, account.id, f"p{number:04}", picture(f"hsl({10 * number}, 80%, 50%)"))
    return account.id


async def put(studio: Studio, owner_id: UUID, product_id: str, data: bytes) -> None:
    digest = sha256(data).hexdigest()
    key = f"products/{product_id}/{digest[:32]}.jpg"
    await studio.blobs.put(key, data, "image/jpeg")
    async with studio.database.transaction() as session:
        await upsert_product(session, product_id, {
            "owner_id": owner_id, "title": "A thing", "category": "dress", "price": Decimal(9),
            "currency": "EUR", "image_key": key, "image_sha256": digest,
            "change_seq": await take_change_seq(session),
        })  # fmt: skip


class CountingEmbedder(FakeEmbedder):
    """Counts the pictures that it embeds."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = 0

    async def embed_image(self, image: bytes) -> Embedding:
        self.pictures += 1
        return await super().embed_image(image)


@pytest.fixture
def embedder(studio: Studio) -> CountingEmbedder:
    counting = CountingEmbedder()
    object.__setattr__(studio, "embedder", counting)
    return counting


async def vectors(database: Database) -> int:
    async with database.read() as session:
        return (await session.exec(select(func.count()).select_from(ProductEmbedding))).one()


async def break_off(
    studio: Studio, task: EmbeddingTask
) -> AsyncGenerator[list[PictureResult], None]:
    """A source that fails after two batches."""
    batch_count = 0
    async with aclosing(embed_by_deployment(studio, task)) as batches:
        async for batch in batches:
            yield batch
            batch_count += 1
            if batch_count == 2:
                raise Unavailable("killed")


async def test_what_was_written_is_not_embedded_again(
    studio: Studio, embedder: CountingEmbedder
) -> None:
    await fill(studio)
    with pytest.raises(Unavailable):
        await embed_missing(studio, source=break_off)
    assert await vectors(studio.database) == 2 * BATCH
    embedder.pictures = 0
    assert (await embed_missing(studio)).count == COUNT - 2 * BATCH == embedder.pictures
    assert (await embed_missing(studio)).count == 0


async def test_a_full_run_goes_on_where_it_was_killed(
    studio: Studio, embedder: CountingEmbedder
) -> None:
    await fill(studio)
    await embed_missing(studio)
    async with studio.database.read() as session:
        since = (await session.exec(select(func.clock_timestamp()))).one()
    with pytest.raises(Unavailable):
        await embed_missing(studio, since=since, source=break_off)
    assert (await embed_missing(studio, since=since)).count == COUNT - 2 * BATCH
    assert (await embed_missing(studio, since=since)).count == 0


async def test_an_unreadable_picture_is_told_by_id_and_stops_nothing(studio: Studio) -> None:
    owner_id = await fill(studio, 10)
    await put(studio, owner_id, "p0003", b"no picture")
    await put(studio, owner_id, "p0007", picture("red"))
    async with studio.database.read() as session:
        lost = await session.get(Product, "p0007")
        assert lost is not None
        await studio.blobs.delete(lost.image_key)
    reports: list[tuple[Any, ...]] = []

    async def report(done: int, total: int, message: str, **details: Any) -> None:
        reports.append((done, total, message, details))

    embedded = await embed_missing(studio, report)
    assert (embedded.count, embedded.failed) == (8, 2)
    assert [one["id"] for one in embedded.errors] == ["p0003", "p0007"]
    assert "image" in embedded.errors[0]["detail"]
    assert [
        error for *_, details in reports for error in details.get("errors", [])
    ] == embedded.errors
    assert reports[-1][:2] == (10, 10)
    assert await vectors(studio.database) == 8


async def test_a_failure_of_the_studio_is_not_the_pictures(
    studio: Studio, embedder: CountingEmbedder
) -> None:
    await fill(studio, 3)

    async def embed_images(images: Any) -> list[Any]:
        return [Unavailable("the model is away") for _ in images]

    object.__setattr__(embedder, "embed_images", embed_images)
    with pytest.raises(Unavailable, match="away"):
        await embed_missing(studio)
    assert await vectors(studio.database) == 0


async def test_a_worker_that_lost_its_job_writes_nothing(studio: Studio) -> None:
    await fill(studio, 3)

    async def refuse(session: AsyncSession) -> None:
        raise Superseded("another worker has this job")

    with pytest.raises(Superseded):
        await embed_missing(studio, guard=refuse)
    assert await vectors(studio.database) == 0


async def test_a_picture_that_was_replaced_meanwhile_keeps_no_old_vector(studio: Studio) -> None:
    owner_id = await fill(studio, 2)
    async with studio.database.read() as session:
        old = (await session.exec(select(Product.id, Product.image_sha256))).all()
    await put(studio, owner_id, "p0001", picture("red"))
    async with studio.database.transaction() as session:
        late = [NewVector(name, digest, b"\0\0") for name, digest in old]
        assert await put_vectors(session, "fake-embedder", late) == 1
    assert (await embed_missing(studio)).count == 1


async def test_only_other_vectors_are_changes(studio: Studio) -> None:
    await fill(studio, 5)

    async def changed() -> int:
        async with studio.database.read() as session:
            before = await newest_change_seq(session)
        await embed_missing(studio, since=await now(studio.database))
        async with studio.database.read() as session:
            query = select(func.count()).where(col(Product.change_seq) > before)
            return (await session.exec(query)).one()

    assert await changed() == 5
    assert await changed() == 0


async def now(database: Database) -> Any:
    async with database.read() as session:
        return (await session.exec(select(func.clock_timestamp()))).one()


async def test_progress_tells_rate_and_time_left(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.index.progress.REPORT_S", 0.0)
    await fill(studio)
    reports: list[tuple[int, int, str]] = []

    async def report(done: int, total: int, message: str, **_: Any) -> None:
        reports.append((done, total, message))

    await embed_missing(studio, report)
    assert [done for done, _, _ in reports] == [BATCH, 2 * BATCH, 3 * BATCH, COUNT, COUNT]
    assert reports[0][2] == "pictures embedded"
    assert "images/s" in reports[1][2] and "s left" in reports[1][2]
    assert reports[-1][2].endswith(" 0 s left")
