"""`Regressor`: sales scores of pictures' vectors, by the starter or a merchant's own version."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from deployments.serve.metrics import BatchMetrics
from deployments.serve.replica import Replica
from deployments.serve.watched_threads import model_thread
from integrations.blobs.store import open_blob_store
from models.sales import regressor as model
from models.sales.files import read_starter
from models.sales.regressor import RegressorConfig
from models.sales.scoring import evaluate, score_batch
from models.sales.shapes import (
    Evaluation,
    Observations,
    ScoreAnswer,
    ScoreQuery,
    TrainedVersion,
)
from settings import load_settings
from studio.batching import MicroBatcher, in_thread
from studio.context import span
from studio.sales.store import RegressorCache
from studio.sales.versions import check_embedder

log = structlog.get_logger("studio.regressor")


@dataclass(frozen=True)
class RegressorArgs:
    """Capacity of one replica; versions: how many merchants' regressors stay loaded."""

    max_batch: int = 16
    max_waiting: int = 256
    versions: int = 8
    threads: int = 1


class Regressor(Replica):
    """Every call names its version, so a replica need not know which versions are active."""

    def __init__(self, args: RegressorArgs) -> None:
        config = RegressorConfig(threads=args.threads)
        self._starter = read_starter(config)
        self._starter.check()
        self._thread = model_thread()
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="load")
        blobs = open_blob_store(load_settings())
        self._cache = RegressorCache(blobs, config, self._loading, most=args.versions)
        self._scores: MicroBatcher[tuple[model.Regressor, ScoreQuery], ScoreAnswer] = MicroBatcher(
            in_thread(self._thread, score_batch),
            max_batch=args.max_batch,
            max_waiting=args.max_waiting,
            observe=BatchMetrics().of("scores"),
        )

    async def score(self, query: ScoreQuery) -> ScoreAnswer:
        """The score of one picture; see `studio.ports.Regressor.score` for the errors."""
        started_s = time.perf_counter()
        with span("Regressor.score", vectors=len(query.vectors)):
            regressor = await self._find(query.model, query.embedder_version)
            answer = await self._scores.submit((regressor, query))
        elapsed_ms = round((time.perf_counter() - started_s) * 1000, 1)
        log.info("regressor.score", version=answer.model_version, ms=elapsed_ms)
        return answer

    async def evaluate(
        self, version: TrainedVersion | None, observations: Observations
    ) -> Evaluation:
        """An evaluation, in a thread of its own, so that scores don't wait for plots."""
        regressor = await self._find(version, observations.embedder_version)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._loading, evaluate, regressor, observations)

    async def status(self) -> Mapping[str, object]:
        """The starter, its embedder, and the versions that are loaded."""
        return {
            "starter": self._starter.version,
            "embedderVersion": self._starter.embedder_version,
            "loaded": self._cache.loaded,
        }

    async def check_health(self) -> None:
        """Scores a product; raises if the model or its batching loop is broken."""
        self._thread.check()
        self._scores.check()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._starter.check)

    async def _find(self, version: TrainedVersion | None, embedder: str) -> model.Regressor:
        regressor = self._starter if version is None else await self._cache.get(version)
        check_embedder(regressor, embedder)
        return regressor
