"""Building an index version: embed what is missing, read the catalogue, store, check."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

import numpy as np
from sqlalchemy import text

from db.catalog import (
    count_unembedded,
    list_changes,
    list_unembedded,
    newest_change_seq,
    put_embedding,
    take_change_seq,
)
from db.index_versions import get_index_version
from db.tables import IndexVersion, Product, ProductEmbedding
from errors import NotFound, StudioError
from models.index import ProductIndex, empty_files, measure_stats
from models.index_files import IndexFiles
from studio.index_rows import attributes_of, pack_vector, unpack_vector
from studio.index_store import load_files, store_files
from studio.ports import Studio

PAGE = 1000
EMBED_PAGE = 64
STATS_SAMPLE = 256

Progress = Callable[[int, int, str], Awaitable[None] | None]
"""Called with done, total and a message."""


async def embed_missing(
    studio: Studio, report: Progress | None = None, *, full: bool = False
) -> int:
    """Embeds every product whose picture the present embedder has not seen; returns how many.

    With `full` it embeds every product again; each stays searchable meanwhile.
    """
    version = await studio.embedder.version()
    after, done = "", 0
    async with studio.database.transaction() as session:
        total = await count_unembedded(session, None if full else version)
    while True:
        async with studio.database.transaction() as session:
            products = await list_unembedded(
                session, None if full else version, limit=EMBED_PAGE, after=after
            )
        if not products:
            return done
        await asyncio.gather(*(_embed_product(studio, product) for product in products))
        after, done = products[-1].id, done + len(products)
        if (
            report is not None
            and (reported := report(done, total, "pictures embedded")) is not None
        ):
            await reported


async def _embed_product(studio: Studio, product: Product) -> None:
    data = await studio.blobs.get(product.image_key)
    embedding = await studio.embedder.embed_image(data)
    async with studio.database.transaction() as session:
        seq = await take_change_seq(session)
        there = await session.get(Product, product.id, with_for_update=True)
        if there is None or there.deleted_at or there.image_sha256 != product.image_sha256:
            return
        there.change_seq = seq
        session.add(there)
        await put_embedding(
            session,
            ProductEmbedding(
                product_id=product.id,
                embedder_version=embedding.version,
                vector=pack_vector(embedding.vector),
                image_sha256=product.image_sha256,
            ),
        )


async def build_version(studio: Studio, report: Progress | None = None) -> str:
    """Builds, stores and checks an index of the whole catalogue; returns its name, not active.

    Raises:
        Conflict: what was read back from the store differs from what was built.
    """
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"
    embedder_version = await studio.embedder.version()
    async with studio.database.transaction() as session:
        session.add(IndexVersion(version=name, embedder_version=embedder_version))
    try:
        files, base_seq, titles = await _read_catalogue(studio, embedder_version, report)
        stats = await _sample_stats(studio, files, titles)
        manifest = await store_files(studio.blobs, name, files)
        await load_files(studio.blobs, name, manifest)
    except StudioError as error:
        await _set(studio, name, status="failed", error=error.detail)
        raise
    await _set(
        studio,
        name,
        status="ready",
        count=len(files.ids),
        base_seq=base_seq,
        manifest=manifest,
        stats=stats,
    )
    return name


async def _read_catalogue(
    studio: Studio, embedder_version: str, report: Progress | None
) -> tuple[IndexFiles, int, list[str]]:
    """All live, embedded products as of one moment, its change number, and their titles."""
    index: ProductIndex | None = None
    titles: list[str] = []
    async with studio.database.transaction() as session:
        await session.exec(  # type: ignore[call-overload]
            text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        )
        base_seq = await newest_change_seq(session)
        seq = 0
        while page := await list_changes(session, embedder_version, after_seq=seq, limit=PAGE):
            for product, packed in page:
                seq = product.change_seq
                if product.deleted_at is None and packed is not None:
                    vector = unpack_vector(packed)
                    index = index or ProductIndex(empty_files(vector.shape[0]))
                    index.put(product.id, vector, attributes_of(product))
                    titles.append(product.title)
            if report is not None and (reported := report(seq, base_seq, "products read")):
                await reported
            session.expunge_all()
    return (index.files() if index else empty_files(1)), base_seq, titles


async def _sample_stats(studio: Studio, files: IndexFiles, titles: list[str]) -> dict[str, float]:
    """Similarities of sample pictures and sample titles to the catalogue."""
    random = np.random.default_rng(0)
    size = min(STATS_SAMPLE, len(files.ids))
    rows = random.choice(len(files.ids), size, replace=False) if size else np.zeros(0, np.int64)
    images = files.vectors[rows].astype(np.float32)
    words = sorted(set(titles))
    chosen = random.permutation(len(words))[:size]
    embedded = [await studio.embedder.embed_text(words[place]) for place in chosen]
    dim = files.vectors.shape[1]
    texts = np.stack([e.vector for e in embedded]) if embedded else np.zeros((0, dim), np.float32)
    stats = await asyncio.to_thread(measure_stats, files.vectors, images, texts)
    return dict(vars(stats))


async def _set(studio: Studio, version: str, **values: object) -> None:
    async with studio.database.transaction() as session:
        row = await get_index_version(session, version)
        if row is None:
            raise NotFound(f"there is no index version {version}")
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)
