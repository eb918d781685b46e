"""The job `import-catalog`: CSV or JSON lines to products, bad lines told from the good ones."""

import asyncio
import csv
import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4, uuid5

from db.files import get_file
from db.tables import Job
from db.users import get_user
from errors import Conflict, DeadlinePassed, Invalid, NotFound, StudioError, Unavailable
from studio.catalog import Owner, put_product
from studio.file_rules import DATASET_TYPES
from studio.forms import Form
from studio.idempotency import fingerprint
from studio.job_types import JobRun, JobType, Outcome, enqueue
from studio.ports import BlobStore, Studio
from studio.product_form import read_line

MAX_ERRORS = 1000
AT_ONCE = 8
REPORT_S = 0.5


class ImportForm(Form):
    """An import of an uploaded dataset."""

    file_id: UUID


@dataclass(frozen=True)
class Line:
    """One line of the file: its number from 1, and its fields or why it has none."""

    number: int
    fields: dict[str, Any] | None
    error: str | None = None


def read_lines(data: bytes) -> list[Line]:
    """CSV with a header, or JSON lines; told apart by the first character.

    Raises:
        Invalid: not UTF-8, or empty.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"the file is not UTF-8 (byte {error.start})") from None
    if not text.strip():
        raise Invalid("the file is empty")
    lines = _json_lines(text) if text.lstrip().startswith("{") else _csv_lines(text)
    return list(lines)


def _json_lines(text: str) -> Iterator[Line]:
    # Not `splitlines`, which also cuts where JSON may have a line separator inside a text.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except json.JSONDecodeError as error:
            yield Line(number, None, f"not JSON: {error}")
            continue
        except (ValueError, RecursionError):  # a number of thousands of digits; a deep nest
            yield Line(number, None, "not JSON that can be read: too large or too deep")
            continue
        if isinstance(fields, dict):
            yield Line(number, fields)
        else:
            yield Line(number, None, "not a JSON object")


def _csv_lines(text: str) -> Iterator[Line]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(reader.line_num, None, f"not CSV: {error}")
            return
        if None in row or None in row.values():
            yield Line(reader.line_num, None, "another number of columns than the header")
            continue
        yield Line(reader.line_num, {name: value for name, value in row.items() if value != ""})


async def dataset_key(studio: Studio, owner_id: UUID, file_id: UUID) -> str:
    """Where an uploaded dataset is.

    Raises:
        NotFound: absent or another's. Conflict: not completed. Invalid: no dataset.
    """
    async with studio.database.transaction() as session:
        file = await get_file(session, file_id)
    if file is None or file.owner_id != owner_id:
        raise NotFound("no such file")
    if file.purpose != "dataset":
        raise Invalid("the file's purpose is not dataset")
    if file.status != "ready":
        raise Conflict("the upload is not completed: POST /api/files/{fileId}/complete")
    return file.blob_key


async def check_import(studio: Studio, owner_id: UUID, form: ImportForm) -> None:
    """Raises:
    StudioError: the dataset can't be imported; see `dataset_key` and `read_lines`.
    """
    data = await studio.blobs.get(await dataset_key(studio, owner_id, form.file_id))
    await asyncio.to_thread(read_lines, data)


IMPORT_CATALOG = JobType(
    "import-catalog", role="merchant", form=ImportForm, deadline_s=6 * 3600, check=check_import,
    max_open=50,
)  # fmt: skip


async def enqueue_import(
    studio: Studio, owner_id: UUID, data: bytes, idempotency_key: str | None
) -> Job:
    """A job for a file that came with the request; kept in the blob store until it is imported.

    Raises:
        Invalid: not UTF-8, or empty.
        Conflict: the key was used with another file.
    """
    await asyncio.to_thread(read_lines, data)
    job_id = uuid4()
    kind = "application/x-ndjson" if data.lstrip()[:1] == b"{" else "text/csv"
    key = f"uploads/imports/{job_id}{DATASET_TYPES[kind]}"
    await studio.blobs.put(key, data, kind)
    there: Job | None = None
    try:
        async with studio.database.transaction() as session:
            there = await enqueue(
                session, IMPORT_CATALOG, {"blobKey": key}, owner_id=owner_id, job_id=job_id,
                idempotency_key=idempotency_key, asked=fingerprint(data.hex()),
            )  # fmt: skip
    finally:
        if there is None or there.id != job_id:
            await studio.blobs.delete(key)
    return there


async def import_catalog(studio: Studio, run: JobRun) -> Outcome:
    """Writes every good line under an id of its own, so that doing it again changes nothing.

    Goes on where the last attempt was when it reported. The result counts the lines and names
    the bad ones.

    Raises:
        Unavailable: a part of the studio is down; the lines after the last report are tried again.
        JobStopped: the job is another worker's, or nobody's any more.
    """
    owner = await _owner_of(studio, run)
    key = run.payload.get("blobKey")
    if key is None:
        form = ImportForm.model_validate(run.payload)
        key = await dataset_key(studio, owner.id, form.file_id)
    lines = await asyncio.to_thread(read_lines, await studio.blobs.get(key))
    errors = {one["line"]: one for told in await run.past() for one in told.get("errors", ())}
    reported_s, fresh = time.monotonic(), list[dict[str, Any]]()
    for start in range(run.done, len(lines), AT_ONCE):
        chunk = lines[start : start + AT_ONCE]
        fresh += await _import_chunk(studio, owner, run, chunk)
        done = start + len(chunk)
        if done == len(lines) or time.monotonic() - reported_s > REPORT_S:
            await run.progress(done, len(lines), "lines read", errors=fresh[:MAX_ERRORS])
            errors |= {one["line"]: one for one in fresh}
            reported_s, fresh = time.monotonic(), []
    return Outcome(_result(len(lines), errors))


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
    product_id = (line.fields or {}).get("id")
    try:
        if line.fields is None:
            raise Invalid(line.error or "unreadable")
        product_id, draft = read_line(line.fields)
        own_id = product_id or str(uuid5(run.job_id, str(line.number)))
        await put_product(studio, owner, own_id, draft, guard=run.guard)
    except (Unavailable, DeadlinePassed):  # ours, not the line's
        raise
    except StudioError as error:
        return {"line": line.number, "id": product_id, "detail": error.detail}
    return None


def _result(total: int, errors: dict[int, dict[str, Any]]) -> dict[str, Any]:
    return {
        "total": total,
        "imported": total - len(errors),
        "failed": len(errors),
        "errors": [errors[number] for number in sorted(errors)][:MAX_ERRORS],
    }
