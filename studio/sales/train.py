"""The job `train-regressor`: trains a version, which goes live only if it beats the active one."""

import asyncio
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from sqlmodel.ext.asyncio.session import AsyncSession

from db.regressor_versions import get_active_regressor, lock_regressors
from db.tables import RegressorVersion
from errors import Invalid, StudioError, Unavailable
from models.embedder.lexicon import PROMPTS, Lexicon
from models.progress import Progress
from models.sales.columns import Sales
from models.sales.evaluation.measures import category_means
from models.sales.evaluation.plots import plot_actual, plot_calibration
from models.sales.evaluation.report import report_on
from models.sales.files import Files, read_starter, rounded, write_regressor
from models.sales.fit import LEAST_PRODUCTS, ROUNDS_MESSAGE, Parts, fit_regressor, split
from models.sales.regressor import Regressor, RegressorConfig
from studio.files.datasets import csv_key
from studio.forms import Form, in_camel_case
from studio.job_types import JobRun, JobType, Outcome, read_payload
from studio.ports import Studio
from studio.sales.csv_file import RowErrors, read_sales
from studio.sales.products import errors_by_row, look_up_products, to_sales
from studio.sales.store import fetch_regressor, store_regressor
from studio.sales.versions import put_in_service, trained_version

PROGRESS_S = 0.5
CONFIG = RegressorConfig(device="cpu")
"""A job has no grant of a GPU, and Ray does not hide a node's GPUs from it."""


class TrainForm(Form):
    """A sales CSV, uploaded as a dataset."""

    file_id: UUID


async def check_training(studio: Studio, owner_id: UUID, form: TrainForm) -> None:
    """Checks the dataset that the form names, when the job is submitted.

    Raises:
        StudioError: the dataset can't be used; see `csv_key`.
    """
    await csv_key(studio, owner_id, form.file_id)


TRAIN_REGRESSOR = JobType(
    "train-regressor", role="merchant", form=TrainForm, deadline_s=6 * 3600, check=check_training,
    max_open=10,
)  # fmt: skip


async def train_regressor(studio: Studio, run: JobRun) -> Outcome:
    """Reads the sales, fits a version, compares it with the active one, and stores it.

    The version's row and its activation are written in the transaction that finishes the job. An
    earlier failure leaves only blobs under the job's own name, which the next attempt replaces.

    Raises:
        Invalid: rows are invalid, or there are too few products. The message names the first
            invalid rows, and the job's events name up to a thousand.
        Unavailable: a part of the studio is down, or another version went live meanwhile.
    """
    if run.owner_id is None:
        raise Invalid("a training needs an owner")
    owner_id, form = run.owner_id, read_payload(TrainForm, run.payload)
    sales = await _read(studio, run, owner_id, await csv_key(studio, owner_id, form.file_id))
    version = f"regressor-{run.job_id.hex[:12]}"
    embedder_version = await studio.embedder.version()
    champion = await _champion(studio, owner_id, embedder_version)
    lexicon = await _read_lexicon(studio)
    fitting = Fitting(version, embedder_version, sales, lexicon, champion.regressor)
    result = await _fit(run, fitting)
    manifest = await store_regressor(studio.blobs, version, result.files)
    for name, plot in result.plots.items():
        await studio.blobs.put(f"regressors/{version}/{name}.png", plot, "image/png")
    metrics = in_camel_case(result.metrics)

    async def record(session: AsyncSession) -> None:
        await lock_regressors(session, owner_id)
        active = await get_active_regressor(session, owner_id)
        if (active.version if active else None) != champion.version:
            raise Unavailable("another version went live meanwhile; this one is compared again")
        session.add(
            RegressorVersion(
                version=version, owner_id=owner_id, embedder_version=embedder_version,
                status="ready", manifest=manifest, metrics=metrics,
            )
        )  # fmt: skip
        await session.flush()
        if result.is_better:
            await put_in_service(session, owner_id, version)

    return Outcome({"version": version, "live": result.is_better, "metrics": metrics}, record)


async def _read(studio: Studio, run: JobRun, owner_id: UUID, key: str) -> Sales:
    with tempfile.TemporaryDirectory(prefix="sales-") as folder:
        path = Path(folder) / "sales.csv"
        await studio.blobs.get_file(key, path)
        await run.progress(0, 0, "reading lines")
        table = await asyncio.to_thread(read_sales, path, needs_date=True)
    await _refuse(run, table.errors, table.total)
    names = list(table.names)
    await run.progress(len(table), len(table), "lines read")
    products, errors = await look_up_products(studio, owner_id, names, run.progress)
    if errors:
        await _refuse(run, errors_by_row(table, errors), len(table))
    sales = await asyncio.to_thread(to_sales, table, products)
    count = len(np.unique(sales.key))
    if count < LEAST_PRODUCTS:
        raise Invalid(
            f"the file has sales of {count} products; a training needs at least {LEAST_PRODUCTS}"
        )
    return sales


async def _refuse(run: JobRun, errors: RowErrors, total: int) -> None:
    if errors.count:
        await run.progress(0, total, f"{errors.count:,} bad lines", errors=errors.first)
        errors.refuse(total)


async def _read_lexicon(studio: Studio) -> Lexicon:
    prompts = await studio.embedder.embed_texts(PROMPTS)
    return Lexicon(np.stack([embedding.vector for embedding in prompts]))


@dataclass(frozen=True)
class Champion:
    """The active version that a new one must beat: the merchant's own, or the starter."""

    version: str | None
    regressor: Regressor | None


async def _champion(studio: Studio, owner_id: UUID, embedder_version: str) -> Champion:
    """The active version. Its regressor is None if it is damaged or for another embedder."""
    async with studio.database.transaction() as session:
        row = await get_active_regressor(session, owner_id)
    model, regressor = trained_version(row), None
    if model is not None:
        with suppress(StudioError):
            regressor = await fetch_regressor(studio.blobs, model, CONFIG, None)
    else:
        regressor = await asyncio.to_thread(read_starter, CONFIG)
    if regressor is not None and regressor.embedder_version != embedder_version:
        regressor = None
    return Champion(row.version if row else None, regressor)


@dataclass(frozen=True)
class Fitting:
    """The inputs of a fit, which runs in one thread."""

    version: str
    embedder_version: str
    sales: Sales
    lexicon: Lexicon
    champion: Regressor | None

    def run(self, progress: Progress) -> "FitResult":
        """Fits on one part of the sales, calibrates on another, and evaluates on the third."""
        parts = split(self.sales)
        fitted = fit_regressor(
            self.version, self.embedder_version, parts, self.lexicon, CONFIG, progress
        )
        regressor = rounded(fitted, CONFIG)
        report = report_on(regressor, parts.test, parts.fit)
        rival = self._rival_error(parts)
        metrics = report.figures() | {
            "rows": len(self.sales),
            "products": len(np.unique(self.sales.key)),
            "champion": self.champion.version if self.champion else "categoryMean",
            "champion_error": round(rival, 4),
        }
        plots = {"calibration": plot_calibration(report), "predicted": plot_actual(report)}
        return FitResult(write_regressor(regressor), plots, metrics, report.log_error < rival)

    def _rival_error(self, parts: Parts) -> float:
        """The active version's mean absolute error of ln(1 + units) on the same test rows.

        No version of the merchant was fitted on these rows (see `split`). If the champion has no
        regressor, the result is the error of the category's mean.
        """
        if self.champion is not None:
            predicted = self.champion.predict(parts.test.offers, parts.test.key).middle
        else:
            predicted = category_means(parts.fit, parts.test)
        return float(np.abs(parts.test.log_units - predicted).mean())


@dataclass(frozen=True)
class FitResult:
    """A fitted version's files, plots and figures, and whether it beats the active version."""

    files: Files
    plots: dict[str, bytes]
    metrics: dict[str, Any]
    is_better: bool


async def _fit(run: JobRun, fitting: Fitting) -> FitResult:
    """Fits in a thread, which stops at its next round when this task ends."""
    stop, latest = threading.Event(), [(0, 0, ROUNDS_MESSAGE)]

    def progress(done: int, total: int, message: str) -> None:
        latest[0] = done, total, message
        if stop.is_set():
            raise RuntimeError("the job has ended")

    work = asyncio.create_task(asyncio.to_thread(fitting.run, progress))
    try:
        while not (await asyncio.wait({work}, timeout=PROGRESS_S))[0]:
            await run.progress(*latest[0])
    finally:
        stop.set()
        work.add_done_callback(lambda task: task.cancelled() or task.exception())
    return work.result()
