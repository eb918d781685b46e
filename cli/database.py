"""`studio migrate`, and how commands reach the studio's database."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from cli.setup import plain_errors, running_facts
from settings import Settings, load_settings

if TYPE_CHECKING:
    from db.engine import Database

Result = TypeVar("Result")


def migrate() -> None:
    """Bring the database's schema to the newest version."""
    with plain_errors():
        from db.migrate import upgrade

        upgrade(database_url(load_settings()))
        typer.echo("The schema is up to date.")


def database_url(settings: Settings) -> str:
    """The URL of `STUDIO_DATABASE_URL`, else that of the studio which runs in the data folder.

    Raises:
        SetupError: the variable is not set and no studio runs.
    """
    return settings.database_url or str(running_facts()["database_url"])


def on_database(work: "Callable[[Database], Awaitable[Result]]") -> Result:
    """Runs asynchronous work on the studio's database and returns its result."""
    from db.engine import Database

    url = database_url(load_settings())

    async def run() -> Result:
        database = Database(url, pool_size=1)
        try:
            return await work(database)
        finally:
            await database.aclose()

    return asyncio.run(run())
