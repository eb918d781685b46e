"""The active index version in memory, kept up with the catalogue by reading its changes."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from db.catalog import Change, last_change_seq, list_changes
from db.engine import Database
from db.index_versions import get_active_version
from db.tables import IndexVersion
from errors import Unavailable
from models.index.columns import RowFilter
from models.index.files import empty_files, open_files
from models.index.product_index import ProductIndex
from models.index.stats import ScanKnobs, ScoreStats, facts_from
from studio.index.files import fetch_files
from studio.index.rows import attributes_of, unpack_vector
from studio.ports import BlobStore, IndexAnswer, IndexQuery

PAGE = 25
"""Changes read and applied at a time: either holds up every answer for a millisecond."""
FOLLOW_S = 0.2
"""Pause between looks at the catalogue while another version is loading."""
REST_S = 0.02
"""Pause between pages of changes for a version that is loading: searches come first."""
KEPT_S = 600.0
"""So long after a swap the version before stays in memory: rolling back then loads nothing."""
WARM_UP = 32
OUTDATED = "outdated"
"""Stands for the backup of a loaded version that no row is equal to any more."""
NICENESS = 10
"""How far the thread that checks files stands back, where the system can say so.

Only that: whoever runs Python at low priority keeps everybody waiting while it holds the GIL.
"""


@dataclass
class LoadedVersion:
    """A version, and the number of the last catalogue change that was applied to it.

    restored: the backup that the version's row came from; empty if it came from none.
    """

    version: str
    embedder_version: str
    index: ProductIndex
    applied_seq: int
    restored: str = ""

    def is_of(self, row: IndexVersion) -> bool:
        """Whether this is the row's version, loaded since the row was restored."""
        return (self.version, self.restored) == (row.version, restored_from(row))


class LiveIndex:
    """Searches and changes run in one thread; a new version replaces the old one as a whole."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        thread: Executor,
        cache: Path,
        *,
        max_waiting: int = 256,
        device: str | None = None,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._thread = thread
        self._checker = ThreadPoolExecutor(1, "check index", initializer=_stand_back)
        self._cache = cache
        self._max_waiting = max_waiting
        self._device = device
        self._waiting = 0
        self._loaded: LoadedVersion | None = None
        self._kept: LoadedVersion | None = None
        self._kept_until = 0.0
        self._last_seq = 0

    async def sync(self) -> None:
        """Loads the active version if it is another one, then applies what changed since.

        Searches go on meanwhile, and the version that answers them follows the catalogue.

        Raises:
            Unavailable: database, blob store or disk can't be used.
            NotFound, Invalid: files of the active version are gone or damaged.
        """
        async with self._database.transaction() as session:
            active = await get_active_version(session)
            last_seq = await last_change_seq(session)
        if active is None:
            return
        if last_seq < self._last_seq:
            self._forget_changes()
        self._last_seq = last_seq
        if self._loaded is not None and self._loaded.is_of(active):
            if time.monotonic() > self._kept_until:
                self._kept = None
            await self._catch_up(self._loaded)
            return
        loading = asyncio.create_task(self._load(active), name="load index")
        try:
            while not loading.done():
                if self._loaded is not None:
                    await self._catch_up(self._loaded)
                await asyncio.wait({loading}, timeout=FOLLOW_S)
            fresh = await loading
        finally:
            loading.cancel()
        await self._catch_up(fresh)
        self._loaded, self._kept = fresh, self._loaded
        self._kept_until = time.monotonic() + KEPT_S

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
            "rebuildDue": loaded.index.is_rebuild_due,
        }

    def _forget_changes(self) -> None:
        """The database is as it was earlier: change numbers that were applied are used again."""
        self._kept = None
        if self._loaded is not None:
            self._loaded.restored = OUTDATED

    async def _load(self, row: IndexVersion) -> LoadedVersion:
        """Mapped, warmed up and brought up to date while the old one still answers."""
        if self._kept is not None and self._kept.is_of(row):
            await self._catch_up(self._kept, is_served=False)
            return self._kept
        folder = await fetch_files(
            self._blobs, row.version, row.manifest, self._cache, self._checker
        )
        index = await asyncio.to_thread(_open, folder, row, self._device)
        fresh = LoadedVersion(
            row.version, row.embedder_version, index, row.base_seq, restored_from(row)
        )
        await self._catch_up(fresh, is_served=False)
        return fresh

    async def _catch_up(self, loaded: LoadedVersion, *, is_served: bool = True) -> None:
        # A kept version's last searches may still wait in their thread: it changes there alone.
        thread = self._thread if is_served or loaded is self._kept else None
        while True:
            async with self._database.transaction() as session:
                changes = await list_changes(
                    session, loaded.embedder_version, after_seq=loaded.applied_seq, limit=PAGE
                )
            if changes:
                await asyncio.get_running_loop().run_in_executor(thread, _apply, loaded, changes)
                loaded.applied_seq = changes[-1].change_seq
            if len(changes) < PAGE:  # all there was; whoever waits for none may wait for ever
                return
            if not is_served and self._loaded is not None:
                await asyncio.sleep(REST_S)


def restored_from(row: IndexVersion) -> str:
    """The backup that a version's row came from, as `studio.backup.restore` notes it."""
    return str(row.stats.get("restored", ""))


def _stand_back() -> None:
    """This thread, not the process: on Linux each has a niceness of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _open(folder: Path, row: IndexVersion, device: str | None) -> ProductIndex:
    """Maps the files; the first searches touch what later ones need."""
    files = open_files(folder)
    stats, knobs = facts_from(ScoreStats, row.stats), facts_from(ScanKnobs, row.stats)
    index = ProductIndex(files, stats, knobs, device)
    for vector in files.vectors[:: max(1, len(files.vectors) // WARM_UP)]:
        index.search(10, image=vector.astype("float32"))
    return index


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


def _apply(loaded: LoadedVersion, changes: Sequence[Change]) -> None:
    for change in changes:
        if change.deleted_at is not None or change.vector is None:
            loaded.index.remove(change.id)
            continue
        vector = unpack_vector(change.vector)
        if loaded.index.count == 0 and loaded.index.dim != vector.shape[0]:
            loaded.index = ProductIndex(empty_files(vector.shape[0]), loaded.index.stats)
        loaded.index.put(change.id, vector, attributes_of(change))
