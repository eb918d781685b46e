"""The job `import-catalog`: imports products from CSV or JSON lines, and reports each bad line."""

import asyncio
import hashlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

from db.tables import Job
from db.users import get_user
from errors import DeadlinePassed, Invalid, StudioError, Unavailable
from studio.catalog.catalog import Owner, put_product
from studio.catalog.form import read_line
from studio.catalog.import_lines import (
    START_BYTES,
    Line,
    check_start,
    count_lines,
    is_json_lines,
    read_lines,
)
from studio.files.datasets import dataset_key
from studio.files.rules import DATASET_TYPES
from studio.files.storage import require_storage
from studio.forms import MAX_PRODUCT_ID_CHARS, UNSTORABLE, Form, fingerprint
from studio.job_types import JobRun, JobType, Outcome, enqueue, read_payload
from studio.ports import BlobStore, Studio

MAX_ERRORS, MAX_ID_CHARS, MAX_DETAIL_CHARS = 1000, MAX_PRODUCT_ID_CHARS, 1000
AT_ONCE = 8
REPORT_S = 0.5
WRITE_BYTES = 1 << 20


class ImportForm(Form):
    """An import of an uploaded dataset."""

    file_id: UUID


@dataclass(frozen=True)
class ReceivedFile:
    """A file that was uploaded with a request; on this machine's disk until the request ends."""

    path: Path
    sha256: str


@dataclass
class BadLines:
    """The bad lines of all attempts: counts all, and stores the first thousand by line number."""

    count: int = 0
    errors: dict[int, dict[str, Any]] = field(default_factory=dict)
    unreported: list[dict[str, Any]] = field(default_factory=list)

    def add(self, errors: Sequence[dict[str, Any]]) -> None:
        """Adds errors of lines, except those that an earlier attempt has reported."""
        new = [error for error in errors if error["line"] not in self.errors]
        self.count += len(new)
        new = new[: MAX_ERRORS - len(self.errors)]
        self.errors |= {error["line"]: error for error in new}
        self.unreported += new

    def take_unreported(self) -> list[dict[str, Any]]:
        """The errors since the last call."""
        unreported, self.unreported = self.unreported, []
        return unreported


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
    check_start(start[:START_BYTES], is_whole=len(start) <= START_BYTES)


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
    studio: Studio, owner_id: UUID, received: ReceivedFile, idempotency_key: str | None
) -> Job:
    """Creates a job for a file that was uploaded with the request; stores the file for it.

    Raises:
        Invalid: the file can't be imported; see `check_start`.
        TooLarge: the account's quota is used up.
        Conflict: the key was used with another file.
    """
    await require_storage(studio, owner_id)
    start = await asyncio.to_thread(read_start, received.path)
    check_start(start[:START_BYTES], is_whole=len(start) <= START_BYTES)
    job_id = uuid4()
    kind = "application/x-ndjson" if is_json_lines(start) else "text/csv"
    key = f"uploads/imports/{job_id}{DATASET_TYPES[kind]}"
    await studio.blobs.put_file(key, received.path)
    job: Job | None = None
    try:
        async with studio.database.transaction() as session:
            job = await enqueue(
                session, IMPORT_CATALOG, {"blobKey": key}, owner_id=owner_id, job_id=job_id,
                idempotency_key=idempotency_key, content=fingerprint(received.sha256),
            )  # fmt: skip
    finally:
        if job is None or job.id != job_id:
            await studio.blobs.delete(key)
    return job


async def import_catalog(studio: Studio, run: JobRun) -> Outcome:
    """Imports every good line under a fixed id, so that importing it again changes nothing.

    Continues from the last report of an earlier attempt. The result counts the lines and lists the
    bad ones. The file is on the disk and is read line by line, so memory does not grow with it.

    Raises:
        Invalid: the file can't be imported; see `read_lines`.
        Unavailable: a part of the studio is down; another attempt continues from the last report.
        JobStopped: the job was cancelled, or another worker has it.
    """
    owner = await _owner_of(studio, run)
    key = run.payload.get("blobKey")
    if key is None:
        form = read_payload(ImportForm, run.payload)
        key = await dataset_key(studio, owner.id, form.file_id)
    with tempfile.TemporaryDirectory(prefix="import-") as folder:
        path = Path(folder) / "lines"
        await studio.blobs.get_file(key, path)
        return Outcome(await _import_file(studio, owner, run, path))


async def _import_file(studio: Studio, owner: Owner, run: JobRun, path: Path) -> dict[str, Any]:
    bad = await _bad_lines_before(run)
    with path.open("rb") as file:
        total = await asyncio.to_thread(count_lines, file)
        file.seek(0)
        lines = read_lines(file, skip=run.done)
        reported_s, done = time.monotonic(), run.done
        while chunk := await asyncio.to_thread(_take, lines):
            bad.add(await _import_chunk(studio, owner, run, chunk))
            done += len(chunk)
            if done == total or time.monotonic() - reported_s > REPORT_S:
                errors = bad.take_unreported()
                await run.progress(done, total, "lines read", errors=errors, failed=bad.count)
                reported_s = time.monotonic()
    return {
        "total": total,
        "imported": total - bad.count,
        "failed": bad.count,
        "errors": [bad.errors[number] for number in sorted(bad.errors)],
    }


def _take(lines: Iterator[Line]) -> list[Line]:
    """Parses the next lines. Runs in a thread, since a long line takes milliseconds."""
    return list(islice(lines, AT_ONCE))


async def _bad_lines_before(run: JobRun) -> BadLines:
    """The bad lines of earlier attempts, up to the report that this attempt continues from."""
    bad = BadLines()
    if run.done:
        for report in await run.past():
            for error in report.get("errors", ()):
                if len(bad.errors) < MAX_ERRORS:
                    bad.errors[error["line"]] = error
            bad.count = max(report.get("failed", 0), len(bad.errors))
    return bad


async def drop_import(studio: Studio, run: JobRun) -> None:
    """After the job: deletes the file that was uploaded with the request."""
    await drop_file(studio.blobs, run.payload)


async def drop_file(blobs: BlobStore, payload: dict[str, Any]) -> None:
    """Deletes the file that was uploaded with a request, if the job has one."""
    if (key := payload.get("blobKey")) is not None:
        await blobs.delete(key)


async def _owner_of(studio: Studio, run: JobRun) -> Owner:
    """The job's owner, with the role that the account has now."""
    async with studio.database.transaction() as session:
        user = await get_user(session, run.owner_id) if run.owner_id else None
    if user is None or user.role not in {"merchant", "admin"}:
        raise Invalid("the job's owner may not write products any more")
    return Owner(user.id, is_admin=user.role == "admin")


async def _import_chunk(
    studio: Studio, owner: Owner, run: JobRun, chunk: list[Line]
) -> list[dict[str, Any]]:
    """Imports lines concurrently. Returns their errors; raises only after all lines have ended."""
    results = await asyncio.gather(
        *(_import_line(studio, owner, run, line) for line in chunk), return_exceptions=True
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, dict)]


async def _import_line(
    studio: Studio, owner: Owner, run: JobRun, line: Line
) -> dict[str, Any] | None:
    """Imports one line. Returns its number and its error, or None if it was imported."""
    try:
        if line.fields is None:
            raise Invalid(line.error or "unreadable")
        form = read_line(line.fields)
        product_id = form.id or str(uuid5(run.job_id, str(line.number)))
        await put_product(studio, owner, product_id, form, guard=run.guard)
    except (Unavailable, DeadlinePassed):  # a failure of the studio, not of the line
        raise
    except StudioError as error:
        detail = UNSTORABLE.sub("?", error.detail[:MAX_DETAIL_CHARS])
        return {"line": line.number, "id": _id_of(line), "detail": detail}
    return None


def _id_of(line: Line) -> str | None:
    """The id in a bad line, shortened to what a row can store."""
    value = (line.fields or {}).get("id")
    return UNSTORABLE.sub("?", value[:MAX_ID_CHARS]) if isinstance(value, str) else None
