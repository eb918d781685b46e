"""The job `rebuild-index`: embeds missing pictures, builds a version, activates it at the end."""

from dataclasses import replace
from datetime import UTC, datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from db.engine import Database
from db.jobs import find_newest_keyed_job, get_job
from db.model_rollouts import put_embedder_beside
from errors import NotFound
from studio.forms import Form
from studio.index.build import build_version, give_up_unfinished
from studio.index.embed import Source, embed_by_deployment, embed_missing
from studio.index.versions import switch_in
from studio.job_types import JobRun, JobType, Outcome, enqueue, read_payload
from studio.ports import Index, Studio


class RebuildForm(Form):
    """What is rebuilt.

    full: embed every picture again, not only those without a vector of the embedder. next: for the
    next embedder, without activating the index: it answers a share of the searches, or is
    activated later.
    """

    full: bool = False
    next: bool = False


REBUILD_INDEX = JobType(
    "rebuild-index", role="admin", form=RebuildForm, deadline_s=6 * 3600, max_open=20,
    has_results=False,
)  # fmt: skip


async def rebuild_index(
    studio: Studio,
    run: JobRun,
    source: Source = embed_by_deployment,
    next_source: Source = embed_by_deployment,
) -> Outcome:
    """Builds a version of the whole catalogue, activated in the transaction that ends the job.

    A version for the next embedder is not activated; replicas of Index hold it beside the active
    one from then on.

    So a worker that has lost its job may still build a version, but never activates it. The
    result names the pictures that can't be read: their products are not in the index.
    """
    form = read_payload(RebuildForm, run.payload)
    since = await _created_at(studio, run) if form.full else None
    if form.next:
        studio, source = replace(studio, embedder=studio.embedder.next()), next_source
    counts = await embed_missing(studio, run.progress, since=since, source=source, guard=run.guard)
    await give_up_unfinished(studio, run.guard)
    version = await build_version(studio, run.progress)
    embedder_version = await studio.embedder.version()

    async def record(session: AsyncSession) -> None:
        if form.next:
            await put_embedder_beside(session, embedder_version)
        else:
            await switch_in(session, version, [embedder_version], actor_id=run.owner_id)

    result = {"version": version, "embedded": counts.count, "failed": counts.failed}
    return Outcome(result | {"errors": counts.errors}, record)


async def _created_at(studio: Studio, run: JobRun) -> datetime:
    """The time when the job was created.

    Vectors that one of its attempts has written are newer, so they are not computed again.
    """
    async with studio.database.transaction() as session:
        job = await get_job(session, run.job_id)
    if job is None:
        raise NotFound("no such job")
    return job.created_at


async def rebuild_if_due(database: Database, index: Index) -> str | None:
    """Queues a rebuild, at most one a day, if the loaded version has had too many changes.

    Does nothing while such a job is open, or on the day on which it failed. Returns a warning if
    the last such job ended without a new version, otherwise None.

    Raises:
        Unavailable: index or database can't be reached.
    """
    status = await index.status()
    if not status.get("rebuildDue"):
        return None
    version = f"{status['version']}"
    payload = RebuildForm().model_dump(mode="json", by_alias=True)
    async with database.transaction() as session:
        last = await find_newest_keyed_job(session, REBUILD_INDEX.name, f"outgrown {version} ")
        if last is None or last.state not in ("queued", "running"):
            key = f"outgrown {version} {datetime.now(UTC).date()}"
            await enqueue(session, REBUILD_INDEX, payload, owner_id=None, idempotency_key=key)
    if last is None or last.state not in ("failed", "cancelled"):
        return None
    ending = "failed" if last.state == "failed" else "was cancelled"
    return f"index {version} has too many changes, and its automatic rebuild {ending}"
