"""Embeds the catalogue: a source embeds pictures without a vector; each batch is committed."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from db.embeddings import (
    MissingVectors,
    NewVector,
    ProductPicture,
    count_missing,
    list_pictures,
    list_ranges,
    put_vectors,
)
from errors import StudioError, Unavailable
from models.embedder.shapes import Embedding, pack_vector
from studio.index.progress import MAX_ERRORS, ProgressMeter
from studio.job_types import Guard, Progress
from studio.ports import Studio

BATCH = 64
AHEAD = 2
"""Batches that are fetched and embedded ahead of the one that is being written."""


@dataclass(frozen=True)
class PictureResult:
    """A product's picture after embedding: a packed vector, or the reason why there is none."""

    product_id: str
    image_sha256: str
    vector: bytes | None = None
    error: str | None = None


@dataclass(frozen=True)
class EmbeddingTask:
    """The pictures that a source has to embed, and their number."""

    missing: MissingVectors
    total: int


Source = Callable[[Studio, EmbeddingTask], AsyncGenerator[list[PictureResult], None]]
"""Yields batches of results. A batch is written before the next one is requested."""


@dataclass
class EmbeddingCounts:
    """The number of new vectors, and the number and the errors of pictures that can't be read."""

    count: int = 0
    failed: int = 0
    errors: list[dict[str, str]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Pictures with a result, good or bad."""
        return self.count + self.failed

    def add(self, batch: Sequence[PictureResult]) -> list[dict[str, str]]:
        """Counts a batch; returns its errors with the ids of their products."""
        errors = [
            {"id": result.product_id, "detail": result.error}
            for result in batch
            if result.error is not None
        ]
        self.count += len(batch) - len(errors)
        self.failed += len(errors)
        self.errors += errors[: MAX_ERRORS - len(self.errors)]
        return errors


async def embed_by_deployment(
    studio: Studio, task: EmbeddingTask
) -> AsyncGenerator[list[PictureResult], None]:
    """Uses the Embedder in service: no other process must start, but searches share the model."""
    async with studio.database.transaction() as session:
        ranges = await list_ranges(session, task.missing, BATCH)
    ahead: deque[asyncio.Task[list[PictureResult]]] = deque()
    try:
        for place in range(len(ranges) + AHEAD):
            if place < len(ranges):
                work = _embed_range(studio, task.missing, *ranges[place])
                ahead.append(asyncio.create_task(work))
            if place >= AHEAD:
                yield await ahead.popleft()
    finally:
        for pending in ahead:
            pending.cancel()


async def _embed_range(
    studio: Studio, missing: MissingVectors, first: str, last: str
) -> list[PictureResult]:
    """Fetches and embeds the pictures of the products between two ids."""
    async with studio.database.transaction() as session:
        pictures = await list_pictures(session, missing, first, last)
    contents = await asyncio.gather(
        *(_get_or_error(studio, picture.image_key) for picture in pictures)
    )
    embeddings = iter(
        await studio.embedder.embed_images([data for data in contents if isinstance(data, bytes)])
    )
    return [
        _to_result(missing, picture, data if isinstance(data, StudioError) else next(embeddings))
        for picture, data in zip(pictures, contents, strict=True)
    ]


async def _get_or_error(studio: Studio, key: str) -> bytes | StudioError:
    try:
        return await studio.blobs.get(key)
    except StudioError as error:
        return error


def _to_result(
    missing: MissingVectors, picture: ProductPicture, embedding: Embedding | StudioError
) -> PictureResult:
    """Combines a picture's row with its embedding, or with the error of its picture.

    Raises:
        StudioError: a part of the studio failed; this is not an error of the picture.
    """
    if isinstance(embedding, StudioError):
        if embedding.retryable:
            raise embedding
        return PictureResult(picture.product_id, picture.image_sha256, error=embedding.detail)
    if embedding.version != missing.embedder_version:
        raise Unavailable("the embedder is being replaced by another one")
    vector = pack_vector(embedding.vector)
    return PictureResult(picture.product_id, picture.image_sha256, vector)


async def embed_missing(
    studio: Studio,
    report: Progress | None = None,
    *,
    since: datetime | None = None,
    source: Source = embed_by_deployment,
    guard: Guard | None = None,
) -> EmbeddingCounts:
    """Embeds every product whose picture has no vector of the embedder in service.

    Each batch is committed, so a second call continues where an interrupted one stopped. With
    `since`, older vectors are computed again; their products stay searchable meanwhile.

    Raises:
        Unavailable: a part of the studio is down, or the embedder is being replaced.
    """
    missing = MissingVectors(await studio.embedder.version(), since)
    async with studio.database.transaction() as session:
        task = EmbeddingTask(missing, await count_missing(session, missing))
    counts, meter = EmbeddingCounts(), ProgressMeter(task.total, report)
    if not task.total:
        return counts
    async with aclosing(source(studio, task)) as batches:
        async for batch in batches:
            async with studio.database.transaction() as session:
                if guard is not None:
                    await guard(session)
                await _write(session, missing, batch)
            await meter.update(counts.add(batch), counts.done)
    await meter.update([], counts.done, is_last=True)
    return counts


async def _write(
    session: AsyncSession, missing: MissingVectors, batch: Sequence[PictureResult]
) -> None:
    vectors = [
        NewVector(result.product_id, result.image_sha256, result.vector)
        for result in batch
        if result.vector is not None
    ]
    await put_vectors(session, missing.embedder_version, vectors)
