"""`studio index`: versions of the search index."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.database import on_database
from cli.models import load_embedder
from cli.setup import plain_errors, present_settings
from errors import SetupError
from settings import load_settings

if TYPE_CHECKING:
    from db.engine import Database
    from db.tables import IndexVersion

NEWEST = 100

commands = typer.Typer(help="Versions of the search index.", no_args_is_help=True)


@commands.command("list")
def list_versions() -> None:
    """Show every index version, newest first."""
    with plain_errors():
        for row in on_database(read_versions):
            moment = f"{row.created_at:%Y-%m-%d %H:%M}"
            typer.echo(
                f"{row.version}  {row.status:<8}  {row.count:>8} products  {moment}  "
                f"{row.embedder_version}"
            )


@commands.command("activate")
def activate_version(version: str) -> None:
    """Activate an index version, newer or older, which then answers searches."""
    with plain_errors():
        on_database(lambda database: switch(database, version))
        typer.echo(f"index {version} is active")


@commands.command("verify")
def verify_version(version: str) -> None:
    """Read a version's files from the blob store and compare every checksum."""
    with plain_errors():
        count = on_database(lambda database: count_products(database, version))
        typer.echo(f"ok   {version}: {count} products, every checksum as in the manifest")


async def switch(database: "Database", version: str) -> None:
    """Activates a version of an embedder in use, or of the one that the settings name."""
    from db.index_versions import get_index_version
    from studio.index.versions import embedders_in_use, switch_version

    served = await embedders_in_use(database)
    async with database.read() as session:
        row = await get_index_version(session, version)
    if row is not None and row.embedder_version not in served:
        served = [load_embedder(load_settings()).version]
    await switch_version(database, version, served)


async def read_versions(database: "Database") -> "list[IndexVersion]":
    """Reads the newest versions."""
    from db.index_versions import list_index_versions

    async with database.transaction() as session:
        return await list_index_versions(session, limit=NEWEST)


async def count_products(database: "Database", version: str) -> int:
    """Downloads and verifies the files of a version; returns the number of products in them.

    Raises:
        SetupError: there is no such version.
    """
    from db.index_versions import get_index_version
    from integrations.blobs.store import open_blob_store
    from models.index.files import open_files
    from studio.index.files import fetch_files

    async with database.transaction() as session:
        row = await get_index_version(session, version)
    if row is None:
        raise SetupError(f"there is no index version {version}")
    blobs = open_blob_store(present_settings())
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = await fetch_files(blobs, version, row.manifest, Path(folder))
            return len(open_files(path).ids)
    finally:
        await blobs.aclose()
