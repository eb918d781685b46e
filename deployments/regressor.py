"""`Regressor`: sales scores of pictures' vectors, by the starter or a merchant's own version."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import structlog

from deployments.serve.metrics import BatchMetrics
from deployments.serve.replica import Replica, replica_device
from integrations.blobs.store import open_blob_store
from models.sales import regressor as model
from models.sales.files import read_starter
from models.sales.regressor import RegressorConfig
from settings import load_settings
from studio.batching import MicroBatcher, in_thread
from studio.context import span
from studio.sales.answers import answer, check_embedder, evaluate
from studio.sales.shapes import (
    Evaluation,
    Observations,
    ScoreAnswer,
    ScoreQuery,
    TrainedVersion,
)
from studio.sales.store import Shelf

log = structlog.get_logger("studio.regressor")


@dataclass(frozen=True)
class RegressorArgs:
    """Capacity of one replica; `versions`: merchants' regressors that stay loaded."""

    max_batch: int = 16
    max_waiting: int = 256
    versions: int = 8
    threads: int = 1


Asked = tuple[model.Regressor, ScoreQuery]


class Regressor(Replica):
    """The version comes with every call, so a replica needs no news of what went live."""

    def __init__(self, args: RegressorArgs) -> None:
        config = RegressorConfig(device=replica_device(), threads=args.threads)
        self._starter = read_starter(config)
        self._starter.check()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="load")
        blobs = open_blob_store(load_settings())
        self._shelf = Shelf(blobs, config, self._loading, most=args.versions)
        self._scores: MicroBatcher[Asked, ScoreAnswer] = MicroBatcher(
            in_thread(self._thread, _answer_all),
            max_batch=args.max_batch,
            max_waiting=args.max_waiting,
            observe=BatchMetrics().of("scores"),
        )

    async def score(self, query: ScoreQuery) -> ScoreAnswer:
        """See `studio.ports.Regressor.score`."""
        started_s = time.perf_counter()
        with span("Regressor.score", vectors=len(query.vectors)):
            regressor = await self._find(query.model, query.embedder_version)
            answer = await self._scores.submit((regressor, query))
        elapsed_ms = round((time.perf_counter() - started_s) * 1000, 1)
        log.info("regressor.score", version=answer.model_version, ms=elapsed_ms)
        return answer

    async def evaluate(self, version: TrainedVersion | None, sold: Observations) -> Evaluation:
        """See `studio.ports.Regressor.evaluate`; beside the scores, which don't wait for plots."""
        regressor = await self._find(version, sold.embedder_version)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._loading, evaluate, regressor, sold)

    async def status(self) -> Mapping[str, object]:
        """See `studio.ports.Regressor.status`."""
        return {
            "starter": self._starter.version,
            "embedderVersion": self._starter.embedder_version,
            "loaded": self._shelf.loaded,
        }

    async def check_health(self) -> None:
        """Scores for real; raises where the model or its batching loop is broken."""
        self._scores.check()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._starter.check)

    async def _find(self, version: TrainedVersion | None, embedder: str) -> model.Regressor:
        found = self._starter if version is None else await self._shelf.get(version)
        check_embedder(found, embedder)
        return found


def _answer_all(asked: list[Asked]) -> list[ScoreAnswer]:
    """One pass for every version among them; answers in the order of the questions."""
    order = sorted(range(len(asked)), key=lambda at: asked[at][0].version)
    answers: dict[int, ScoreAnswer] = {}
    for _, group in groupby(order, key=lambda at: asked[at][0].version):
        rows = list(group)
        told = answer(asked[rows[0]][0], [asked[at][1] for at in rows])
        answers.update(zip(rows, told, strict=True))
    return [answers[at] for at in range(len(asked))]
