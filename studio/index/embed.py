"""Embedding the catalogue: what has no vector yet goes through a source, batches are written."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from db.embeddings import (
    NewVector,
    StoredPicture,
    Unseen,
    count_unseen,
    list_pictures,
    list_ranges,
    put_vectors,
)
from errors import StudioError, Unavailable
from studio.index.rows import pack_vector
from studio.job_types import Guard, Progress
from studio.ports import Embedding, Studio

BATCH = 64
AHEAD = 2
REPORT_S = 1.0
MAX_ERRORS = 1000


@dataclass(frozen=True)
class Looked:
    """A picture and what became of it: a packed vector, or why there is none."""

    product_id: str
    image_sha256: str
    vector: bytes | None = None
    error: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What a source is to embed."""

    unseen: Unseen
    total: int


Source = Callable[[Studio, Wanted], AsyncGenerator[list[Looked], None]]
"""Where vectors come from. A batch that was taken is written before the next one is asked for."""


@dataclass
class Embedded:
    """How many products have their vector now, and which pictures can't be read."""

    count: int = 0
    failed: int = 0
    errors: list[dict[str, str]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Pictures that were looked at."""
        return self.count + self.failed


async def embed_warm(studio: Studio, wanted: Wanted) -> AsyncGenerator[list[Looked], None]:
    """By the Embedder in service: nothing has to start, but it shares the model with searches."""
    async with studio.database.transaction() as session:
        ranges = await list_ranges(session, wanted.unseen, BATCH)
    ahead: deque[asyncio.Task[list[Looked]]] = deque()
    try:
        for place in range(len(ranges) + AHEAD):
            if place < len(ranges):
                ahead.append(asyncio.create_task(_look(studio, wanted.unseen, *ranges[place])))
            if place >= AHEAD:
                yield await ahead.popleft()
    finally:
        for task in ahead:
            task.cancel()


async def _look(studio: Studio, unseen: Unseen, first: str, last: str) -> list[Looked]:
    """One range: the batch after it is fetched and decoded while its own is embedded."""
    async with studio.database.transaction() as session:
        pictures = await list_pictures(session, unseen, first, last)
    contents = await asyncio.gather(*(_or_error(studio, one.image_key) for one in pictures))
    answers = iter(
        await studio.embedder.embed_images([one for one in contents if isinstance(one, bytes)])
    )
    return [
        _looked(unseen, picture, content if isinstance(content, StudioError) else next(answers))
        for picture, content in zip(pictures, contents, strict=True)
    ]


async def _or_error(studio: Studio, key: str) -> bytes | StudioError:
    try:
        return await studio.blobs.get(key)
    except StudioError as error:
        return error


def _looked(unseen: Unseen, picture: StoredPicture, answer: Embedding | StudioError) -> Looked:
    """Raises:
    StudioError: it says nothing about the picture, only about the studio.
    """
    if isinstance(answer, StudioError):
        if answer.retryable:
            raise answer
        return Looked(picture.product_id, picture.image_sha256, error=answer.detail)
    if answer.version != unseen.embedder_version:
        raise Unavailable("the embedder is being replaced by another one")
    return Looked(picture.product_id, picture.image_sha256, pack_vector(answer.vector))


async def embed_missing(
    studio: Studio,
    report: Progress | None = None,
    *,
    since: datetime | None = None,
    source: Source = embed_warm,
    guard: Guard | None = None,
) -> Embedded:
    """Embeds every product whose picture the present embedder has not seen, batch by batch.

    What is written is not done again, so a second call goes on where a killed one was. With
    `since`, vectors that are older don't count; each product stays searchable meanwhile.

    Raises:
        Unavailable: a part of the studio is down, or the embedder is being replaced.
    """
    unseen = Unseen(await studio.embedder.version(), since)
    async with studio.database.transaction() as session:
        wanted = Wanted(unseen, await count_unseen(session, unseen))
    embedded, meter = Embedded(), Meter(wanted.total, report)
    if not wanted.total:
        return embedded
    async with aclosing(source(studio, wanted)) as batches:
        async for batch in batches:
            async with studio.database.transaction() as session:
                if guard is not None:
                    await guard(session)
                await _write(session, unseen, batch)
            await meter.tell(_count(embedded, batch), embedded.done)
    await meter.tell([], embedded.done, is_last=True)
    return embedded


async def _write(session: AsyncSession, unseen: Unseen, batch: Sequence[Looked]) -> None:
    vectors = [
        NewVector(one.product_id, one.image_sha256, one.vector)
        for one in batch
        if one.vector is not None
    ]
    await put_vectors(session, unseen.embedder_version, vectors)


def _count(embedded: Embedded, batch: Sequence[Looked]) -> list[dict[str, str]]:
    """Adds a batch; returns its errors, by id."""
    errors = [{"id": one.product_id, "detail": one.error} for one in batch if one.error is not None]
    embedded.count += len(batch) - len(errors)
    embedded.failed += len(errors)
    embedded.errors += errors[: MAX_ERRORS - len(embedded.errors)]
    return errors


class Meter:
    """Tells how far it is, how fast it goes since the first batch, and how long it will take."""

    def __init__(self, total: int, report: Progress | None) -> None:
        self._total = total
        self._report = report
        self._first: tuple[int, float] | None = None
        self._told_s = 0.0
        self._errors: list[dict[str, str]] = []

    async def tell(self, errors: list[dict[str, str]], done: int, *, is_last: bool = False) -> None:
        """At most once a second, but always what came last."""
        now_s = time.monotonic()
        self._first = self._first or (done, now_s)
        self._errors += errors
        if self._report is None or (now_s - self._told_s < REPORT_S and not is_last):
            return
        self._told_s = now_s
        details: dict[str, Any] = {"errors": self._errors[:MAX_ERRORS]} if self._errors else {}
        self._errors = []
        await self._report(done, self._total, self._message(done, now_s), **details)

    def _message(self, done: int, now_s: float) -> str:
        first_done, first_s = self._first or (0, now_s)
        if done == first_done or now_s == first_s:
            return "pictures embedded"
        rate = (done - first_done) / (now_s - first_s)
        left_s = (self._total - done) / rate
        return f"pictures embedded, {rate:.1f} images/s, {max(left_s, 0):.0f} s left"
