"""The job `import-catalog`: CSV or JSON lines to products, bad lines told from the good ones."""

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
from studio.forms import UNSTORABLE, Form
from studio.idempotency import fingerprint
from studio.job_types import JobRun, JobType, Outcome, enqueue, read_payload
from studio.ports import BlobStore, Studio

MAX_ERRORS, MAX_ID_CHARS, MAX_DETAIL_CHARS = 1000, 128, 1000
AT_ONCE = 8
REPORT_S = 0.5
WRITE_BYTES = 1 << 20


class ImportForm(Form):
    """An import of an uploaded dataset."""

    file_id: UUID


@dataclass(frozen=True)
class ReceivedFile:
    """A file that came with a request, on this machine's disk until the request ends."""

    path: Path
    sha256: str


@dataclass
class BadLines:
    """The bad lines of every attempt: all are counted, the first thousand are kept by number."""

    count: int = 0
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)
    unreported: list[dict[str, Any]] = field(default_factory=list)

    def add(self, errors: Sequence[dict[str, Any]]) -> None:
        """Errors of lines; one that an earlier attempt has reported counts once."""
        fresh = [one for one in errors if one["line"] not in self.kept]
        self.count += len(fresh)
        fresh = fresh[: MAX_ERRORS - len(self.kept)]
        self.kept |= {one["line"]: one for one in fresh}
        self.unreported += fresh

    def take_unreported(self) -> list[dict[str, Any]]:
        """Those that no report has had yet."""
        fresh, self.unreported = self.unreported, []
        return fresh


async def check_import(studio: Studio, owner_id: UUID, form: ImportForm) -> None:
    """Judges the first lines; whatever comes after them is judged line by line by the job.

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
    """Writes what arrives to the disk, a megabyte in memory at a time."""
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
    """The first bytes of a file, one more than are judged where there are more."""
    with path.open("rb") as file:
        return file.read(START_BYTES + 1)


async def enqueue_import(
    studio: Studio, owner_id: UUID, received: ReceivedFile, idempotency_key: str | None
) -> Job:
    """A job for a file that came with the request; kept in the blob store until it is imported.

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
    there: Job | None = None
    try:
        async with studio.database.transaction() as session:
            there = await enqueue(
                session, IMPORT_CATALOG, {"blobKey": key}, owner_id=owner_id, job_id=job_id,
                idempotency_key=idempotency_key, asked=fingerprint(received.sha256),
            )  # fmt: skip
    finally:
        if there is None or there.id != job_id:
            await studio.blobs.delete(key)
    return there


async def import_catalog(studio: Studio, run: JobRun) -> Outcome:
    """Writes every good line under an id of its own, so that doing it again changes nothing.

    Goes on where the last attempt was when it reported. The result counts the lines and names
    the bad ones. The file lies on the disk and is read line by line: memory doesn't grow with it.

    Raises:
        Invalid: the file can't be imported; see `read_lines`.
        Unavailable: a part of the studio is down; the lines after the last report are tried again.
        JobStopped: the job is another worker's, or nobody's any more.
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
                fresh = bad.take_unreported()
                await run.progress(done, total, "lines read", errors=fresh, failed=bad.count)
                reported_s = time.monotonic()
    return {
        "total": total,
        "imported": total - bad.count,
        "failed": bad.count,
        "errors": [bad.kept[number] for number in sorted(bad.kept)],
    }


def _take(lines: Iterator[Line]) -> list[Line]:
    """In a thread: parsing a long line takes milliseconds."""
    return list(islice(lines, AT_ONCE))


async def _bad_lines_before(run: JobRun) -> BadLines:
    """Those of earlier attempts, up to the report that this one goes on from."""
    bad = BadLines()
    if run.done:
        for report in await run.past():
            for one in report.get("errors", ()):
                if len(bad.kept) < MAX_ERRORS:
                    bad.kept[one["line"]] = one
            bad.count = max(report.get("failed", 0), len(bad.kept))
    return bad


async def drop_import(studio: Studio, run: JobRun) -> None:
    """Afterwards nobody needs the file that came with the request."""
    await drop_file(studio.blobs, run.payload)


async def drop_file(blobs: BlobStore, payload: dict[str, Any]) -> None:
    """Removes the file that came with a request, if the job had one."""
    if (key := payload.get("blobKey")) is not None:
        await blobs.delete(key)


async def _owner_of(studio: Studio, run: JobRun) -> Owner:
    """With the rights that the account has now."""
    async with studio.database.transaction() as session:
        user = await get_user(session, run.owner_id) if run.owner_id else None
    if user is None or user.role not in {"merchant", "admin"}:
        raise Invalid("the job's owner may not write products any more")
    return Owner(user.id, is_admin=user.role == "admin")


async def _import_chunk(
    studio: Studio, owner: Owner, run: JobRun, chunk: list[Line]
) -> list[dict[str, Any]]:
    """Side by side; all of them have ended when this does, whichever way."""
    told = await asyncio.gather(
        *(_import_line(studio, owner, run, line) for line in chunk), return_exceptions=True
    )
    for one in told:
        if isinstance(one, BaseException):
            raise one
    return [one for one in told if isinstance(one, dict)]


async def _import_line(
    studio: Studio, owner: Owner, run: JobRun, line: Line
) -> dict[str, Any] | None:
    """None where the line landed, else its number and what is wrong with it."""
    try:
        if line.fields is None:
            raise Invalid(line.error or "unreadable")
        product_id, draft = read_line(line.fields)
        own_id = product_id or str(uuid5(run.job_id, str(line.number)))
        await put_product(studio, owner, own_id, draft, guard=run.guard)
    except (Unavailable, DeadlinePassed):  # ours, not the line's
        raise
    except StudioError as error:
        detail = UNSTORABLE.sub("?", error.detail[:MAX_DETAIL_CHARS])
        return {"line": line.number, "id": _id_of(line), "detail": detail}
    return None


def _id_of(line: Line) -> str | None:
    """What a bad line gives as its id, as far as a row can keep it."""
    given = (line.fields or {}).get("id")
    return UNSTORABLE.sub("?", given[:MAX_ID_CHARS]) if isinstance(given, str) else None
