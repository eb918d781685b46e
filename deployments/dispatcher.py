"""`Dispatcher`: claims jobs and runs each of them as a Ray task; it loads no model."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.job_counts import count_backlog, count_overdue, count_states
from db.regressor_versions import least_coverage
from db.server import count_connections
from deployments.handles import IndexHandle
from deployments.serve.autoscaling import DUE
from deployments.serve.calls import Handle
from deployments.serve.connections import DISPATCHER_POOL
from deployments.serve.log_files import log_to_worker_files
from deployments.serve.metrics import DatabaseMetrics, JobMetrics
from deployments.serve.replica import Replica
from deployments.serve.studio import job_studio
from errors import StudioError
from integrations.blobs.store import open_blob_store
from integrations.cache import RedisCache
from integrations.paypal.paypal import open_paypal
from jobs.bulk_embedding import BulkEmbeddingArgs
from jobs.dispatcher import Dispatcher as JobDispatcher
from jobs.dispatcher import DispatcherArgs
from jobs.registry import HANDLERS, on_cluster
from jobs.retry import RetryPolicy
from jobs.runner import RayExecutor
from models.embedder.embedder import EmbedderConfig
from settings import load_settings
from studio.background import Background
from studio.index.rebuild import rebuild_if_due
from studio.operations.retention import tidy
from studio.payments.settlement import settle_forever

WATCH_S = 10.0
TIDY_S = 600.0


@dataclass(frozen=True)
class DispatcherConfig:
    """Capacity, retry policy and bulk embedding; `dispatcher` in serve_config.yaml."""

    run: DispatcherArgs = field(default_factory=DispatcherArgs)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    reindex: BulkEmbeddingArgs = field(default_factory=BulkEmbeddingArgs)


class Dispatcher(Replica):
    """Any number of replicas is safe; more replicas, or more `cpus` each, run more jobs at once."""

    def __init__(
        self,
        config: DispatcherConfig,
        embedder: EmbedderConfig,
        index: Handle,
        next_embedder: EmbedderConfig | None = None,
    ) -> None:
        settings = load_settings()
        self._index = IndexHandle(index)
        self._logs = log_to_worker_files()
        url = settings.secret("database_url")
        self._args = config.run
        self._settings = settings
        self._database = Database(url, pool_size=DISPATCHER_POOL)
        self._jobs = JobDispatcher(
            self._database,
            RayExecutor(job_studio, config.retry),
            on_cluster(config.reindex, embedder, next_embedder),
            config.run,
            config.retry,
            listen_url=url,
        )
        self._cache = RedisCache(settings.secret("redis_url"))
        self._paypal = open_paypal(settings, self._cache)
        self._metrics = JobMetrics(list(HANDLERS))
        self._database_metrics = DatabaseMetrics()
        self._blobs = open_blob_store(settings)
        self._rebuild_warning: str | None = None
        self._due = dict.fromkeys(HANDLERS, 0.0)
        self._running = asyncio.create_task(self._jobs.run(), name="dispatcher")
        self._background = Background()
        self._background.watch("dispatcher", lambda: not self._running.done())
        self._background.start("watch", self._watch_backlog_and_index)
        self._background.start("tidy", self._tidy_up)
        if self._paypal is not None:
            settle = partial(settle_forever, self._database, self._paypal)
            self._background.start("settlement", settle)

    async def status(self) -> Mapping[str, object]:
        """The state of this replica, and the backlog by type, which all replicas share."""
        async with self._database.transaction() as session:
            backlog = await count_backlog(session)
            overdue = await count_overdue(session, 2 * self._args.lease_s)
            states = await count_states(session)
        self._metrics.show(backlog, states)
        self._due = {name: float(backlog.get(name, {}).get("due", 0)) for name in HANDLERS}
        return {
            "name": self._jobs.name,
            "silentS": round(time.monotonic() - self._jobs.turned_s, 1),
            "running": [claim.type for claim in self._jobs.running],
            "backlog": backlog,
            "overdue": overdue,
            "warnings": self._warnings(),
        }

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """The due jobs by type, as last counted, for `deployments.serve.autoscaling`."""
        return {DUE + name: count for name, count in self._due.items()}

    def _warnings(self) -> list[str]:
        """Problems that an operator should know about, although jobs still run."""
        failed = self._background.failures + self._jobs.background.failures
        failures = [f"the background task {name} has failed" for name in failed]
        return failures + ([self._rebuild_warning] if self._rebuild_warning else [])

    async def check_health(self) -> None:
        """Raises where background work has ended or keeps failing.

        A replica is not restarted because the database does not answer.
        """
        self._background.check()
        self._jobs.background.check()

    async def __del__(self) -> None:
        """Waits for running jobs or gives them back; Serve calls this when the replica ends."""
        self._jobs.drain()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._background.aclose()
        if self._paypal is not None:
            await self._paypal.aclose()
        await self._cache.aclose()
        await self._blobs.aclose()
        self._logs.flush()
        await self._database.aclose()

    async def _watch_backlog_and_index(self) -> None:
        """Updates the gauges even if nobody calls `status`, and queues a rebuild that is due."""
        while True:
            with suppress(StudioError, SQLAlchemyError):
                await self.status()
                await self._measure_database()
                self._rebuild_warning = await rebuild_if_due(self._database, self._index)
            await asyncio.sleep(WATCH_S)

    async def _measure_database(self) -> None:
        """Updates the gauges of connections and of regressors."""
        async with self._database.transaction() as session:
            coverage = await least_coverage(session)
            self._database_metrics.show(*await count_connections(session), coverage)

    async def _tidy_up(self) -> None:
        """Removes leftovers from time to time; only one replica at a time does this."""
        while True:
            await asyncio.sleep(TIDY_S)
            await tidy(self._database, self._blobs, self._cache, self._settings)
