"""Attempts under a dispatcher: retried, stopped, cancelled, and their effects written once."""

import asyncio
from dataclasses import replace

from sqlalchemy import text

from db.audit import insert_audit
from db.engine import AsyncSession
from errors import Invalid, Superseded, Unavailable
from jobs.dispatcher import DispatcherArgs
from jobs.handler import Handler
from jobs.inline import InlineExecutor
from jobs.retry import LATE, SURPRISE
from studio.context import current_request_id, serving
from studio.job_types import JobRun, Outcome
from studio.jobs.jobs import cancel_job, follow_job, retry_job
from studio.ports import Studio
from tests.jobs.working import (
    NOTE,
    QUICK,
    SOON,
    dispatching,
    events_of,
    job_of,
    put_job,
    until_state,
)


class Notes:
    """A handler that follows its payload and remembers its runs."""

    def __init__(self) -> None:
        self.runs: list[JobRun] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cleaned = 0

    async def run(self, studio: Studio, run: JobRun) -> Outcome:
        self.runs.append(run)
        self.begun.set()
        for kind in run.payload.get("fail", [])[len(self.runs) - 1 :][:1]:
            raise {"later": Unavailable, "never": Invalid, "bug": ZeroDivisionError}[kind]("why")
        for step in range(run.done, run.payload.get("steps", 0)):
            await studio.blobs.put(f"uploads/{run.job_id}/{step}.json", b"{}", "application/json")
            await run.progress(step + 1, run.payload["steps"], "steps")
            if run.payload.get("stop_at") == step + 1 and len(self.runs) == 1:
                raise Unavailable("in the middle")
        if run.payload.get("wait"):
            await self.go_on.wait()

        async def record(session: AsyncSession) -> None:
            insert_audit(
                session, "NOTE", actor_id=None, subject=str(run.job_id),
                request_id=current_request_id(),
            )  # fmt: skip
            if run.payload.get("bad_record"):
                raise Invalid("it can't be recorded")

        return Outcome({"runs": len(self.runs)}, record)

    async def clean(self, studio: Studio, run: JobRun) -> None:
        self.cleaned += 1
        async for key in studio.blobs.list(f"uploads/{run.job_id}/"):
            await studio.blobs.delete(key)

    def handlers(self, *, deadline_s: float = NOTE.deadline_s) -> dict[str, Handler]:
        job_type = replace(NOTE, deadline_s=deadline_s)
        return {"note": Handler(job_type, self.run, after=self.clean)}


async def effects(studio: Studio) -> list[tuple[str, str]]:
    """The effects that successful jobs have recorded: subject and request id."""
    async with studio.database.transaction() as session:
        rows = await session.exec(  # type: ignore[call-overload]
            text("SELECT subject, request_id FROM audit_log WHERE action = 'NOTE'")
        )
        return [tuple(row) for row in rows]


async def test_a_job_succeeds_with_its_effect_under_its_request_id(studio: Studio) -> None:
    notes = Notes()
    with serving("request-12345"):
        job_id = await put_job(studio, payload={"steps": 3})
    async with dispatching(studio, notes.handlers()):
        job = await until_state(studio, job_id)
    assert (job.state, job.result, job.progress_done) == ("succeeded", {"runs": 1}, 3)
    assert await effects(studio) == [(str(job_id), "request-12345")]
    assert job.started_at and job.finished_at and job.lease_until is None


async def test_what_may_succeed_later_is_tried_again_and_goes_on_where_it_was(
    studio: Studio,
) -> None:
    notes = Notes()
    job_id = await put_job(studio, payload={"steps": 4, "stop_at": 2, "fail": []})
    async with dispatching(studio, notes.handlers()):
        job = await until_state(studio, job_id)
    assert (job.state, job.attempts) == ("succeeded", 2)
    assert [run.done for run in notes.runs] == [0, 2]
    past = [report["done"] for report in await notes.runs[1].past() if report["message"]]
    assert past[:2] == [1, 2]
    assert len(await effects(studio)) == 1
    states = [event.state for event in await events_of(studio, job_id)]
    assert states.count("queued") == states.count("running") - 4 == 2


async def test_what_would_fail_again_and_the_last_failure_are_dead_letters(
    studio: Studio,
) -> None:
    notes = Notes()
    async with dispatching(studio, notes.handlers()):
        never = await until_state(studio, await put_job(studio, payload={"fail": ["never"]}))
        assert (never.state, never.error, never.attempts) == ("failed", "why", 1)
        notes.runs.clear()
        payload = {"fail": ["bug", "later", "bug"]}
        job_id = await put_job(studio, payload=payload, max_attempts=3)
        bug = await until_state(studio, job_id)
        assert (bug.state, bug.error, bug.attempts) == ("failed", SURPRISE, 3)
        await retry_job(studio.database, job_id)
        again = await until_state(studio, job_id)
        assert (again.state, again.attempts, again.error) == ("succeeded", 1, None)
    assert len(await effects(studio)) == 1


async def test_an_effect_that_cannot_be_recorded_is_no_success(studio: Studio) -> None:
    async with dispatching(studio, Notes().handlers()):
        job = await until_state(studio, await put_job(studio, payload={"bad_record": True}))
    assert (job.state, job.error) == ("failed", "it can't be recorded")
    assert await effects(studio) == []


async def test_a_deadline_ends_an_attempt(studio: Studio) -> None:
    job_id = await put_job(studio, payload={"wait": True})
    async with dispatching(studio, Notes().handlers(deadline_s=0.1)):
        job = await until_state(studio, job_id)
    assert (job.state, job.error) == ("failed", LATE)


async def test_a_cancelled_job_stops_at_every_stage_and_leaves_no_output(studio: Studio) -> None:
    for steps in range(4):
        notes = Notes()
        executor = InlineExecutor(studio, SOON)
        job_id = await put_job(studio, payload={"steps": steps, "wait": True})
        async with dispatching(studio, notes.handlers(), executor=executor):
            async for event in follow_job(studio.database, job_id):
                if event is None or event.progress["done"] < steps or event.state == "queued":
                    continue
                if event.state == "running":
                    await cancel_job(studio.database, job_id)
                    executor.cancel_all()
            assert (await job_of(studio, job_id)).state == "cancelled"
        assert notes.cleaned == 1
        assert [key async for key in studio.blobs.list("uploads/")] == []
    assert await effects(studio) == []


async def test_a_job_that_does_not_listen_is_killed(studio: Studio) -> None:
    notes = Notes()
    job_id = await put_job(studio, payload={"wait": True})
    async with dispatching(studio, notes.handlers()):  # nobody tells the handler
        await notes.begun.wait()
        await cancel_job(studio.database, job_id)
        assert (await until_state(studio, job_id)).state == "cancelled"
    assert await effects(studio) == []


async def test_a_stopped_dispatcher_gives_back_what_it_runs(studio: Studio) -> None:
    notes = Notes()
    job_id = await put_job(studio, payload={"wait": True})
    args = DispatcherArgs(**vars(QUICK) | {"drain_s": 0.1})
    async with dispatching(studio, notes.handlers(), args=args):
        await notes.begun.wait()
    job = await job_of(studio, job_id)
    assert (job.state, job.attempts, job.crashes) == ("queued", 0, 0)
    notes.go_on.set()
    async with dispatching(studio, notes.handlers()):
        assert (await until_state(studio, job_id)).state == "succeeded"
    assert len(await effects(studio)) == 1


async def test_a_handlers_own_writes_are_refused_once_another_worker_has_the_job(
    studio: Studio,
) -> None:
    notes = Notes()
    job_id = await put_job(studio, payload={"wait": True})
    async with dispatching(studio, notes.handlers()):
        await notes.begun.wait()
        async with studio.database.transaction() as session:
            await notes.runs[0].guard(session)
            await session.exec(  # type: ignore[call-overload]
                text("UPDATE job SET fence = fence + 1, lease_until = now() - interval '1 s'")
            )
        refused = False
        try:
            async with studio.database.transaction() as session:
                await notes.runs[0].guard(session)
        except Superseded:
            refused = True
        notes.go_on.set()
        job = await until_state(studio, job_id)
    assert refused
    assert (job.state, job.crashes) == ("succeeded", 1)
    assert len(await effects(studio)) == 1


async def test_two_dispatchers_share_the_work(studio: Studio) -> None:
    notes = Notes()
    jobs = [await put_job(studio) for _ in range(40)]
    async with dispatching(studio, notes.handlers()), dispatching(studio, notes.handlers()):
        for job_id in jobs:
            assert (await until_state(studio, job_id)).state == "succeeded"
    assert sorted(subject for subject, _ in await effects(studio)) == sorted(map(str, jobs))
