"""The job `rebuild-index`: embed what is missing, build a version, activate it with the finish."""

from sqlmodel.ext.asyncio.session import AsyncSession

from db.engine import Database
from studio.forms import Form
from studio.index_versions import switch_in
from studio.indexing import build_version, embed_missing
from studio.job_types import JobRun, JobType, Outcome, enqueue
from studio.ports import Index, Studio


class RebuildForm(Form):
    """`full`: embed every picture again, not only those that this embedder has not seen."""

    full: bool = False


REBUILD_INDEX = JobType("rebuild-index", role="admin", form=RebuildForm, deadline_s=6 * 3600)


async def rebuild_index(studio: Studio, run: JobRun) -> Outcome:
    """A version over the whole catalogue; active in the same transaction in which the job ends.

    So a worker that lost its job may still build, but never puts an older version in front.
    """
    form = RebuildForm.model_validate(run.payload)
    embedded = await embed_missing(studio, run.progress, full=form.full)
    version = await build_version(studio, run.progress)
    in_service = await studio.embedder.version()

    async def record(session: AsyncSession) -> None:
        await switch_in(session, version, in_service, actor_id=run.owner_id)

    return Outcome({"version": version, "embedded": embedded}, record)


async def rebuild_if_due(database: Database, index: Index) -> None:
    """Queues one rebuild of a version that its changes have outgrown; another call changes nothing.

    Raises:
        Unavailable: index or database can't be reached.
    """
    status = await index.status()
    if not status.get("rebuildDue"):
        return
    payload = RebuildForm().model_dump(mode="json", by_alias=True)
    async with database.transaction() as session:
        await enqueue(
            session,
            REBUILD_INDEX,
            payload,
            owner_id=None,
            idempotency_key=f"outgrown {status['version']}",
        )
