"""The types of jobs that callers may submit; each is defined in its own area."""

from studio.catalog.imports import IMPORT_CATALOG
from studio.index.rebuild import REBUILD_INDEX
from studio.job_types import JobType
from studio.sales.train import TRAIN_REGRESSOR
from studio.segmentation.batch import SEGMENT_BATCH
from studio.tryon.job import TRYON

JOB_TYPES: dict[str, JobType] = {
    job_type.name: job_type
    for job_type in (
        IMPORT_CATALOG,
        REBUILD_INDEX,
        SEGMENT_BATCH,
        TRYON,
        TRAIN_REGRESSOR,
    )
}
