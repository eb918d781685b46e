"""The owner's role is checked when a job runs, not when it was submitted."""

import pytest

from jobs.registry import HANDLERS
from studio.accounts.accounts import create_user
from studio.jobs.jobs import retry_job
from studio.jobs.registry import JOB_TYPES
from studio.ports import Studio
from tests.jobs.working import dispatching, put_job, until_state
from tests.support.fakes import PASSWORD


def test_every_type_has_its_handler() -> None:
    assert {name: handler.job_type for name, handler in HANDLERS.items()} == JOB_TYPES


@pytest.mark.parametrize(
    "kind", sorted(name for name, one in JOB_TYPES.items() if one.role != "customer")
)
async def test_a_demoted_owners_job_does_not_run_nor_when_it_is_retried(
    studio: Studio, kind: str
) -> None:
    user = await create_user(
        studio.database, email="a@example.com", password=PASSWORD, role="customer"
    )
    job_id = await put_job(studio, kind, owner_id=user.id)
    async with dispatching(studio):
        job = await until_state(studio, job_id)
        assert (job.state, job.attempts) == ("failed", 1)
        assert job.error == "the job's owner may not run such jobs any more"
        await retry_job(studio.database, job_id)
        assert (await until_state(studio, job_id)).state == "failed"


async def test_the_studios_own_jobs_need_no_role(studio: Studio) -> None:
    job_id = await put_job(studio, "import-catalog")
    async with dispatching(studio):
        job = await until_state(studio, job_id)
    assert job.error is not None and "such jobs" not in job.error
