"""Rebuilds the index from the shell: `ray job submit … -- python -m jobs.reindex`.

It submits a `rebuild-index` job and follows it. Like every rebuild, the job is listed in
`/api/jobs`, runs alone, and continues if this process is killed. `ray job stop` cancels it.
"""

import argparse
import asyncio
import signal
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from db.engine import Database
from errors import StudioError, Unavailable
from settings import load_settings
from studio.index.rebuild import REBUILD_INDEX, RebuildForm
from studio.job_types import enqueue
from studio.jobs.jobs import cancel_job, find_job, follow_job


def report(done: int, total: int, message: str, errors: Sequence[dict[str, str]] = ()) -> None:
    """Prints a line for each unreadable picture, then one line of progress."""
    for error in errors:
        print(f"{error['id']}: {error['detail']}", flush=True)  # noqa: T201
    print(f"{done}{f' of {total}' if total else ''} {message}", flush=True)  # noqa: T201


async def rebuild(database: Database, form: RebuildForm) -> dict[str, Any]:
    """Submits the job and waits for its result: the new version and the embedded pictures.

    Raises:
        StudioError: the job failed or was cancelled.
    """
    payload = form.model_dump(mode="json", by_alias=True)
    async with database.transaction() as session:
        job_id = (await enqueue(session, REBUILD_INDEX, payload, owner_id=None)).id
    following = asyncio.create_task(follow(database, job_id))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, following.cancel)
    try:
        await following
    except asyncio.CancelledError:
        await cancel_job(database, job_id)
        raise Unavailable("the job was stopped") from None
    job = await find_job(database, job_id, None)
    if job.state != "succeeded" or job.result is None:
        raise Unavailable(f"the job is {job.state}: {job.error}")
    return job.result


async def follow(database: Database, job_id: UUID) -> None:
    """Prints every event; after an outage of the database it continues where it stopped."""
    after = 0
    while True:
        try:
            async for event in follow_job(database, job_id, after=after):
                if event is not None:
                    after = event.id or 0
                    progress = event.progress
                    message = progress["message"] or event.state
                    report(progress["done"], progress["total"], message, progress.get("errors", ()))
            return
        except StudioError as error:
            report(0, 0, error.detail)
            await asyncio.sleep(1)


async def run(form: RebuildForm) -> dict[str, Any]:
    """Rebuilds on the database of the settings, which come from the cluster's environment."""
    database = Database(load_settings().secret("database_url"), pool_size=1)
    try:
        return await rebuild(database, form)
    finally:
        await database.aclose()


def main() -> None:
    """Reads the command line and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="embed every picture again")
    parser.add_argument("--next", action="store_true", help="for the next embedder, inactive")
    form = RebuildForm(**vars(parser.parse_args()))
    try:
        result = asyncio.run(run(form))
    except StudioError as error:
        raise SystemExit(f"reindex: {error.detail}") from None
    state = "ready" if form.next else "active"
    print(  # noqa: T201
        f"index {result['version']} is {state}: {result['embedded']} pictures embedded, "
        f"{result['failed']} not readable",
        flush=True,
    )


if __name__ == "__main__":
    main()
