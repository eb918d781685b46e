"""Catalogue import: CSV or JSON lines to products, every bad line told apart from the good ones."""

import asyncio
import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import structlog

from db.files import get_file
from db.jobs import finish_job, insert_job, set_progress, start_job
from db.tables import Job
from errors import Conflict, Invalid, NotFound, StudioError
from studio.catalog import Owner, ProductDraft, put_product
from studio.context import current_request_id
from studio.idempotency import fingerprint
from studio.ports import Studio

TYPE = "import-catalog"
MAX_ERRORS = 1000
AT_ONCE = 8

log = structlog.get_logger("studio.catalog_import")

ReadDraft = Callable[[dict[str, Any]], tuple[str | None, ProductDraft]]
"""A line's fields (camelCase) -> id or None, and the draft; raises Invalid with what is wrong."""


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
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            yield Line(number, None, f"not JSON: {error}")
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


async def import_dataset(studio: Studio, owner: Owner, file_id: UUID) -> bytes:
    """The content of an uploaded dataset.

    Raises:
        NotFound: absent or another's. Conflict: not completed. Invalid: no dataset.
    """
    async with studio.database.transaction() as session:
        file = await get_file(session, file_id)
    if file is None or file.owner_id != owner.id:
        raise NotFound("no such file")
    if file.purpose != "dataset":
        raise Invalid("the file's purpose is not dataset")
    if file.status != "ready":
        raise Conflict("the upload is not completed: POST /api/files/{fileId}/complete")
    return await studio.blobs.get(file.blob_key)


async def enqueue_import(
    studio: Studio, owner: Owner, data: bytes, idempotency_key: str | None
) -> tuple[Job, bool]:
    """A job row, and whether it is new.

    Raises:
        Conflict: the key was used with another file.
    """
    digest = fingerprint(data.hex())
    async with studio.database.transaction() as session:
        job = Job(
            type=TYPE,
            owner_id=owner.id,
            idempotency_key=idempotency_key,
            fingerprint=digest,
            request_id=current_request_id(),
            max_attempts=1,
        )
        there = await insert_job(session, job)
    if there.fingerprint != digest:
        raise Conflict("this Idempotency-Key was used with another file")
    return there, there.id == job.id


async def run_import(
    studio: Studio, owner: Owner, job_id: UUID, lines: list[Line], read: ReadDraft
) -> None:
    """Writes every good line; the job's result counts them and names the bad ones."""
    async with studio.database.transaction() as session:
        await start_job(session, job_id)
    errors: list[dict[str, Any]] = []
    try:
        for start in range(0, len(lines), AT_ONCE):
            chunk = lines[start : start + AT_ONCE]
            told = await asyncio.gather(
                *(_import_line(studio, owner, line, read) for line in chunk)
            )
            errors.extend(error for error in told if error is not None)
            await _report(studio, job_id, start + len(chunk), len(lines))
    except Exception:
        log.exception("import.failed", job_id=str(job_id))
        await _finish(studio, job_id, "failed", len(lines), errors, "the import broke off")
        raise
    await _finish(studio, job_id, "succeeded", len(lines), errors, None)


async def _import_line(
    studio: Studio, owner: Owner, line: Line, read: ReadDraft
) -> dict[str, Any] | None:
    """None where the line landed, else its number and what is wrong with it."""
    product_id = (line.fields or {}).get("id")
    try:
        if line.fields is None:
            raise Invalid(line.error or "unreadable")
        product_id, draft = read(line.fields)
        await put_product(studio, owner, product_id or str(uuid4()), draft)
    except StudioError as error:
        return {"line": line.number, "id": product_id, "detail": error.detail}
    return None


async def _report(studio: Studio, job_id: UUID, done: int, total: int) -> None:
    async with studio.database.transaction() as session:
        await set_progress(session, job_id, done=done, total=total, message="lines read")


async def _finish(
    studio: Studio,
    job_id: UUID,
    state: str,
    total: int,
    errors: list[dict[str, Any]],
    reason: str | None,
) -> None:
    result = {
        "total": total,
        "imported": total - len(errors),
        "failed": len(errors),
        "errors": errors[:MAX_ERRORS],
    }
    async with studio.database.transaction() as session:
        await finish_job(session, job_id, state=state, result=result, error=reason)
