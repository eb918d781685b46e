"""The studio of the re-index benchmark: filled with drawn products, driven job by job.

python -m benchmarks.index.reindex_studio FROM_PICTURES
"""

import asyncio
import hashlib
import io
import os
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psutil
import yaml
from sqlalchemy import func
from sqlmodel import select

from db.catalog import take_change_seq
from db.engine import Database
from db.jobs import get_job
from db.tables import Job, JobEvent, Product
from db.users import get_user_by_email
from drawing.demo_shop import DemoProduct, demo_products
from drawing.draw import draw_garment
from integrations.blobs.local import LocalBlobStore
from local.cluster import log_folder
from local.demo import SIDE_PX
from local.folder import DataFolder
from local.running import RunningStudio, free_port
from settings import load_settings
from studio.index.rebuild import REBUILD_INDEX
from studio.job_types import enqueue
from studio.jobs.jobs import follow_job

DEMO = 64
"""Products that the studio itself draws at its start."""


def draw(one: DemoProduct, folder: Path) -> None:
    """Keeps the product's picture as the demo would draw it."""
    path = folder / f"{one.id}.jpg"
    if not path.exists():
        buffer = io.BytesIO()
        draw_garment(one.garment, size=SIDE_PX).save(buffer, "JPEG", quality=88)
        path.write_bytes(buffer.getvalue())


def draw_all(products: list[DemoProduct], folder: Path) -> None:
    """Draws the missing pictures on all cores."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [one for one in products if not (folder / f"{one.id}.jpg").exists()]
    if missing:
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(draw, missing, [folder] * len(missing), chunksize=50))


def start_studio(folder: Path, from_pictures: int) -> RunningStudio:
    """The studio with another `from_pictures`, in a process of its own."""
    return RunningStudio(
        folder / "data",
        command=[sys.executable, "-m", "benchmarks.index.reindex_studio", str(from_pictures)],
        port=free_port(),
        STUDIO_DEMO_PRODUCTS=str(DEMO),
        STUDIO_LIMIT_SEARCH="10000000",
    )


def run_studio(from_pictures: int) -> int:
    """`studio up` with the starter's capacity but for `from_pictures`, until it is stopped."""
    from cli.machine import application_parts
    from local.up import up

    settings = load_settings()
    parts = replace(
        application_parts(settings), load_application=lambda: application_with(from_pictures)
    )
    return up(settings, parts)


def application_with(from_pictures: int) -> Any:
    """`deployments.serve.deploy` with this `from_pictures`, imported only when it starts."""
    from deployments.serve import connections, deploy

    config = yaml.safe_load(connections.STARTER_CONFIG.read_text())
    config["applications"][0]["args"]["dispatcher"]["reindex"]["from_pictures"] = from_pictures
    path = Path(os.environ["STUDIO_DATA_DIR"]) / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    return SimpleNamespace(start=partial(deploy.start, config=path), stop=deploy.stop)


class Bench:
    """A running studio, its database and its blobs."""

    def __init__(self, studio: RunningStudio, pictures: Path) -> None:
        self.studio = studio
        self._pictures = pictures
        facts: dict[str, Any] = DataFolder(studio.data_dir).running() or {}
        self.database = Database(facts["database_url"], pool_size=3)
        folder = Path(facts["blob_url"].removeprefix("file://"))
        self._blobs = LocalBlobStore(folder, "http://127.0.0.1", ["x" * 40])

    async def insert(self, start: int, end: int) -> None:
        """Products without vectors, as an import would leave them if the embedder were new."""
        products = demo_products(end)[start:end]
        async with self.database.transaction() as session:
            merchant = await get_user_by_email(session, "merchant@demo.studio")
        assert merchant is not None
        for place in range(0, len(products), 100):
            rows = await asyncio.gather(
                *(self._row(one, merchant.id) for one in products[place : place + 100])
            )
            async with self.database.transaction() as session:
                for row in rows:
                    row.change_seq = await take_change_seq(session)
                session.add_all(rows)

    async def _row(self, one: DemoProduct, owner_id: UUID) -> Product:
        data = (self._pictures / f"{one.id}.jpg").read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"products/{one.id}/{sha256[:32]}.jpg"
        await self._blobs.put(key, data, "image/jpeg")
        return Product(
            id=one.id, owner_id=owner_id, title=one.title, description=one.title,
            category=one.garment.category, brand=one.brand, price=one.price, currency="EUR",
            in_stock=one.in_stock, attributes={}, image_key=key, image_sha256=sha256,
            change_seq=0,
        )  # fmt: skip

    async def submit(self) -> UUID:
        """Every picture again."""
        async with self.database.transaction() as session:
            return (await enqueue(session, REBUILD_INDEX, {"full": True}, owner_id=None)).id

    async def follow(self, job_id: UUID) -> AsyncIterator[JobEvent]:
        """Yields the job's changes."""
        async for event in follow_job(self.database, job_id):
            if event is not None:
                yield event

    async def row(self, job_id: UUID) -> Job:
        """The job as it is now."""
        async with self.database.read() as session:
            job = await get_job(session, job_id)
        assert job is not None
        return job

    async def count(self) -> int:
        """Products in the catalogue."""
        async with self.database.read() as session:
            return (await session.exec(select(func.count()).select_from(Product))).one()

    def processes(self) -> list[psutil.Process]:
        """All processes of the studio."""
        return psutil.Process(self.studio.pid).children(recursive=True)

    async def kill_worker(self, job_id: UUID) -> None:
        """SIGKILL for the process that runs the job."""
        holder = str((await self.row(job_id)).leased_by)
        psutil.Process(int(holder.rsplit(":", 1)[1])).kill()

    def embedded(self) -> int:
        """Pictures that any model of a re-index has embedded so far, by the workers' logs."""
        total = 0
        for path in log_folder(self.studio.data_dir).glob("worker-*.err"):
            for line in path.read_text(errors="replace").splitlines():
                if '"pictures.embedded"' in line:
                    total += int(line.split('"count": ')[1].split(",")[0].rstrip("}"))
        return total

    async def aclose(self) -> None:
        """Closes the connections."""
        await self.database.aclose()


if __name__ == "__main__":
    raise SystemExit(run_studio(int(sys.argv[1])))
