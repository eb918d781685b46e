"""Helpers of all commands: errors as one line, and the settings of the running studio."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import typer
from pydantic import SecretStr

from errors import SetupError, StudioError
from settings import Settings, load_settings


@contextmanager
def plain_errors() -> Iterator[None]:
    """Prints an expected failure as one line and exits with code 1, without a traceback."""
    try:
        yield
    except StudioError as error:
        typer.secho(f"studio: {error.detail}", err=True, fg="red")
        raise typer.Exit(1) from None


def present_settings() -> Settings:
    """The settings; where they name no servers, with those of the studio in the data folder."""
    settings = load_settings()
    if settings.database_url and settings.blob_url and settings.jwt_secret:
        return settings
    return running_settings()


def running_settings() -> Settings:
    """The settings with the addresses of the studio that runs in the data folder."""
    from local.folder import DataFolder

    settings = load_settings()
    facts = running_facts()
    update: dict[str, object] = {
        name: facts[name] for name in ("database_url", "redis_url", "blob_url")
    }
    if settings.jwt_secret is None:
        update["jwt_secret"] = SecretStr(DataFolder(settings.data_dir).secret("jwt_secret"))
    return settings.model_copy(update=update | {"public_url": facts["base_url"]})


def running_facts() -> Mapping[str, object]:
    """The facts that the running studio has written into the data folder.

    Raises:
        SetupError: no studio runs there.
    """
    from local.folder import DataFolder

    folder = load_settings().data_dir
    facts = DataFolder(folder).running()
    if facts is None:
        raise SetupError(f"no studio is running in {folder}: start it with `make up`")
    return facts
