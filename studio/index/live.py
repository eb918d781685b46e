"""The active index version in memory; it follows the catalogue by reading its changes.

While another embedder is rolled out, the newest index of that embedder is in memory beside it. A
query is answered from the index of the embedder that made its vectors.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import structlog

from db.catalog import last_change_seq, list_changes
from db.engine import Database
from db.index_versions import get_active_version
from db.model_rollouts import find_version_beside
from db.tables import IndexVersion
from errors import CursorExpired, EmbedderMismatch, NotLoaded, StudioError, Unavailable
from models.index.catalogue_values import NO_VALUES, CatalogueValues, count_values
from models.index.shapes import SearchAnswer, SearchQuery
from studio.index.files import fetch_files
from studio.index.loaded import LoadedVersion, open_version, restored_from
from studio.ports import BlobStore

PAGE = 25
"""Changes that are read and applied at a time; each step delays searches by a millisecond."""
FOLLOW_S = 0.2
"""Pause between reads of the catalogue's changes while another version is loading."""
REST_S = 0.02
"""Pause between pages of changes for a version that is loading: searches come first."""
ROLLBACK_S = 600.0
"""How long the previous version stays in memory after a swap, so that a rollback loads nothing."""
VALUES_S = 2.0
"""The least time for which counts of the catalogue's values are used again."""
COUNTING_SHARE = 0.01
"""Counting takes at most this share of the time."""
OUTDATED = "outdated"
"""`restored` has this value instead of a backup's name if the version no longer matches a row."""
NICENESS = 10
"""Niceness of the thread that checks files, if the system has one for each thread.

No other thread gets it: a thread of low priority delays all others while it holds the GIL.
"""

log = structlog.get_logger("studio.index")


class LiveIndex:
    """Searches and changes run in one thread; a new version replaces the old one at once."""

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
        self._checker = ThreadPoolExecutor(1, "check index", initializer=_lower_priority)
        self._cache = cache
        self._max_waiting = max_waiting
        self._device = device
        self._waiting = 0
        self._loaded: LoadedVersion | None = None
        self._beside: LoadedVersion | None = None
        self._previous: LoadedVersion | None = None
        self._previous_until = 0.0
        self._last_seq = 0
        self._has_active = False
        self._fetched_bytes = 0
        self._load_s = 0.0
        self._values = NO_VALUES
        self._values_until = 0.0

    async def sync(self) -> None:
        """Loads the versions in use that are not loaded yet, then applies the newest changes.

        Searches continue meanwhile, and the versions that answer them follow the catalogue.

        Raises:
            Unavailable: database, blob store or disk can't be used.
            NotFound, Invalid: files of the active version are gone or damaged.
        """
        async with self._database.transaction() as session:
            active = await get_active_version(session)
            beside = await find_version_beside(session, active) if active else None
            last_seq = await last_change_seq(session)
        self._has_active = active is not None
        if active is None:
            return
        if last_seq < self._last_seq:
            self._forget_changes()
        self._last_seq = last_seq
        await self._sync_active(active)
        try:
            await self._sync_beside(beside)
        except StudioError as error:  # it must not stop the active version
            log.warning("index.beside", reason=error.detail)

    async def _sync_active(self, active: IndexVersion) -> None:
        if self._loaded is not None and self._loaded.is_of(active):
            if time.monotonic() > self._previous_until:
                self._previous = None
            await self._catch_up(self._loaded)
            return
        fresh = await self._load_while_following(active)
        self._loaded, self._previous = fresh, self._loaded
        self._previous_until = time.monotonic() + ROLLBACK_S

    async def _sync_beside(self, row: IndexVersion | None) -> None:
        """Holds the version of the embedder beside that of the active version, if there is one."""
        if row is None:
            self._beside = None
        elif self._beside is not None and self._beside.is_of(row):
            await self._catch_up(self._beside)
        else:
            self._beside = await self._load_while_following(row)

    async def _load_while_following(self, row: IndexVersion) -> LoadedVersion:
        loading = asyncio.create_task(self._load(row), name="load index")
        try:
            while not loading.done():
                for served in (self._loaded, self._beside):
                    if served is not None and not served.is_of(row):
                        await self._catch_up(served)
                await asyncio.wait({loading}, timeout=FOLLOW_S)
            fresh = await loading
        finally:
            loading.cancel()
        await self._catch_up(fresh)
        return fresh

    async def search(self, query: SearchQuery) -> SearchAnswer:
        """Answers a query whose vectors are candidate.

        Raises:
            EmbedderMismatch: no loaded version was built for the embedder of the query's vectors.
            NotLoaded: a version is active, but this replica has not loaded it yet.
            CursorExpired: the version of the query's cursor is gone.
            Unavailable: no version is active, or too many searches wait.
        """
        if self._waiting >= self._max_waiting:
            raise Unavailable(f"{self._max_waiting} searches wait for the index already")
        self._waiting += 1
        try:
            loaded = await self._version_for(query)
            (answer,) = await asyncio.get_running_loop().run_in_executor(
                self._thread, loaded.answer, [query]
            )
        finally:
            self._waiting -= 1
        return answer

    @property
    def is_on_device(self) -> bool:
        """Whether a GPU searches, which answers many searches in the time of one."""
        return self._loaded is not None and self._loaded.index.is_on_device

    async def search_many(self, queries: Sequence[SearchQuery]) -> list[SearchAnswer | StudioError]:
        """The answer to each query, or its error, as `search`: one scan on a GPU for all of them.

        On the CPU they share no work, and the first answer would wait for the last one.
        """
        answers: dict[int, SearchAnswer | StudioError] = {}
        places_of: dict[str, list[int]] = {}
        versions: dict[str, LoadedVersion] = {}
        for place, query in enumerate(queries):
            try:
                loaded = await self._version_for(query)
            except StudioError as error:
                answers[place] = error
                continue
            versions[loaded.version] = loaded
            places_of.setdefault(loaded.version, []).append(place)
        for version, places in places_of.items():
            loaded = versions[version]
            own = await asyncio.get_running_loop().run_in_executor(
                self._thread, loaded.answer, [queries[place] for place in places]
            )
            answers.update(zip(places, own, strict=True))
        return [answers[place] for place in range(len(queries))]

    async def _version_for(self, query: SearchQuery) -> LoadedVersion:
        """The loaded version that can answer the query; raises as `search`."""
        if self._loaded is None and self._has_active:
            raise NotLoaded("the search index is loading")
        if self._loaded is None:
            raise Unavailable("no search index is active")
        # Just after a swap, callers that do not know of it yet ask the previous version, and
        # cursors go on in it.
        candidates = (self._loaded, self._beside, self._previous)
        if query.version is not None:
            return await self._version_of_cursor(query, [one for one in candidates if one])
        for candidate in candidates:
            if candidate is not None and candidate.embedder_version == query.embedder_version:
                return candidate
        raise EmbedderMismatch("the search index was built for another embedder: rebuild it")

    async def _version_of_cursor(
        self, query: SearchQuery, candidates: Sequence[LoadedVersion]
    ) -> LoadedVersion:
        """The version of a cursor, with all changes that the previous page had."""
        loaded = next((one for one in candidates if one.version == query.version), None)
        if loaded is None:
            async with self._database.read() as session:
                active = await get_active_version(session)
            if active is not None and active.version == query.version:
                raise NotLoaded("the search index is loading")
            raise CursorExpired(
                "the index of this cursor is gone: search again from the first page"
            )
        needed_seq = 0 if query.after is None else query.after.change_seq
        if loaded.applied_seq < needed_seq:
            await self._catch_up(loaded, until_seq=needed_seq)
        if max(loaded.applied_seq, self._last_seq) < needed_seq:
            raise CursorExpired("the catalogue was restored: search from the first page")
        return loaded

    async def complete(self, phrase: str, most: int) -> list[str]:
        """Ids of products whose words begin as the phrase does, the best first.

        Raises:
            Unavailable: no version is loaded, or too many searches wait.
        """
        if self._loaded is None or self._waiting >= self._max_waiting:
            raise Unavailable("no search index is loaded, or too many searches wait for it")
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._loaded.complete, phrase, most
        )

    async def catalogue_values(self) -> CatalogueValues:
        """The values that the products carry, some seconds old; counting delays searches."""
        loaded, started_s = self._loaded, time.monotonic()
        if loaded is not None and started_s >= self._values_until:
            self._values = await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: count_values(loaded.index.rows)
            )
            now_s = time.monotonic()
            self._values_until = now_s + max(VALUES_S, (now_s - started_s) / COUNTING_SHARE)
        return self._values

    def status(self) -> Mapping[str, object]:
        """The loaded version and its last applied change; `version` is None if none is loaded.

        `loadSeconds`: how long the last load took. `fetchedBytes`: what was fetched by all loads.
        `lacksMemory`: whether the CPU searches because the configured device is full.
        """
        loaded = self._loaded
        loads = {"loadSeconds": self._load_s, "fetchedBytes": self._fetched_bytes}
        if loaded is None:
            return {"version": None, "embedderVersion": None, "count": 0, "appliedSeq": 0, **loads}
        return {
            **loads,
            "version": loaded.version,
            "embedderVersion": loaded.embedder_version,
            "count": loaded.index.count,
            "appliedSeq": loaded.applied_seq,
            "rebuildDue": loaded.index.is_rebuild_due,
            "beside": self._beside and self._beside.version,
            "lacksMemory": loaded.index.lacks_memory,
        }

    def _forget_changes(self) -> None:
        """Handles a restored database, in which change numbers are used again."""
        self._previous = None
        for served in (self._loaded, self._beside):
            if served is not None:
                served.restored = OUTDATED

    async def _load(self, row: IndexVersion) -> LoadedVersion:
        """Maps, warms up and updates a version while the old one still answers."""
        for candidate in (self._beside, self._previous):
            if candidate is not None and candidate.is_of(row):
                await self._catch_up(candidate, is_served=False)
                return candidate
        self._previous = None  # before another one needs its memory
        started_s = time.monotonic()
        folder = await fetch_files(
            self._blobs, row.version, row.manifest, self._cache, self._checker, self._note_bytes
        )
        index = await asyncio.to_thread(open_version, folder, row, self._device)
        fresh = LoadedVersion(
            row.version, row.embedder_version, index, row.base_seq, restored_from(row)
        )
        await self._catch_up(fresh, is_served=False)
        self._load_s = time.monotonic() - started_s
        return fresh

    def _note_bytes(self, count: int) -> None:
        self._fetched_bytes += count

    async def _catch_up(
        self, loaded: LoadedVersion, *, is_served: bool = True, until_seq: int | None = None
    ) -> None:
        """Applies all changes, or at least those with numbers up to `until_seq`."""
        # Searches of these versions may wait in the thread: they are changed only there.
        is_known = loaded is self._previous or loaded is self._beside
        thread = self._thread if is_served or is_known else None
        async with loaded.following:
            while until_seq is None or loaded.applied_seq < until_seq:
                async with self._database.transaction() as session:
                    changes = await list_changes(
                        session, loaded.embedder_version, after_seq=loaded.applied_seq, limit=PAGE
                    )
                if changes:
                    await asyncio.get_running_loop().run_in_executor(thread, loaded.apply, changes)
                    loaded.applied_seq = changes[-1].change_seq
                # A page that is not full is the last one. Don't wait for an empty page: while
                # others write, it may never come.
                if len(changes) < PAGE:
                    return
                if not is_served and self._loaded is not None:
                    await asyncio.sleep(REST_S)


def _lower_priority() -> None:
    """Lowers the priority of this thread only: on Linux each thread has its own niceness."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
