"""`studio jobs`: list, retry and cancel jobs."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

from typing import Annotated
from uuid import UUID

import typer

from cli.database import on_database
from cli.setup import plain_errors

commands = typer.Typer(help="Jobs that were accepted.", no_args_is_help=True)


@commands.command("list")
def list_all_jobs(
    state: Annotated[str | None, typer.Option(help="queued, running, failed, …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
) -> None:
    """Show jobs, newest first; `--state failed` are the dead letters."""
    with plain_errors():
        from studio.jobs.jobs import list_jobs

        for job in on_database(
            lambda database: list_jobs(database, None, limit=limit, state=state)
        ):
            share = f"{job.progress_done}/{job.progress_total}"
            typer.echo(
                f"{job.id}  {job.type:<15} {job.state:<9}  {share:>12}  "
                f"attempt {job.attempts} of {job.max_attempts}  {job.created_at:%Y-%m-%d %H:%M}"
                f"{f'  {job.error}' if job.error else ''}"
            )


@commands.command("retry")
def retry_one_job(job_id: UUID) -> None:
    """Queue a failed job again, with all its attempts."""
    with plain_errors():
        from studio.jobs.jobs import retry_job

        job = on_database(lambda database: retry_job(database, job_id))
        typer.echo(f"{job.type} {job.id} is {job.state}")


@commands.command("cancel")
def cancel_one_job(job_id: UUID) -> None:
    """Cancel a queued job, or ask a running one to stop."""
    with plain_errors():
        from studio.jobs.jobs import cancel_job

        job = on_database(lambda database: cancel_job(database, job_id))
        typer.echo(f"{job.type} {job.id} {'stops' if job.state == 'running' else 'is cancelled'}")
