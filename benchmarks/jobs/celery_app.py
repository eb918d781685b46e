"""Celery as `benchmarks.jobs.throughput` runs it; its command line imports an app."""

import importlib
import os
from typing import Any

URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1")
app: Any = importlib.import_module("celery").Celery("bench", broker=URL, backend=URL)
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)


def noop() -> None:
    """Does nothing."""


app.task(name="noop")(noop)
