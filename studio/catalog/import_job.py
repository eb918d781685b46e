"""Runs the job `import-catalog`: imports products from a file, and reports each bad line."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid5

from db.users import get_user
from errors import DeadlinePassed, Invalid, StudioError, Unavailable
from studio.catalog.catalog import Owner, patch_product, put_product
from studio.catalog.form import read_line, read_patch
from studio.catalog.formats.records import Record
from studio.catalog.formats.source import ImportSource, open_source
from studio.catalog.imports import BodyImport, ImportForm, ImportOptions
from studio.catalog.replacement import remove_unnamed
from studio.files.datasets import dataset_key
from studio.forms import MAX_PRODUCT_ID_CHARS, UNSTORABLE
from studio.job_types import JobRun, Outcome, read_payload
from studio.ports import BlobStore, Studio

MAX_ERRORS, MAX_ID_CHARS, MAX_DETAIL_CHARS = 1000, MAX_PRODUCT_ID_CHARS, 1000
AT_ONCE = 8
REPORT_S = 0.5


@dataclass
class LineReports:
    """What became of the lines in all attempts.

    Attributes:
        failed, skipped: numbers of lines that are not valid, and of those left out with a reason.
        ignored: columns whose values have no place in the catalogue.
        reports: the reports of bad and skipped lines, the first thousand by line number.
    """

    failed: int = 0
    skipped: int = 0
    ignored: set[str] = field(default_factory=set)
    reports: dict[int, dict[str, Any]] = field(default_factory=dict)
    unsent: list[dict[str, Any]] = field(default_factory=list)

    def add(self, reports: Sequence[dict[str, Any]]) -> None:
        """Adds reports of lines, except those that an earlier attempt has sent."""
        new = [report for report in reports if report["line"] not in self.reports]
        self.failed += sum("reason" not in report for report in new)
        self.skipped += sum("reason" in report for report in new)
        new = new[: MAX_ERRORS - len(self.reports)]
        self.reports |= {report["line"]: report for report in new}
        self.unsent += new

    def take_unsent(self) -> list[dict[str, Any]]:
        """The reports since the last call."""
        unsent, self.unsent = self.unsent, []
        return unsent

    def to_result(self, total: int) -> dict[str, Any]:
        """The job's result."""
        ordered = [self.reports[number] for number in sorted(self.reports)]
        return {
            "total": total,
            "imported": total - self.failed - self.skipped,
            "failed": self.failed,
            "skipped": self.skipped,
            "errors": [report for report in ordered if "reason" not in report],
            "leftOut": [report for report in ordered if "reason" in report],
            "ignoredColumns": sorted(self.ignored),
        }


async def import_catalog(studio: Studio, run: JobRun) -> Outcome:
    """Imports every good line under a fixed id, so that importing it again changes nothing.

    Continues from the last report of an earlier attempt. The result counts the lines and lists the
    bad ones. The file is on the disk and is read line by line, so memory does not grow with it.

    The job has failed if no line landed, or what the file does not name must not be removed; its
    result says which lines landed.

    Raises:
        Invalid: the file can't be imported; see `ImportSource.read`.
        Unavailable: a part of the studio is down; another attempt continues from the last report.
        JobStopped: the job was cancelled, or another worker has it.
    """
    owner = await _owner_of(studio, run)
    options: ImportOptions
    if "blobKey" in run.payload:
        options = body = read_payload(BodyImport, run.payload)
        key = body.blob_key
    else:
        options = form = read_payload(ImportForm, run.payload)
        key = await dataset_key(studio, owner.id, form.file_id)
    async with _opened(studio, key, options) as source:
        return await Importer(studio, owner, run, options, source).run_all()


@asynccontextmanager
async def _opened(studio: Studio, key: str, options: ImportOptions) -> AsyncIterator[ImportSource]:
    with tempfile.TemporaryDirectory(prefix="import-") as name:
        folder = Path(name)
        path = folder / "lines"
        await studio.blobs.get_file(key, path)
        opening = open_source(path, folder, options.format, options.currency)
        source = await asyncio.to_thread(opening.__enter__)
        try:
            yield source
        finally:
            opening.__exit__(None, None, None)


class Importer:
    """One attempt of an import."""

    def __init__(
        self,
        studio: Studio,
        owner: Owner,
        run: JobRun,
        options: ImportOptions,
        source: ImportSource,
    ) -> None:
        self._studio = studio
        self._owner = owner
        self._run = run
        self._options = options
        self._source = source

    async def run_all(self) -> Outcome:
        """Imports the lines that are left; raises `import_catalog`'s errors."""
        lines = await _reports_before(self._run)
        total = await asyncio.to_thread(self._source.count)
        await self._import_lines(lines, total)
        result = lines.to_result(total)
        if not result["imported"]:
            return Outcome(result, error=_describe_failure(result))
        if self._options.mode != "replace":
            return Outcome(result)
        ids = await asyncio.to_thread(self._named_ids)
        try:
            removed = await remove_unnamed(
                self._studio, self._owner, ids, force=self._options.force
            )
        except Invalid as error:
            return Outcome(result, error=error.detail)
        return Outcome(result | {"removed": removed})

    async def _import_lines(self, lines: LineReports, total: int) -> None:
        run, done = self._run, self._run.done
        records = self._source.read(skip=done)
        reported_s = time.monotonic()
        while chunk := await asyncio.to_thread(_take, records):
            lines.add(await self._import_chunk(chunk))
            for record in chunk:
                lines.ignored |= record.ignored
            done += len(chunk)
            if done == total or time.monotonic() - reported_s > REPORT_S:
                errors = lines.take_unsent()
                counts = {"failed": lines.failed, "skipped": lines.skipped}
                ignored = sorted(lines.ignored)
                await run.progress(
                    done, total, "lines read", errors=errors, ignored=ignored, **counts
                )
                reported_s = time.monotonic()

    async def _import_chunk(self, chunk: list[Record]) -> list[dict[str, Any]]:
        """Imports lines concurrently. Returns reports; raises only after all lines have ended."""
        results = await asyncio.gather(
            *(self._import_record(record) for record in chunk), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, dict)]

    async def _import_record(self, record: Record) -> dict[str, Any] | None:
        """Imports one record. Returns a report of it, or None if it was imported."""
        if record.reason is not None:
            return _report(record, record.reason) | {"reason": "left out"}
        try:
            if record.fields is None:
                raise Invalid(record.error or "unreadable")
            await self._write(record, record.fields)
        except (Unavailable, DeadlinePassed):  # a failure of the studio, not of the line
            raise
        except StudioError as error:
            return _report(record, error.detail)
        return None

    async def _write(self, record: Record, fields: dict[str, Any]) -> None:
        guard = self._run.guard
        if self._options.mode == "patch":
            product_id, patch = read_patch(fields)
            await patch_product(self._studio, self._owner, product_id, patch, guard=guard)
        else:
            form = read_line(fields)
            product_id = form.id or self._id_without_name(record)
            await put_product(self._studio, self._owner, product_id, form, guard=guard)

    def _id_without_name(self, record: Record) -> str:
        return str(uuid5(self._run.job_id, str(record.number)))

    def _named_ids(self) -> set[str] | None:
        """The ids of all records, also of bad ones; None if the id of a bad record is unknown."""
        ids = set()
        for record in self._source.read():
            if record.reason is not None:
                continue
            if record.product_id is None and record.fields is None:
                return None
            ids.add(record.product_id or self._id_without_name(record))
        return ids


def _take(records: Iterator[Record]) -> list[Record]:
    """Parses the next records. Runs in a thread, since a long line takes milliseconds."""
    return list(islice(records, AT_ONCE))


async def _reports_before(run: JobRun) -> LineReports:
    """The reports of earlier attempts, up to the one that this attempt continues from."""
    lines = LineReports()
    if run.done:
        for progress in await run.past():
            for report in progress.get("errors", ()):
                if len(lines.reports) < MAX_ERRORS:
                    lines.reports[report["line"]] = report
            lines.failed = progress.get("failed", 0)
            lines.skipped = progress.get("skipped", 0)
            lines.ignored |= set(progress.get("ignored", ()))
        lines.failed = max(lines.failed, sum("reason" not in r for r in lines.reports.values()))
    return lines


def _describe_failure(result: dict[str, Any]) -> str:
    """Why an import of which no line landed has failed, by its first error."""
    if not result["total"]:
        return "no product was imported: the file has no lines below its header"
    first = (result["errors"] or result["leftOut"])[0]
    count, line, detail = result["total"], first["line"], first["detail"]
    return f"no product was imported of {count:,}; line {line}: {detail}"


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


def _report(record: Record, detail: str) -> dict[str, Any]:
    product_id = record.product_id and UNSTORABLE.sub("?", record.product_id[:MAX_ID_CHARS])
    detail = UNSTORABLE.sub("?", detail[:MAX_DETAIL_CHARS])
    return {"line": record.number, "id": product_id, "detail": detail}
