"""The active index version in memory, kept up with the catalogue by reading its changes."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from db.catalog import list_changes
from db.engine import Database
from db.index_versions import get_active_version
from db.tables import IndexVersion, Product
from errors import Unavailable
from models.index import ProductIndex, RowFilter, empty_files, stats_from
from studio.index_rows import attributes_of, unpack_vector
from studio.index_store import load_files
from studio.ports import BlobStore, IndexAnswer, IndexQuery

PAGE = 500


@dataclass
class LoadedVersion:
    """A version, and the number of the last catalogue change that was applied to it."""

    version: str
    embedder_version: str
    index: ProductIndex
    applied_seq: int


class LiveIndex:
    """Searches and changes run in one thread; a new version replaces the old one as a whole."""

    def __init__(
        self, database: Database, blobs: BlobStore, thread: Executor, *, max_waiting: int = 256
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._thread = thread
        self._max_waiting = max_waiting
        self._waiting = 0
        self._loaded: LoadedVersion | None = None

    async def sync(self) -> None:
        """Loads the active version if it is another one, then applies what changed since.

        Raises:
            Unavailable: database or blob store can't be reached.
            NotFound, Invalid: files of the active version are gone or damaged.
        """
        async with self._database.transaction() as session:
            active = await get_active_version(session)
        if active is None:
            return
        if self._loaded is None or self._loaded.version != active.version:
            fresh = await self._load(active)
            await self._catch_up(fresh)
            self._loaded = fresh
        else:
            await self._catch_up(self._loaded)

    async def search(self, query: IndexQuery) -> IndexAnswer:
        """Raises:
        Unavailable: nothing is loaded, the embedder is another one, or too many wait.
        """
        loaded = self._loaded
        if loaded is None:
            raise Unavailable("no search index is active")
        if query.embedder_version != loaded.embedder_version:
            raise Unavailable("the search index was made by another embedder: rebuild it")
        if self._waiting >= self._max_waiting:
            raise Unavailable(f"{self._max_waiting} searches wait for the index already")
        self._waiting += 1
        try:
            hits = await asyncio.get_running_loop().run_in_executor(
                self._thread, _search, loaded.index, query
            )
        finally:
            self._waiting -= 1
        return IndexAnswer(loaded.version, hits)

    def status(self) -> Mapping[str, object]:
        """What is loaded; `version` is None where nothing is."""
        loaded = self._loaded
        if loaded is None:
            return {"version": None, "embedderVersion": None, "count": 0, "appliedSeq": 0}
        return {
            "version": loaded.version,
            "embedderVersion": loaded.embedder_version,
            "count": loaded.index.count,
            "appliedSeq": loaded.applied_seq,
        }

    async def _load(self, row: IndexVersion) -> LoadedVersion:
        files = await load_files(self._blobs, row.version, row.manifest)
        index = await asyncio.to_thread(ProductIndex, files, stats_from(row.stats))
        return LoadedVersion(row.version, row.embedder_version, index, row.base_seq)

    async def _catch_up(self, loaded: LoadedVersion) -> None:
        while True:
            async with self._database.transaction() as session:
                changes = await list_changes(
                    session, loaded.embedder_version, after_seq=loaded.applied_seq, limit=PAGE
                )
            if not changes:
                return
            await asyncio.get_running_loop().run_in_executor(self._thread, _apply, loaded, changes)
            loaded.applied_seq = changes[-1][0].change_seq


def _search(index: ProductIndex, query: IndexQuery) -> list[tuple[str, float]]:
    filters = query.filters
    where = RowFilter(
        category=filters.category,
        brand=filters.brand,
        price_min=filters.price_min,
        price_max=filters.price_max,
        in_stock=filters.in_stock,
        exclude=query.exclude,
    )
    return index.search(
        query.top_k, image=query.image, text=query.text, alpha=query.alpha, where=where
    )


def _apply(loaded: LoadedVersion, changes: Sequence[tuple[Product, bytes | None]]) -> None:
    for product, packed in changes:
        if product.deleted_at is not None or packed is None:
            loaded.index.remove(product.id)
            continue
        vector = unpack_vector(packed)
        if loaded.index.count == 0 and loaded.index.dim != vector.shape[0]:
            loaded.index = ProductIndex(empty_files(vector.shape[0]), loaded.index.stats)
        loaded.index.put(product.id, vector, attributes_of(product))
