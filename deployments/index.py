"""`Index`: searches the active version with FAISS and follows the catalogue in PostgreSQL."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from deployments.handles import TracedQuery
from deployments.serve.connections import INDEX_POOL
from deployments.serve.metrics import BatchMetrics, IndexMetrics
from deployments.serve.replica import Replica, replica_id
from errors import NotLoaded, StudioError
from integrations.blobs.store import open_blob_store
from models.devices import select_device
from models.index.catalogue_values import CatalogueValues
from models.index.shapes import SearchAnswer, SearchQuery
from settings import load_settings
from studio.batching import BatchReport, MicroBatcher
from studio.context import continuing, span, within
from studio.index.files import cache_folder
from studio.index.live import LiveIndex

RETRY_S = 1.0
SCANNED_TOGETHER = 64
"""Searches of one scan on a GPU."""

log = structlog.get_logger("studio.index")


@dataclass(frozen=True)
class IndexArgs:
    """How a replica follows the catalogue, and how many searches may wait.

    device: the torch device that searches large catalogues; None: FAISS on the CPU.
    """

    poll_s: float = 0.2
    max_waiting: int = 256
    device: str | None = None


class Index(Replica):
    """Every replica polls the catalogue, so a change is searchable after one poll."""

    async def __init__(self, args: IndexArgs) -> None:  # type: ignore[misc]
        """Loads the active version; Serve awaits this before it sends the first search.

        Serve has no time limit for it, so that a large index may load for as long as it needs.
        """
        settings = load_settings()
        if args.device is not None:
            select_device(args.device)  # fails at the start, not at the first large catalogue
        self._args = args
        self._database = Database(settings.secret("database_url"), pool_size=INDEX_POOL)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index")
        self._live = LiveIndex(
            self._database,
            open_blob_store(settings),
            self._thread,
            cache_folder(settings),
            max_waiting=args.max_waiting,
            device=args.device,
        )
        self._scans: MicroBatcher[SearchQuery, SearchAnswer] = MicroBatcher(
            self._live.search_many, max_batch=SCANNED_TOGETHER, max_waiting=args.max_waiting
        )
        self._lacks_memory = False
        self._metrics = IndexMetrics()
        self._metrics.show(self._live.status())
        self._observe = BatchMetrics().of("searches")
        self._running = 0
        self._replica_id = replica_id()
        await self._load_active()
        self._following = asyncio.get_running_loop().create_task(self._follow(), name="follow")

    async def search(self, queries: list[TracedQuery]) -> list[SearchAnswer | StudioError]:
        """The answer to each query, or its own error; see `LiveIndex.search`."""
        started_s = time.perf_counter()
        self._running += len(queries)
        try:
            return list(await asyncio.gather(*(self._search_or_error(query) for query in queries)))
        finally:
            self._running -= len(queries)
            run_s = time.perf_counter() - started_s  # with the wait for the thread
            self._observe(BatchReport(len(queries), self._running, 0.0, run_s))

    async def _search_or_error(self, traced: TracedQuery) -> SearchAnswer | StudioError:
        started_s = time.perf_counter()
        with continuing(traced.origin), span("Index.search", top_k=traced.query.top_k):
            try:
                async with within(traced.origin.deadline):
                    answer: SearchAnswer | StudioError = await self._search(traced.query)
            except NotLoaded as error:
                error.replica = self._replica_id
                answer = error
            except StudioError as error:
                answer = error
            summary = answer.detail if isinstance(answer, StudioError) else answer.index_version
            elapsed_ms = round((time.perf_counter() - started_s) * 1000, 1)
            log.info("index.search", answer=summary, ms=elapsed_ms)
        return answer

    async def _search(self, query: SearchQuery) -> SearchAnswer:
        """Searches of all calls that wait share a scan, if a GPU searches."""
        if self._live.is_on_device:
            return await self._scans.submit(query)
        return await self._live.search(query)

    async def complete(self, phrase: str, most: int) -> list[str]:
        """Ids of products whose words begin as the phrase does."""
        return await self._live.complete(phrase, most)

    async def catalogue_values(self) -> CatalogueValues:
        """The values that the products of this replica carry, some seconds old."""
        return await self._live.catalogue_values()

    async def status(self) -> Mapping[str, object]:
        """The version that this replica has loaded, and how far it follows the catalogue."""
        return self._live.status()

    async def check_health(self) -> None:
        """Checks that the replica follows the catalogue and that its thread answers.

        Raises:
            RuntimeError: the replica no longer follows the catalogue, or no longer scans.
        """
        if self._following.done():
            raise RuntimeError("the index no longer follows the catalogue")
        self._scans.check()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._live.status)

    async def _load_active(self) -> None:
        """Waits until the active version is loaded, or there is none.

        It does not wait for an index whose files are gone or damaged: the studio must start, so
        that the index can be rebuilt.
        """
        while (error := await self._sync()) is not None:
            if isinstance(error, StudioError) and not error.retryable:
                return
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        while True:
            error = await self._sync()
            await asyncio.sleep(self._args.poll_s if error is None else RETRY_S)

    async def _sync(self) -> Exception | None:
        """Follows the catalogue once; returns the error that prevents it."""
        try:
            await self._live.sync()
        except (StudioError, SQLAlchemyError) as error:
            log.warning("index.behind", reason=str(error))
            return error
        finally:
            self._show_status()
        return None

    def _show_status(self) -> None:
        status = self._live.status()
        if status.get("lacksMemory") and not self._lacks_memory:
            log.warning("index.device_full", version=status["version"], searches_on="cpu")
        self._lacks_memory = bool(status.get("lacksMemory"))
        self._metrics.show(status)
