"""The job `train-regressor`: sales to a version that goes live only if it beats the running one."""

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
from models.sales.files import Files, read_starter, rounded, write_regressor
from models.sales.fit import LEAST_PRODUCTS, Parts, fit_regressor, split
from models.sales.measures import category_means
from models.sales.plots import plot_actual, plot_calibration
from models.sales.regressor import Regressor, RegressorConfig
from models.sales.report import report_on
from models.sales.sales import Sales
from studio.catalog.imports import dataset_key
from studio.forms import Form, in_camel_case
from studio.job_types import JobRun, JobType, Outcome, read_payload
from studio.ports import Studio
from studio.sales.csv_file import LineErrors, read_sales
from studio.sales.lines import blame_lines, see_products, to_sales
from studio.sales.store import fetch_regressor, store_regressor
from studio.sales.versions import put_in_service, trained

TELL_S = 0.5
CONFIG = RegressorConfig()


class TrainForm(Form):
    """A sales CSV, uploaded as a dataset."""

    file_id: UUID


async def check_training(studio: Studio, owner_id: UUID, form: TrainForm) -> None:
    """Raises:
    StudioError: there is no such dataset; see `csv_key`.
    """
    await csv_key(studio, owner_id, form.file_id)


TRAIN_REGRESSOR = JobType(
    "train-regressor", role="merchant", form=TrainForm, deadline_s=6 * 3600, check=check_training,
    max_open=10,
)  # fmt: skip


async def csv_key(studio: Studio, owner_id: UUID, file_id: UUID) -> str:
    """Where an uploaded sales CSV is.

    Raises:
        Invalid: a dataset of another kind. NotFound, Conflict: see `dataset_key`.
    """
    key = await dataset_key(studio, owner_id, file_id)
    if not key.endswith(".csv"):
        raise Invalid("sales are read from CSV files")
    return key


async def train_regressor(studio: Studio, run: JobRun) -> Outcome:
    """Reads, fits, compares, stores; row and activation are written with the job's own end.

    Whatever fails before that leaves nothing but blobs under the job's own name, which a later
    attempt replaces.

    Raises:
        Invalid: lines can't be used (the first are named here, up to a thousand in the job's
            events), or there are too few products.
        Unavailable: a part of the studio is down, or another version went live meanwhile.
    """
    if run.owner_id is None:
        raise Invalid("sales belong to a merchant")
    owner_id, form = run.owner_id, read_payload(TrainForm, run.payload)
    sales = await _read(studio, run, owner_id, await csv_key(studio, owner_id, form.file_id))
    version = f"regressor-{run.job_id.hex[:12]}"
    embedder_version = await studio.embedder.version()
    champion = await _champion(studio, owner_id, embedder_version)
    prompts = await studio.embedder.embed_texts(PROMPTS)
    lexicon = Lexicon(np.stack([embedding.vector for embedding in prompts]))
    fitting = Fitting(version, embedder_version, sales, lexicon, champion.regressor)
    fitted = await _fit(run, fitting)
    manifest = await store_regressor(studio.blobs, version, fitted.files)
    for name, plot in fitted.plots.items():
        await studio.blobs.put(f"regressors/{version}/{name}.png", plot, "image/png")
    metrics = in_camel_case(fitted.metrics)

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
        if fitted.is_better:
            await put_in_service(session, owner_id, version)

    return Outcome({"version": version, "live": fitted.is_better, "metrics": metrics}, record)


async def _read(studio: Studio, run: JobRun, owner_id: UUID, key: str) -> Sales:
    with tempfile.TemporaryDirectory(prefix="sales-") as folder:
        path = Path(folder) / "sales.csv"
        await studio.blobs.get_file(key, path)
        await run.progress(0, 0, "reading lines")
        table = await asyncio.to_thread(read_sales, path, needs_date=True)
    await _refuse(run, table.errors, table.total)
    names = list(table.names)
    await run.progress(len(table), len(table), "lines read")
    seen, failed = await see_products(studio, owner_id, names, run.progress)
    if failed:
        await _refuse(run, blame_lines(table, failed), len(table))
    sales = await asyncio.to_thread(to_sales, table, seen)
    products = len(np.unique(sales.key))
    if products < LEAST_PRODUCTS:
        raise Invalid(f"{products} different products were sold; at least {LEAST_PRODUCTS} teach")
    return sales


async def _refuse(run: JobRun, bad: LineErrors, total: int) -> None:
    if bad.count:
        await run.progress(0, total, f"{bad.count:,} bad lines", errors=bad.kept)
        bad.refuse(total)


@dataclass(frozen=True)
class Champion:
    """What answers the merchant now: a version of their own, else the starter where it fits."""

    version: str | None
    regressor: Regressor | None


async def _champion(studio: Studio, owner_id: UUID, embedder_version: str) -> Champion:
    """One that can't be read, or that was made for another embedder, defends nothing."""
    async with studio.database.transaction() as session:
        row = await get_active_regressor(session, owner_id)
    model, found = trained(row), None
    if model is not None:
        with suppress(StudioError):
            found = await fetch_regressor(studio.blobs, model, CONFIG, None)
    else:
        found = await asyncio.to_thread(read_starter, CONFIG)
    if found is not None and found.embedder_version != embedder_version:
        found = None
    return Champion(row.version if row else None, found)


@dataclass(frozen=True)
class Fitting:
    """What the fit itself needs; all of it runs in one thread."""

    version: str
    embedder_version: str
    sales: Sales
    lexicon: Lexicon
    champion: Regressor | None

    def run(self, tell: Any) -> "Fitted":
        """Fits on one part, calibrates on another, and is judged on the third."""
        parts = split(self.sales)
        fitted = fit_regressor(
            self.version, self.embedder_version, parts, self.lexicon, CONFIG, tell
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
        return Fitted(write_regressor(regressor), plots, metrics, report.log_error < rival)

    def _rival_error(self, parts: Parts) -> float:
        """The running version's mean absolute error of ln(1 + units) on the same held-out lines.

        No version of the merchant was fitted on them (see `split`). Where none runs, the category's
        mean has to be beaten.
        """
        if self.champion is not None:
            told = self.champion.predict(parts.test.offers, parts.test.key).middle
        else:
            told = category_means(parts.fit, parts.test)
        return float(np.abs(parts.test.log_units - told).mean())


@dataclass(frozen=True)
class Fitted:
    """A fitted version's files, the plots of its test, its figures, and whether it goes live."""

    files: Files
    plots: dict[str, bytes]
    metrics: dict[str, Any]
    is_better: bool


async def _fit(run: JobRun, fitting: Fitting) -> Fitted:
    """In a thread, which ends at its next round when the job is to end."""
    stop, at = threading.Event(), [0, 0]

    def tell(done: int, total: int) -> None:
        at[:] = done, total
        if stop.is_set():
            raise RuntimeError("the job has ended")

    work = asyncio.create_task(asyncio.to_thread(fitting.run, tell))
    try:
        while not (await asyncio.wait({work}, timeout=TELL_S))[0]:
            await run.progress(at[0], at[1], "rounds of trees")
    finally:
        stop.set()
        work.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return work.result()
