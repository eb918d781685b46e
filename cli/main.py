"""The `studio` command of operators: reads the settings and calls the rooms below."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

import asyncio
import importlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from cli.backup import backup, restore
from cli.models import load_embedder, models
from cli.setup import (
    database_url,
    plain_errors,
    running_facts,
    running_settings,
    with_database,
)
from errors import SetupError
from settings import Settings, load_settings

DRAIN_S = 0.1  # no load balancer has to notice that a studio on one machine stops

app = typer.Typer(
    help="AI Fashion Studio: start it, look after it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
user = typer.Typer(help="Accounts.", no_args_is_help=True)
index = typer.Typer(help="Versions of the search index.", no_args_is_help=True)
app.add_typer(user, name="user")
app.add_typer(models, name="models")
app.add_typer(index, name="index")
app.command()(backup)
app.command()(restore)
jobs = typer.Typer(help="Jobs that were accepted.", no_args_is_help=True)
app.add_typer(jobs, name="jobs")


@app.command()
def up(
    servers_only: Annotated[
        bool, typer.Option(help="PostgreSQL, Valkey and Ray without the application.")
    ] = False,
) -> None:
    """Start the whole studio on this machine and stay in the foreground."""
    with plain_errors():
        from local.up import House, up

        settings = load_settings()
        raise typer.Exit(up(settings, House() if servers_only else whole_house(settings)))


def whole_house(settings: Settings) -> Any:
    """The Serve application and the demo: their rooms are above the servers', or need it."""
    from deployments.serve.ingress import ingress_environment, tracing_environment
    from local.up import House

    return House(
        environment=ingress_environment(settings.port, drain_s=DRAIN_S)
        | tracing_environment(os.environ),
        load_application=lambda: importlib.import_module("deployments.serve.deploy"),
        seed_demo=seed_demo,
    )


def seed_demo(settings: Settings, count: Callable[[int, int, str], None]) -> None:
    """Fills a new studio with accounts and products through its running deployments."""
    from deployments.serve.studio import running_studio
    from local.demo import seed

    async def run() -> None:
        async with running_studio(settings) as studio:
            await seed(studio, count)

    asyncio.run(run())


@app.command()
def seed() -> None:
    """Give the running studio what of the demo it lacks: accounts, products, an index."""
    with plain_errors():
        from deployments.serve.ingress import ingress_environment
        from local.cluster import ENVIRONMENT

        settings = running_settings()
        if settings.env == "production":
            raise SetupError("STUDIO_ENV=production has no demo")
        os.environ |= ENVIRONMENT | ingress_environment(settings.port)
        from deployments.serve.deploy import connect

        connect(running_facts()["ray_address"])
        seed_demo(settings, lambda done, total, what: typer.echo(f"{done} of {total} {what}"))


@app.command()
def migrate() -> None:
    """Bring the database's schema to the newest version."""
    with plain_errors():
        from db.migrate import upgrade

        upgrade(database_url(load_settings()))
        typer.echo("The schema is up to date.")


@app.command()
def doctor() -> None:
    """Say what is wrong with this machine, the settings or the data folder."""
    with plain_errors():
        from deployments.serve.connections import wanted_connections
        from local.doctor import examine

        settings = load_settings()
        wanted = wanted_connections(settings)
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        failed = False
        for finding in examine(settings, lambda: load_embedder(settings).check(), wanted):
            failed = failed or finding.status == "fail"
            status = typer.style(f"{finding.status:<4}", fg=colours[finding.status])
            advice = f" -> {finding.advice}" if finding.advice else ""
            typer.echo(f"{status} {finding.subject:<11} {finding.detail}{advice}")
        raise typer.Exit(1 if failed else 0)


@user.command("create")
def create_user(
    email: str,
    role: Annotated[str, typer.Option(help="customer, merchant or admin")] = "customer",
    name: Annotated[str | None, typer.Option(help="How the account is shown.")] = None,
    password: Annotated[
        str | None,
        typer.Option(help="Asked for when not given."),
    ] = None,
) -> None:
    """Make an account with any role; the password is asked for."""
    with plain_errors():
        from studio.accounts import accounts

        url = database_url(load_settings())
        secret = password or typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        account = with_database(
            url,
            lambda database: accounts.create_user(
                database, email=email, password=secret, role=role, name=name
            ),
        )
        typer.echo(f"{account.role} {account.email}: {account.id}")


@index.command("list")
def list_versions() -> None:
    """Show every index version, newest first."""
    with plain_errors():
        for row in on_database(index_rows):
            moment = f"{row.created_at:%Y-%m-%d %H:%M}"
            typer.echo(
                f"{row.version}  {row.status:<8}  {row.count:>8} products  {moment}  "
                f"{row.embedder_version}"
            )


@index.command("activate")
def activate_version(version: str) -> None:
    """Make a version the one that answers searches; also rolls back."""
    with plain_errors():
        from studio.index.versions import switch_version

        in_service = load_embedder(load_settings()).version
        on_database(lambda database: switch_version(database, version, in_service))
        typer.echo(f"index {version} is active")


@index.command("verify")
def verify_version(version: str) -> None:
    """Read a version's files from the blob store and compare every checksum."""
    with plain_errors():
        count = on_database(lambda database: read_files(database, version))
        typer.echo(f"ok   {version}: {count} products, every checksum as in the manifest")


@jobs.command("list")
def list_all_jobs(
    state: Annotated[str | None, typer.Option(help="queued, running, failed, …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
) -> None:
    """Show jobs, newest first; `--state failed` are the dead letters."""
    with plain_errors():
        for job in on_database(lambda database: job_rows(database, state, limit)):
            share = f"{job.progress_done}/{job.progress_total}"
            typer.echo(
                f"{job.id}  {job.type:<15} {job.state:<9}  {share:>12}  "
                f"attempt {job.attempts} of {job.max_attempts}  {job.created_at:%Y-%m-%d %H:%M}"
                f"{f'  {job.error}' if job.error else ''}"
            )


@jobs.command("retry")
def retry_one_job(job_id: UUID) -> None:
    """Queue a failed job again, with all its attempts."""
    with plain_errors():
        from studio.jobs.jobs import retry_job

        job = on_database(lambda database: retry_job(database, job_id))
        typer.echo(f"{job.type} {job.id} is {job.state}")


@jobs.command("cancel")
def cancel_one_job(job_id: UUID) -> None:
    """Cancel a queued job, or ask a running one to stop."""
    with plain_errors():
        from studio.jobs.jobs import cancel_job

        job = on_database(lambda database: cancel_job(database, job_id))
        typer.echo(f"{job.type} {job.id} {'stops' if job.state == 'running' else 'is cancelled'}")


async def job_rows(database: Any, state: str | None, limit: int) -> Any:
    """The newest jobs, of everyone."""
    from db.jobs import list_jobs

    async with database.transaction() as session:
        return await list_jobs(session, owner_id=None, limit=limit, state=state)


async def read_files(database: Any, version: str) -> int:
    """How many products a version's files hold, once all of them were read and compared."""
    from db.index_versions import get_index_version
    from integrations.blobs.store import open_blob_store
    from models.index.files import open_files
    from studio.index.files import fetch_files

    async with database.transaction() as session:
        row = await get_index_version(session, version)
    if row is None:
        raise SetupError(f"there is no index version {version}")
    blobs = open_blob_store(running_settings())
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = await fetch_files(blobs, version, row.manifest, Path(folder))
            return len(open_files(path).ids)
    finally:
        await blobs.aclose()


async def index_rows(database: Any) -> Any:
    """The newest hundred versions."""
    from db.index_versions import list_index_versions

    async with database.transaction() as session:
        return await list_index_versions(session, limit=100)


def on_database(work: Callable[[Any], Any]) -> Any:
    """Runs one piece of asynchronous work on the studio's database."""
    return with_database(database_url(load_settings()), work)
