"""Accepts import files, from a request or an uploaded dataset, as jobs `import-catalog`."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID, uuid4

from pydantic import Field

from db.tables import Job
from studio.catalog.form import Currency
from studio.catalog.formats.source import START_BYTES, FormatName, check_start, is_json_lines
from studio.files.datasets import dataset_key
from studio.files.rules import DATASET_TYPES
from studio.files.storage import require_storage
from studio.forms import Form, fingerprint
from studio.job_types import JobType, enqueue
from studio.ports import Studio

WRITE_BYTES = 1 << 20

Mode = Literal["upsert", "patch", "replace"]


class ImportOptions(Form):
    """How a file is read, and what its lines do.

    Attributes:
        format: "auto" finds it by the file's first bytes.
        mode: "upsert" creates or replaces each product; "patch" changes what a line names of
            products that exist; "replace" is "upsert", and removes what the file does not name.
        currency: of prices that name none.
        force: lets "replace" remove more than half of the catalogue.
    """

    format: FormatName = "auto"
    mode: Mode = "upsert"
    currency: Currency | None = None
    force: Annotated[bool, Field()] = False


class ImportForm(ImportOptions):
    """An import of an uploaded dataset."""

    file_id: UUID


class BodyImport(ImportOptions):
    """The payload of an import whose file arrived as the body of the request."""

    blob_key: str


@dataclass(frozen=True)
class ReceivedFile:
    """A file that was uploaded with a request; on this machine's disk until the request ends."""

    path: Path
    sha256: str


async def check_import(studio: Studio, owner_id: UUID, form: ImportForm) -> None:
    """Checks the first lines; the job checks all others, line by line.

    Raises:
        StudioError: the dataset can't be imported; see `dataset_key` and `check_start`.
    """
    start = b""
    async for piece in studio.blobs.stream(await dataset_key(studio, owner_id, form.file_id)):
        start += piece
        if len(start) > START_BYTES:
            break
    check_bytes(start, form)


def check_bytes(start: bytes, options: ImportOptions) -> None:
    """Checks the first bytes of a file, one more than `START_BYTES` where it has more.

    Raises:
        Invalid: see `check_start`.
    """
    is_whole = len(start) <= START_BYTES
    check_start(start[:START_BYTES], is_whole=is_whole, format_name=options.format)


IMPORT_CATALOG = JobType(
    "import-catalog", role="merchant", form=ImportForm, deadline_s=6 * 3600, check=check_import,
    max_open=50,
)  # fmt: skip


async def receive_file(pieces: AsyncIterator[bytes], path: Path) -> ReceivedFile:
    """Writes the body to the disk, with at most a megabyte of it in memory."""
    digest, waiting = hashlib.sha256(), bytearray()
    with path.open("wb") as file:

        def flush() -> None:
            digest.update(waiting)
            file.write(waiting)
            waiting.clear()

        async for piece in pieces:
            waiting += piece
            if len(waiting) >= WRITE_BYTES:
                await asyncio.to_thread(flush)
        await asyncio.to_thread(flush)
    return ReceivedFile(path, digest.hexdigest())


def read_start(path: Path) -> bytes:
    """The first bytes of a file: those that are checked, and one more if there are more."""
    with path.open("rb") as file:
        return file.read(START_BYTES + 1)


async def enqueue_import(
    studio: Studio,
    owner_id: UUID,
    received: ReceivedFile,
    idempotency_key: str | None,
    options: ImportOptions | None = None,
) -> Job:
    """Creates a job for a file that was uploaded with the request; stores the file for it.

    Raises:
        Invalid: the file can't be imported; see `check_start`.
        TooLarge: the account's quota is used up.
        Conflict: the key was used with another file or other options.
    """
    options = options or ImportOptions()
    await require_storage(studio, owner_id)
    start = await asyncio.to_thread(read_start, received.path)
    check_bytes(start, options)
    job_id = uuid4()
    kind = "application/x-ndjson" if is_json_lines(start) else "text/csv"
    key = f"uploads/imports/{job_id}{DATASET_TYPES[kind]}"
    await studio.blobs.put_file(key, received.path)
    settings = options.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    job: Job | None = None
    try:
        async with studio.database.transaction() as session:
            job = await enqueue(
                session, IMPORT_CATALOG, {"blobKey": key, **settings}, owner_id=owner_id,
                job_id=job_id, idempotency_key=idempotency_key,
                content=fingerprint([received.sha256, settings] if settings else received.sha256),
            )  # fmt: skip
    finally:
        if job is None or job.id != job_id:
            await studio.blobs.delete(key)
    return job
