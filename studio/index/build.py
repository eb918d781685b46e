"""Builds an index version: reads the catalogue, stores the files, checks them."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from db.catalog import newest_change_seq, read_one_moment, stream_embedded
from db.index_versions import get_index_version, lock_unfinished_versions
from db.tables import IndexVersion
from errors import Conflict, StudioError
from models.embedder.shapes import unpack_vector
from models.index.build import IndexWriter
from models.index.check import OTHER_THINGS, SAMPLE, check_index, refuse_low
from studio.index.files import cache_folder, fetch_files, store_files
from studio.index.rows import attributes_of, text_of
from studio.job_types import Guard, Progress
from studio.ports import Studio

REPORT_ROWS = 1000
"""Progress is reported each time that this many products are done."""


async def build_version(studio: Studio, report: Progress | None = None) -> str:
    """Builds, stores and checks an index of the whole catalogue, but does not activate it.

    Returns the name of the new version.

    Raises:
        Invalid: the files in the store differ from those that were built.
        Conflict: the index misses too many of the nearest products.
    """
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"
    embedder_version = await studio.embedder.version()
    cache = cache_folder(studio.settings)
    async with studio.database.transaction() as session:
        session.add(IndexVersion(version=name, embedder_version=embedder_version))
    try:
        await asyncio.to_thread(cache.mkdir, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".building-") as building:
            catalogue = await _write_catalogue(studio, embedder_version, Path(building), report)
            manifest = await store_files(studio.blobs, name, Path(building))
        folder = await fetch_files(studio.blobs, name, manifest, cache)
        titles = await _embed(studio, catalogue.titles)
        others = await _embed(studio, OTHER_THINGS)
        checked = await asyncio.to_thread(check_index, folder, titles, others)
        if checked.count != catalogue.count:
            raise Conflict(f"{checked.count} of {catalogue.count} products were read back")
        refuse_low(checked.recall)
    except StudioError as error:
        await _set(studio, name, status="failed", error=error.detail)
        raise
    await _set(
        studio,
        name,
        status="ready",
        count=catalogue.count,
        base_seq=catalogue.base_seq,
        manifest=manifest,
        stats=checked.stats(),
    )
    return name


async def _embed(studio: Studio, texts: Sequence[str]) -> list[NDArray[np.float32]]:
    return [embedding.vector for embedding in await studio.embedder.embed_texts(texts)]


async def give_up_unfinished(studio: Studio, guard: Guard) -> None:
    """Marks versions that killed workers left unfinished as failed, and deletes their files."""
    async with studio.database.transaction() as session:
        await guard(session)
        for row in await lock_unfinished_versions(session):
            async for key in studio.blobs.list(f"indexes/{row.version}/"):
                await studio.blobs.delete(key)
            row.status, row.error = "failed", "its worker ended"
            session.add(row)


@dataclass(frozen=True)
class Catalogue:
    """What was written: the number of products, the newest change's number, some titles."""

    count: int
    base_seq: int
    titles: list[str]


async def _write_catalogue(
    studio: Studio, embedder_version: str, folder: Path, report: Progress | None
) -> Catalogue:
    """Writes all live products that have a vector, as of one moment, to the files of a version."""
    titles = TitleSample()
    with IndexWriter(folder) as writer:
        async with studio.database.transaction() as session:
            await read_one_moment(session)
            base_seq = await newest_change_seq(session)
            async for product, packed in stream_embedded(session, embedder_version):
                vector = unpack_vector(packed)
                writer.add(product.id, vector, attributes_of(product), text_of(product))
                titles.add(product.title)
                if report is not None and writer.count % REPORT_ROWS == 0:
                    await report(writer.count, 0, "products read")
        if report is not None:
            await report(writer.count, writer.count, "products read")
        await asyncio.to_thread(writer.finish)
    return Catalogue(writer.count, base_seq, titles.sample)


class TitleSample:
    """A sample of distinct titles; the same for the same catalogue."""

    def __init__(self) -> None:
        self.sample: list[str] = []
        self._sampled: set[str] = set()
        self._random = np.random.default_rng(0)
        self._count = 0

    def add(self, title: str) -> None:
        """Reservoir sampling (Vitter's algorithm R)."""
        if title in self._sampled:
            return
        self._count += 1
        if len(self.sample) < SAMPLE:
            self.sample.append(title)
        elif (place := int(self._random.integers(self._count))) < SAMPLE:
            self._sampled.remove(self.sample[place])
            self.sample[place] = title
        else:
            return
        self._sampled.add(title)


async def _set(studio: Studio, version: str, **values: object) -> None:
    async with studio.database.transaction() as session:
        row = await get_index_version(session, version, lock=True)
        if row is None or row.status != "building":
            raise Conflict(f"index version {version} was given up")
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)
