"""Rows and blobs of the deletion tests, and helpers to insert, count and read them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlmodel import SQLModel, select

from db.tables import File, Job, Product, SearchLog, SegmentationResult, TryonJob, User
from integrations.blobs.keys import BlobEntry
from studio.ports import Studio
from tests.support.fakes import picture

OWNER = uuid4()

FILE = uuid4()

KEY = f"uploads/{OWNER}/{FILE}.png"

NOW = datetime.now(UTC)


async def run(studio: Studio, statement: str, **params: Any) -> int:
    async with studio.database.transaction() as session:
        result = await session.exec(text(statement), params=params)  # type: ignore[call-overload]
        return int(result.scalar_one()) if result.returns_rows else int(result.rowcount)


async def rows(studio: Studio, column: Any) -> list[Any]:
    async with studio.database.read() as session:
        return list((await session.exec(select(column))).all())


async def add(studio: Studio, *new: SQLModel) -> None:
    async with studio.database.transaction() as session:
        session.add_all(new)


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


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


async def ids(studio: Studio, column: Any) -> set[Any]:
    async with studio.database.read() as session:
        return set((await session.exec(select(column))).all())


def searched(days: float) -> SearchLog:
    params = {"query": "dress", "image_url": "https://x", "file_id": "f", "top_k": 10}
    return SearchLog(
        at=ago(days), user_id=OWNER, type="hybrid", params=params, results=["p"], latency_ms=1,
        index_version="v", embedder_version="e", request_id="r",
    )  # fmt: skip


STRAYS = (
    f"uploads/{OWNER}/{UUID(int=1)}.png", f"uploads/{OWNER}/fetched/{UUID(int=1)}-person.png",
    f"uploads/imports/{UUID(int=1)}.csv", f"masks/{OWNER}/{UUID(int=1)}.png",
    f"tryon/{UUID(int=1)}.png", f"heatmaps/{UUID(int=1)}.png", "products/a/stray.jpg",
    "indexes/gone/faiss", "regressors/gone/trees",
)  # fmt: skip

PLOT = "regressors/starter/evaluations/1/plot.png"


class OldStore:
    """The studio's store, whose blobs seem to be two days old."""

    def __init__(self, studio: Studio) -> None:
        self._blobs = studio.blobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    async def scan(self, prefix: str, *, after: str = "") -> AsyncIterator[BlobEntry]:
        async for entry in self._blobs.scan(prefix, after=after):
            yield BlobEntry(entry.key, entry.size, ago(2), entry.is_tombstone)


async def insert_owner(studio: Studio) -> UUID:
    """Inserts an account with a selfie and a mask of it. Returns its id."""
    await add(studio, User(id=OWNER, email="a@example.com", password_hash="x"))
    file = File(
        id=FILE, owner_id=OWNER, purpose="selfie", filename="a", content_type="image/png",
        size_bytes=1, blob_key=KEY, status="ready",
    )  # fmt: skip
    await add(studio, file, mask_of(KEY))
    await studio.blobs.put(KEY, picture(kind="PNG"), "image/png")
    return OWNER
