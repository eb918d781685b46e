"""`studio backup` and `studio restore`."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from cli.setup import plain_errors, present_settings
from errors import Conflict
from settings import Settings

if TYPE_CHECKING:
    from studio.operations.archive import Archive, Manifest
    from studio.operations.restore import RestoreSummary
    from studio.ports import Studio

Place = Annotated[str, typer.Argument(help="A folder, or a container as STUDIO_BLOB_URL takes it.")]


def backup(
    dest: Place,
    verify: Annotated[bool, typer.Option(help="Read everything back and compare it.")] = False,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Keep only this many backups; remove the oldest.")
    ] = None,
    erasures_only: Annotated[
        bool, typer.Option(help="Only record deletions since the last backup; run this often.")
    ] = False,
) -> None:
    """Copy database and blobs of the running studio; only new blobs are copied again."""
    with plain_errors():
        settings = present_settings()
        if erasures_only:
            count = asyncio.run(add_erasures(settings, dest))
            typer.echo(f"{count} deletions are recorded")
            return
        started_s = monotonic()
        manifest, removed = asyncio.run(copy_studio(settings, dest, verify=verify, keep=keep))
        megabytes = sum(table.bytes for table in manifest.tables) / 1e6
        typer.echo(
            f"backup {manifest.id}: {manifest.row_count} rows ({megabytes:.1f} MB) as of "
            f"{manifest.snapshot_at:%Y-%m-%d %H:%M:%S} UTC, {manifest.blob_count} blobs "
            f"({manifest.blob_bytes / 1e6:.1f} MB, {manifest.copied_count} of them new), "
            f"{monotonic() - started_s:.1f} s"
        )
        if manifest.absent:
            typer.echo(f"{len(manifest.absent)} blobs that rows name were not in the blob store")
        if removed:
            typer.echo(f"{removed} older backups are removed")


def restore(
    src: Place,
    backup: Annotated[str | None, typer.Option(help="Its id; the newest if not given.")] = None,
    force: Annotated[
        bool, typer.Option(help="Replace all that is in the studio, which is lost.")
    ] = False,
    check: Annotated[
        bool, typer.Option(help="Only read the backup and compare its checksums.")
    ] = False,
) -> None:
    """Restore a backup into an empty studio that is not running; repeat later deletions."""
    with plain_errors():
        settings = present_settings()
        started_s = monotonic()
        if check:
            manifest = asyncio.run(check_backup(settings, src, backup))
            typer.echo(f"ok   {manifest.id}: every checksum as in the manifest")
            return
        result = asyncio.run(restore_studio(settings, src, backup, force=force))
        typer.echo(
            f"{result.rows} rows and {result.blobs} blobs are restored ({result.copied} copied), "
            f"{result.erased} deletions applied again, {monotonic() - started_s:.1f} s"
        )
        for key in result.absent[:20]:
            typer.echo(f"absent: {key}")


async def add_erasures(settings: Settings, dest: str) -> int:
    """Adds the deletions of the studio to the archive; returns how many it has then."""
    from studio.operations.backup import save_erasures

    async with open_all(settings, dest) as (studio, archive):
        return await save_erasures(studio.database, archive)


async def copy_studio(
    settings: Settings, dest: str, *, verify: bool, keep: int | None
) -> "tuple[Manifest, int]":
    """Makes a backup; returns its manifest and the number of older backups that were removed."""
    from studio.operations.backup import make_backup, verify_backup

    async with open_all(settings, dest) as (studio, archive):
        manifest = await make_backup(studio.database, studio.blobs, archive, report)
        if verify:
            await verify_backup(archive, manifest, report)
        return manifest, await archive.prune(keep) if keep else 0


async def check_backup(settings: Settings, src: str, backup_id: str | None) -> "Manifest":
    """Reads a backup and compares its checksums; returns its manifest."""
    from studio.operations.backup import verify_backup

    async with open_all(settings, src, exists=True) as (_, archive):
        manifest = await archive.read_manifest(backup_id)
        await verify_backup(archive, manifest, report)
        return manifest


async def restore_studio(
    settings: Settings, src: str, backup_id: str | None, *, force: bool
) -> "RestoreSummary":
    """Restores a backup; returns the numbers of rows, blobs and deletions."""
    from studio.operations.restore import restore as restore_backup

    async with open_all(settings, src, exists=True) as (studio, archive):
        manifest = await archive.read_manifest(backup_id)
        return await restore_backup(studio, archive, manifest, force=force, report=report)


@asynccontextmanager
async def open_all(
    settings: Settings, place: str, *, exists: bool = False
) -> AsyncIterator[tuple["Studio", "Archive"]]:
    """Opens the studio's servers, without its deployments, and the archive.

    Raises:
        Conflict: the archive is in the studio's own blob store.
    """
    from db.backup.snapshot import LIMIT_S
    from db.engine import Database
    from integrations.blobs.archive import open_archive_store, same_place
    from integrations.blobs.store import open_blob_store
    from integrations.cache import RedisCache
    from studio.operations.archive import Archive
    from studio.ports import ABSENT, Studio

    if same_place(place, settings.required("blob_url")):
        raise Conflict("backups need a place of their own, not the studio's blob store")
    store = open_archive_store(place, must_exist=exists)
    url = settings.required("database_url")
    studio = Studio(
        settings=settings,
        database=Database(url, pool_size=2, statement_limit_s=LIMIT_S),
        blobs=open_blob_store(settings),
        cache=RedisCache(settings.redis_url) if settings.redis_url else ABSENT,
    )
    try:
        yield studio, Archive(store)
    finally:
        await store.aclose()
        await studio.aclose()


def report(done: int, total: int, what: str) -> None:
    """Prints one line of progress."""
    typer.echo(f"{done} of {total} {what}")
