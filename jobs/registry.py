"""The handler of every job type. Workers import only the module of their own handler."""

from dataclasses import replace
from functools import partial
from typing import Any

from jobs.bulk_embedding import BulkEmbedding, BulkEmbeddingArgs
from jobs.handler import Handler, Handlers, Run
from models.embedder.embedder import EmbedderConfig
from studio.catalog.import_job import drop_import, import_catalog
from studio.index.rebuild import rebuild_index
from studio.jobs.registry import JOB_TYPES
from studio.sales.train import train_regressor
from studio.segmentation.batch import segment_batch
from studio.tryon.job import run_tryon


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


def on_cluster(
    reindex: BulkEmbeddingArgs,
    embedder: EmbedderConfig,
    next_embedder: EmbedderConfig | None = None,
) -> Handlers:
    """The registry for a Ray cluster, where a large rebuild starts actors with its embedder."""
    rebuild = HANDLERS["rebuild-index"]
    source = BulkEmbedding(reindex, embedder)
    next_source = BulkEmbedding(reindex, next_embedder or embedder)
    run = partial(rebuild_index, source=source, next_source=next_source)
    return {**HANDLERS, "rebuild-index": replace(rebuild, run=run)}
