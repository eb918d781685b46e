"""`studio up`, `studio seed` and `studio doctor`: the studio on this machine."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from cli.setup import plain_errors, running_facts, running_settings
from errors import SetupError
from settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.doctor import Finding
    from local.up import Application, ApplicationParts
    from models.progress import Progress

DRAIN_S = 0.1
"""On one machine no load balancer has to notice that the studio stops."""

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def up(
    servers_only: Annotated[
        bool, typer.Option(help="PostgreSQL, Valkey and Ray without the application.")
    ] = False,
) -> None:
    """Start the whole studio on this machine and stay in the foreground."""
    with plain_errors():
        from local import up as local_up

        settings = load_settings()
        parts = local_up.ApplicationParts() if servers_only else application_parts(settings)
        raise typer.Exit(local_up.up(settings, parts))


def application_parts(settings: Settings) -> "ApplicationParts":
    """The Serve application and the demo, which `local` can't import."""
    from deployments.serve.ingress import ingress_environment, tracing_environment
    from local.up import ApplicationParts

    return ApplicationParts(
        environment=ingress_environment(settings.port, drain_s=DRAIN_S)
        | tracing_environment(os.environ),
        load_application=load_application,
        seed_demo=seed_demo,
    )


def load_application() -> "Application":
    """Imports the application, after the environment of Ray is set."""
    from deployments.serve import deploy

    return deploy


def seed_demo(settings: Settings, report: "Progress") -> None:
    """Fills a new studio with accounts and products through its running deployments."""
    from deployments.serve.studio import running_studio
    from local.demo import seed as seed_studio

    async def run() -> None:
        async with running_studio(settings) as studio:
            await seed_studio(studio, report)

    asyncio.run(run())


def seed() -> None:
    """Add the demo's accounts, products and index to the running studio, where they are missing."""
    with plain_errors():
        from deployments.serve.ingress import ingress_environment
        from local.cluster import ENVIRONMENT

        settings = running_settings()
        if settings.env == "production":
            raise SetupError("STUDIO_ENV=production has no demo")
        os.environ |= ENVIRONMENT | ingress_environment(settings.port)
        from deployments.serve.deploy import connect

        connect(str(running_facts()["ray_address"]))
        seed_demo(settings, lambda done, total, what: typer.echo(f"{done} of {total} {what}"))


def findings(settings: Settings) -> "Iterator[Finding]":
    """The findings of the cluster where one is named or it is production, else of this machine."""
    from deployments.serve.connections import wanted_connections
    from local.doctor import examine, examine_shared

    connections = wanted_connections(settings)
    address = os.environ.get("RAY_ADDRESS") or ("auto" if settings.env == "production" else "")
    if not address:
        from cli.models import load_embedder

        yield from examine(settings, lambda: load_embedder(settings).check(), connections)
        return
    from deployments.serve.doctor.cluster import examine_cluster

    yield from examine_shared(settings, connections)
    yield from examine_cluster(settings, address)


def doctor() -> None:
    """Report problems of this machine, or of the cluster of RAY_ADDRESS, each with advice."""
    with plain_errors():
        has_failed = False
        for finding in findings(load_settings()):
            has_failed = has_failed or finding.status == "fail"
            status = typer.style(f"{finding.status:<4}", fg=COLOURS[finding.status])
            advice = f" -> {finding.advice}" if finding.advice else ""
            typer.echo(f"{status} {finding.subject:<11} {finding.detail}{advice}")
        raise typer.Exit(1 if has_failed else 0)
