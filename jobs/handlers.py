"""The registry: which handler does which type of job."""

from dataclasses import replace
from functools import partial

from jobs.handler import Handler, Handlers
from jobs.picture_stream import PictureStream, StreamArgs
from studio.catalog_import import drop_import, import_catalog
from studio.jobs import JOB_TYPES
from studio.rebuild import rebuild_index
from studio.regressor_training import train_regressor
from studio.segment_batch import segment_batch
from studio.tryon import run_tryon

HANDLERS: Handlers = {
    # The work is a call of TryOn, which tells of itself every few seconds.
    "tryon": Handler(
        run_tryon, num_cpus=0.1, stall_s=300.0, deadline_s=JOB_TYPES["tryon"].deadline_s
    ),
    "import-catalog": Handler(
        import_catalog, after=drop_import, deadline_s=JOB_TYPES["import-catalog"].deadline_s
    ),
    "segment-batch": Handler(segment_batch, deadline_s=JOB_TYPES["segment-batch"].deadline_s),
    "rebuild-index": Handler(
        rebuild_index,
        stall_s=1800.0,
        alone=True,
        deadline_s=JOB_TYPES["rebuild-index"].deadline_s,
    ),
    "train-regressor": Handler(
        train_regressor, num_cpus=1.0, deadline_s=JOB_TYPES["train-regressor"].deadline_s
    ),
}


def on_cluster(reindex: StreamArgs) -> Handlers:
    """The registry for Ray: a long re-index brings actors of its own, of this capacity."""
    rebuild = HANDLERS["rebuild-index"]
    run = partial(rebuild_index, source=PictureStream(reindex))
    return {**HANDLERS, "rebuild-index": replace(rebuild, run=run)}
