"""The handler of every job type. Workers import only the module of their own handler."""

from dataclasses import replace
from functools import partial

from jobs.bulk_embedding import BulkEmbedding, BulkEmbeddingArgs
from jobs.handler import Handler, Handlers
from models.embedder.embedder import EmbedderConfig
from studio.catalog.import_job import drop_import, import_catalog
from studio.catalog.imports import IMPORT_CATALOG
from studio.index.rebuild import REBUILD_INDEX, rebuild_index
from studio.sales.train import TRAIN_REGRESSOR, train_regressor
from studio.segmentation.batch import SEGMENT_BATCH, segment_batch
from studio.tryon.job import TRYON, run_tryon

HANDLERS: Handlers = {
    handler.job_type.name: handler
    for handler in (
        # The work is a call of TryOn, which reports progress every few seconds.
        Handler(TRYON, run_tryon, num_cpus=0.1, stall_s=300.0),
        Handler(IMPORT_CATALOG, import_catalog, after=drop_import),
        Handler(SEGMENT_BATCH, segment_batch),
        Handler(REBUILD_INDEX, rebuild_index, stall_s=1800.0, alone=True),
        Handler(TRAIN_REGRESSOR, train_regressor, num_cpus=1.0),
    )
}


def on_cluster(
    reindex: BulkEmbeddingArgs,
    embedder: EmbedderConfig,
    next_embedder: EmbedderConfig | None = None,
) -> Handlers:
    """The registry for a Ray cluster, where a large rebuild starts actors with its embedder."""
    rebuild = HANDLERS[REBUILD_INDEX.name]
    source = BulkEmbedding(reindex, embedder)
    next_source = BulkEmbedding(reindex, next_embedder or embedder)
    run = partial(rebuild_index, source=source, next_source=next_source)
    return {**HANDLERS, REBUILD_INDEX.name: replace(rebuild, run=run)}
