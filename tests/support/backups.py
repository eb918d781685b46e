"""A shop for backups: products with pictures, payments and jobs, and writes during a backup."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import numpy as np
from sqlalchemy import insert, text

from db.catalog import put_embedding, take_change_seq
from db.tables import File, Job, Payment, Product, ProductEmbedding
from models.embedder.shapes import pack_vector
from models.index.shapes import SearchQuery
from studio.accounts.accounts import create_user
from studio.index.build import build_version
from studio.index.versions import activate_version
from studio.ports import Studio
from tests.support.fakes import DIM, unit

AMOUNT = Decimal(100)


def silent(_done: int, _total: int, _what: str) -> None:
    """Ignores a progress report."""


@dataclass
class Shop:
    """Rows and blobs of one merchant, whose payments have a constant sum."""

    studio: Studio
    owner: UUID
    count: int
    random: np.random.Generator
    written: int = 0
    blob_bytes: int = 0

    async def add_product(self, product_id: str) -> None:
        """Writes the blob, then its row and vector in one transaction, as the catalogue does."""
        data = f"picture of {product_id} ".encode() + self.random.bytes(self.blob_bytes + 16)
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"products/{product_id}/{sha256[:32]}.jpg"
        await self.studio.blobs.put(key, data, "image/jpeg")
        async with self.studio.database.transaction() as session:
            seq = await take_change_seq(session)
            values = self._product(product_id, key, sha256, seq)
            delete_row = "DELETE FROM product WHERE id = :id"
            await session.exec(text(delete_row), params={"id": product_id})  # type: ignore[call-overload]
            session.add(Product(**values))
            await session.flush()
            await put_embedding(session, ProductEmbedding(**self._embedding(product_id, sha256)))

    async def upload(self, owner: UUID | None = None) -> UUID:
        """Inserts a file of the merchant, or of another account, with its blob. Returns its id."""
        file_id, owner = uuid4(), owner or self.owner
        key = f"uploads/{owner}/{file_id}.jpg"
        await self.studio.blobs.put(key, file_id.bytes, "image/jpeg")
        row = File(
            id=file_id, owner_id=owner, purpose="garment", filename="a.jpg",
            content_type="image/jpeg", size_bytes=16, blob_key=key, status="ready",
        )  # fmt: skip
        async with self.studio.database.transaction() as session:
            session.add(row)
        return file_id

    async def move_money(self) -> None:
        """Moves an amount from one payment to another, in one transaction."""
        moved = text(
            "UPDATE payment SET amount = amount + CASE WHEN order_id = :one THEN 1 ELSE -1 END"
            " WHERE order_id IN (:one, :other)"
        )
        one, other = self.random.choice(self.count, 2, replace=False)
        async with self.studio.database.transaction() as session:
            params = {"one": f"O{one}", "other": f"O{other}"}
            await session.exec(moved, params=params)  # type: ignore[call-overload]

    async def write(self) -> None:
        """Writes one product, one transfer, one upload and one job."""
        await self.add_product(f"p{self.random.integers(self.count)}")
        await self.move_money()
        await self.upload()
        async with self.studio.database.transaction() as session:
            session.add(Job(type="note", owner_id=self.owner, payload={"turn": self.written}))
        self.written += 1

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[None]:
        """Writes while the block runs, and at least once before it."""
        await self.write()
        stop = asyncio.Event()

        async def keep_writing() -> None:
            while not stop.is_set():
                await self.write()

        task = asyncio.create_task(keep_writing())
        try:
            yield
        finally:
            stop.set()
            await task

    def _product(self, product_id: str, key: str, sha256: str, seq: int) -> dict[str, Any]:
        return {
            "id": product_id, "owner_id": self.owner, "title": f"thing {product_id}",
            "category": "dress", "price": Decimal(9), "currency": "EUR", "in_stock": True,
            "attributes": {}, "image_key": key, "image_sha256": sha256, "change_seq": seq,
        }  # fmt: skip

    def _embedding(self, product_id: str, sha256: str) -> dict[str, Any]:
        vector = unit(self.random.normal(size=DIM))
        return {
            "product_id": product_id, "embedder_version": "fake-embedder",
            "vector": pack_vector(vector), "image_sha256": sha256,
        }  # fmt: skip


async def fill(studio: Studio, count: int, blob_bytes: int = 0) -> Shop:
    """Inserts `count` products, payments and jobs, and activates an index."""
    account = await create_user(
        studio.database, email="m@example.com", password="x" * 12, role="merchant"
    )
    shop = Shop(studio, account.id, count, np.random.default_rng(0), blob_bytes=blob_bytes)
    payments = [
        {
            "user_id": account.id, "order_id": f"O{number}", "status": "COMPLETED",
            "amount": AMOUNT, "currency": "EUR", "request_id": "r",
        }
        for number in range(count)
    ]  # fmt: skip
    jobs = [{"type": "note", "owner_id": account.id, "payload": {"n": n}} for n in range(count)]
    async with studio.database.transaction() as session:
        await session.exec(insert(Payment), params=payments)
        await session.exec(insert(Job), params=jobs)
    for number in range(count):
        await shop.add_product(f"p{number}")
    await activate_version(studio, await build_version(studio))
    return shop


async def answers(
    studio: Studio, count: int = 20, top_k: int = 20
) -> list[list[tuple[str, float]]]:
    """The results of searches with random vectors, which are the same in every call."""
    random = np.random.default_rng(1)
    queries = [unit(random.normal(size=DIM)) for _ in range(count)]
    hits = []
    for vector in queries:
        query = SearchQuery(top_k=top_k, embedder_version="fake-embedder", image=vector)
        hits.append((await studio.index.search(query)).hits)
    return hits


async def digests(url: str, *without: str) -> dict[str, str]:
    """A hash of every table's rows, which does not depend on their order."""
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        )
        return {
            name: await connection.fetchval(
                f'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "{name}" t'
            )
            for (name,) in names
            if name not in without
        }
    finally:
        await connection.close()


async def scalar(url: str, query: str) -> Any:
    """The single value of a query."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def blob_contents(studio: Studio) -> dict[str, bytes]:
    """Every blob of the studio's store."""
    keys = [key async for key in studio.blobs.list("")]
    return {key: await studio.blobs.get(key) for key in keys}
