"""A program: an Index on a slow blob store, on a small Ray cluster, searched while it scales.

    python -m tests.support.scaled_index '{"replicas": [1, 4], "callers": 16, "searches": 5000}'

It reads `STUDIO_*` from the environment, and its last line is a `Scaling` as JSON. Each replica has
a cache folder of its own, as it has on a node of its own. The first replica waits `SLOW_BLOBS_S`
seconds for each range of a file; the others wait half as long.
"""

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import ray
from numpy.typing import NDArray
from ray import serve

from db.engine import Database
from errors import StudioError
from integrations.blobs.store import open_blob_store
from models.index.shapes import SearchQuery
from settings import Settings, load_settings
from studio.index.versions import switch_version
from studio.ports import BlobStore

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve's own, of what it imports
    from deployments import index
    from deployments.handles import IndexHandle
    from deployments.serve.calls import HandleArgs
    from deployments.serve.replica import bind


POLL_S = 0.05


@dataclass
class Plan:
    """What the program does.

    Attributes:
        embedder, dim: the version of the embedder to search with, and the length of its vectors.
        version: the index version to activate after the start; "": it is active already.
        replicas: how many at the start, and how many Serve scales it to.
        searches: the least number of searches.
    """

    embedder: str
    dim: int
    version: str = ""
    replicas: tuple[int, int] = (2, 3)
    callers: int = 4
    searches: int = 200


@dataclass
class Scaling:
    """What the callers received: `before` an index was active, and after the first answer."""

    before: str = ""
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    loaded: list[Any] = field(default_factory=list)
    load_s: list[Any] = field(default_factory=list)
    scaling_s: float = 0.0


class SlowBlobs:
    """A blob store whose ranges come late."""

    def __init__(self, blobs: BlobStore, delay_s: float) -> None:
        self._blobs = blobs
        self._delay_s = delay_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    async def get_range(self, key: str, start: int, size: int) -> bytes:
        await asyncio.sleep(self._delay_s)
        return await self._blobs.get_range(key, start, size)


class SlowIndex(index.Index):
    """An Index with an empty cache folder of its own and a slow blob store."""

    def __new__(cls, *args: object, **options: object) -> Self:
        folder, slowest_s = os.environ["STUDIO_DATA_DIR"], float(os.environ["SLOW_BLOBS_S"])
        delay_s = slowest_s / 2 if any(Path(folder).iterdir()) else slowest_s
        os.environ["STUDIO_DATA_DIR"] = tempfile.mkdtemp(dir=folder)

        def open_slow_store(settings: Settings) -> SlowBlobs:
            return SlowBlobs(open_blob_store(settings), delay_s)

        vars(index)["open_blob_store"] = open_slow_store
        return super().__new__(cls, *args, **options)


class Callers:
    """Callers that search one after the other until the end."""

    def __init__(self, handle: IndexHandle, plan: Plan) -> None:
        self.result = Scaling()
        self.is_ending = False
        self._handle = handle
        self._plan = plan
        self._random = np.random.default_rng(0)

    @property
    def searches(self) -> int:
        """How many have ended, with or without an answer."""
        return self.result.answered + self.result.failed.total()

    def vector(self) -> NDArray[np.float32]:
        vector = self._random.normal(size=self._plan.dim)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    async def search(self) -> str:
        """Searches once; returns the error's text, or "" after an answer."""
        try:
            answer = await self._handle.search(
                SearchQuery(10, self._plan.embedder, image=self.vector())
            )
        except StudioError as error:
            return f"{type(error).__name__}: {error.detail}"
        assert len(answer.hits) == 10
        return ""

    async def call(self) -> None:
        while not self.is_ending:
            if error := await self.search():
                self.result.failed[error] += 1
            else:
                self.result.answered += 1


def deploy(least: int, most: int) -> Any:
    """Deploys the least number of replicas; Serve adds others as soon as there are callers."""
    scaling = {
        "min_replicas": least, "max_replicas": most, "target_ongoing_requests": 0.25,
        "upscale_delay_s": 0.5, "metrics_interval_s": 0.5, "look_back_period_s": 1.0,
    }  # fmt: skip
    options: dict[str, Any] = {"autoscaling_config": scaling, "ray_actor_options": {"num_cpus": 0}}
    return serve.run(bind(SlowIndex, index.IndexArgs(), **options), name="studio")


async def run(plan: Plan) -> Scaling:
    handle = await asyncio.to_thread(deploy, *plan.replicas)
    callers = Callers(IndexHandle(handle, HandleArgs(calls=8, max_batch=4)), plan)
    if plan.version:
        callers.result.before = await callers.search()
        database = Database(load_settings().required("database_url"), pool_size=1)
        await switch_version(database, plan.version, plan.embedder)
        await database.aclose()
        while await callers.search():  # noqa: ASYNC110 - the first replica that has it answers
            await asyncio.sleep(POLL_S)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(plan.callers):
            tasks.create_task(callers.call())
        started_s = time.monotonic()
        statuses: list[Any] = []
        while len([one for one in statuses if one["version"]]) < plan.replicas[1]:
            await asyncio.sleep(POLL_S)
            statuses = await handle.broadcast("status").results_async()
        callers.result.scaling_s = round(time.monotonic() - started_s, 1)
        while callers.searches < plan.searches:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        callers.is_ending = True
    callers.result.loaded = [status["version"] for status in statuses]
    callers.result.load_s = [round(status["loadSeconds"], 1) for status in statuses]
    return callers.result


def main() -> None:
    """Runs the plan of the argument."""
    plan = Plan(**json.loads(sys.argv[1]))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    serve.start(proxy_location="Disabled")
    try:
        print(json.dumps(asdict(asyncio.run(run(plan)))))  # noqa: T201
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
