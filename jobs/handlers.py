"""The registry: which handler does which type of job."""

from jobs.handler import Handler, Handlers
from studio.catalog_import import drop_import, import_catalog
from studio.jobs import JOB_TYPES
from studio.rebuild import rebuild_index

HANDLERS: Handlers = {
    "import-catalog": Handler(
        import_catalog, after=drop_import, deadline_s=JOB_TYPES["import-catalog"].deadline_s
    ),
    "rebuild-index": Handler(
        rebuild_index,
        stall_s=1800.0,
        alone=True,
        deadline_s=JOB_TYPES["rebuild-index"].deadline_s,
    ),
}
