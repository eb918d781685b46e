"""What commands share: one line for an error, and the settings of the studio that runs here."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from pydantic import SecretStr

from errors import SetupError, StudioError
from settings import Settings, load_settings


@contextmanager
def plain_errors() -> Iterator[None]:
    """Expected failures are one line and exit code 1, not a traceback."""
    try:
        yield
    except StudioError as error:
        typer.secho(f"studio: {error.detail}", err=True, fg="red")
        raise typer.Exit(1) from None


def running_settings() -> Settings:
    """The settings, completed by what the studio running in the data folder was given."""
    from local.folder import DataFolder

    settings = load_settings()
    facts = running_facts()
    names = ("database_url", "redis_url", "blob_url")
    known: dict[str, Any] = {name: facts[name] for name in names}
    if settings.jwt_secret is None:
        known["jwt_secret"] = SecretStr(DataFolder(settings.data_dir).secret("jwt_secret"))
    return settings.model_copy(update=known | {"public_url": facts["base_url"]})


def database_url(settings: Settings) -> str:
    """The database of `STUDIO_DATABASE_URL`, else that of the studio running in the data folder.

    Raises:
        SetupError: neither is there.
    """
    return settings.database_url or str(running_facts()["database_url"])


def running_facts() -> dict[str, Any]:
    """What the studio that runs in the data folder wrote about itself.

    Raises:
        SetupError: none runs there.
    """
    from local.folder import DataFolder

    folder = load_settings().data_dir
    running = DataFolder(folder).running()
    if running is None:
        raise SetupError(f"no studio is running in {folder}: start it with `make up`")
    return running


def with_database(url: str, work: Callable[[Any], Any]) -> Any:
    """Runs one piece of asynchronous work on a database of its own."""
    from db.engine import Database

    async def run() -> Any:
        database = Database(url, pool_size=1)
        try:
            return await work(database)
        finally:
            await database.aclose()

    return asyncio.run(run())
