"""Capacity: a job that needs much of it is not overtaken by smaller ones for ever."""

import asyncio

from db.job_claims import find_starved_type
from jobs.capacity import find_starving_types, plan_claims
from jobs.claim import ClaimRequest
from jobs.dispatcher import DispatcherArgs
from jobs.handler import Handler
from studio.job_types import JobRun, Outcome
from studio.ports import Studio
from tests.jobs.working import NOTE, QUICK, dispatching, job_of, put_job, until_state


async def nothing(_: Studio, __: JobRun) -> Outcome:
    return Outcome()


HANDLERS = {
    "small": Handler(NOTE, nothing, num_cpus=0.4),
    "large": Handler(NOTE, nothing, num_cpus=1.0),
    "lone": Handler(NOTE, nothing, num_cpus=0.7, alone=True),
    "huge": Handler(NOTE, nothing, num_cpus=9.0),
}


def test_what_does_not_fit_while_others_do() -> None:
    assert find_starving_types(HANDLERS, [], cpus=1, max_running=8) == (
        [],
        ["small", "large", "lone"],
    )
    assert find_starving_types(HANDLERS, ["small"], cpus=1, max_running=8) == (
        ["large", "lone"],
        ["small"],
    )
    assert find_starving_types(HANDLERS, ["small"] * 2, cpus=1, max_running=8) == ([], [])
    assert find_starving_types(HANDLERS, ["small"], cpus=1, max_running=1) == ([], [])


def test_reserved_room_is_for_one_job_of_the_type_alone() -> None:
    assert plan_claims(HANDLERS, ["small"], cpus=1, max_running=8, reserved="large") == []
    requests = plan_claims(HANDLERS, [], cpus=2, max_running=8, reserved="large")
    assert requests == [ClaimRequest(["large"], 1)]
    requests = plan_claims(HANDLERS, [], cpus=2, max_running=8, reserved="lone")
    assert requests == [ClaimRequest(["lone"], 1, alone=True)]
    assert plan_claims(HANDLERS, ["small"], cpus=1, max_running=8) == [ClaimRequest(["small"], 1)]


async def test_a_large_job_is_not_overtaken_for_ever(studio: Studio) -> None:
    order: list[str] = []

    async def work(_: Studio, run: JobRun) -> Outcome:
        order.append(str(run.payload["kind"]))
        await asyncio.sleep(0.02 * (1 + len(order) % 3))
        return Outcome()

    handlers = {
        "small": Handler(NOTE, work, num_cpus=0.4),
        "large": Handler(NOTE, work, num_cpus=1.0),
    }
    small = [await put_job(studio, "small", {"kind": "small"}) for _ in range(60)]
    large = await put_job(studio, "large", {"kind": "large"})
    args = DispatcherArgs(**vars(QUICK) | {"cpus": 1.0, "patience_s": 0.1})
    async with dispatching(studio, handlers, args=args):
        await until_state(studio, large)
        await until_state(studio, small[-1])
    assert order.index("large") < len(order) - 1, "it came after all smaller ones"
    assert {(await job_of(studio, one)).state for one in small} == {"succeeded"}


async def test_whom_room_is_kept_for(studio: Studio) -> None:
    async def find(**facts: object) -> str | None:
        arguments = {"large": ["large", "lone"], "small": ["small"], "alone": ["lone"]} | facts
        async with studio.database.read() as session:
            return await find_starved_type(session, patience_s=0.0, **arguments)  # type: ignore[arg-type]

    await put_job(studio, "small", priority=1)
    await put_job(studio, "large", priority=0)
    assert await find() is None, "a small job has a higher priority"
    await put_job(studio, "large", priority=1)
    assert await find() == "large"
    assert await find(large=["lone"]) is None
    await put_job(studio, "lone", priority=1)
    assert await find(large=["lone"]) == "lone"
