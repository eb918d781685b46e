"""What runs each type of job: the handler's function, its share of the machine, its time limits."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from studio.catalog.imports import drop_import, import_catalog
from studio.index.rebuild import rebuild_index
from studio.job_types import JobRun, JobType, Outcome
from studio.jobs.jobs import JOB_TYPES
from studio.ports import Studio
from studio.sales.train import train_regressor
from studio.segmentation.batch import segment_batch
from studio.tryon.tryon import run_tryon

if TYPE_CHECKING:
    from jobs.bulk_embedding import BulkEmbeddingArgs

Run = Callable[[Studio, JobRun], Coroutine[Any, Any, Outcome]]
"""Runs one attempt of a job."""


@dataclass(frozen=True)
class Handler:
    """How one type of job runs.

    Attributes:
        run: runs one attempt; a job may run twice, so doing its work twice must look like once.
        after: runs when the job has succeeded or was cancelled, to clean up; it may fail.
        num_cpus: CPUs of the machine that runs it; work on a GPU is a call of a warm deployment.
        stall_s: an attempt that reports no progress for so long is stopped.
        alone: at most one such job runs at a time.
        deadline_s: how long one attempt may take.
        role: the least role that the job's owner must have when it runs; None: no role is checked.
    """

    run: Run
    after: Callable[[Studio, JobRun], Coroutine[Any, Any, None]] | None = None
    num_cpus: float = 0.5
    stall_s: float = 600.0
    alone: bool = False
    deadline_s: float = JobType.deadline_s
    role: str | None = None


Handlers = Mapping[str, Handler]
"""The handler of each job type, by the type's name."""


def handle(name: str, run: Run, **capacity: Any) -> Handler:
    """A handler with the deadline and the role of the type in `JOB_TYPES`."""
    job_type = JOB_TYPES[name]
    return Handler(run, role=job_type.role, deadline_s=job_type.deadline_s, **capacity)


HANDLERS: Handlers = {
    # The work is a call of TryOn, which reports progress every few seconds.
    "tryon": handle("tryon", run_tryon, num_cpus=0.1, stall_s=300.0),
    "import-catalog": handle("import-catalog", import_catalog, after=drop_import),
    "segment-batch": handle("segment-batch", segment_batch),
    "rebuild-index": handle("rebuild-index", rebuild_index, stall_s=1800.0, alone=True),
    "train-regressor": handle("train-regressor", train_regressor, num_cpus=1.0),
}


def on_cluster(reindex: "BulkEmbeddingArgs") -> Handlers:
    """The registry for a Ray cluster, where a large rebuild starts actors of this capacity."""
    from jobs.bulk_embedding import BulkEmbedding  # noqa: PLC0415 - loads PyTorch

    rebuild = HANDLERS["rebuild-index"]
    run = partial(rebuild_index, source=BulkEmbedding(reindex))
    return {**HANDLERS, "rebuild-index": replace(rebuild, run=run)}
