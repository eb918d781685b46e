"""The studio of the re-index benchmark: filled with drawn products, driven job by job."""

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import psutil
import yaml
from sqlalchemy import func
from sqlmodel import select

from db.engine import Database
from db.jobs import get_job
from db.tables import Job, JobEvent, Product
from db.users import get_user_by_email
from deployments.launch import STARTER_CONFIG
from embedded.cluster import log_folder
from embedded.demo import SIDE_PX, _insert
from embedded.folder import DataFolder
from integrations.blob_local import LocalBlobStore
from settings import PROJECT_ROOT
from studio.job_types import enqueue
from studio.jobs import follow_job
from studio.rebuild import REBUILD_INDEX
from tests.embedded.running import RunningStudio, environment
from training.catalogue import DemoProduct, demo_products
from training.draw import draw_garment

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
    """On all cores; what is there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(draw, products, [folder] * len(products), chunksize=50))


def config_of(from_pictures: int) -> Path:
    """The starter's capacity with another choice between the two ways."""
    config = yaml.safe_load(STARTER_CONFIG.read_text())
    config["applications"][0]["args"]["dispatcher"]["reindex"]["from_pictures"] = from_pictures
    path = Path(tempfile.gettempdir()) / f"studio-bench-{os.getpid()}-{from_pictures}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


class Bench:
    """A running studio, its database and its blobs."""

    def __init__(self, studio: RunningStudio, pictures: Path, products: int) -> None:
        self.studio = studio
        self.products = products
        self._pictures = pictures
        self._facts: dict[str, Any] = DataFolder(studio.data_dir).running() or {}
        self.database = Database(self._facts["database_url"], pool_size=3)
        folder = Path(self._facts["blob_url"].removeprefix("file://"))
        blobs = LocalBlobStore(folder, "http://127.0.0.1", ["x" * 40])
        self._only_blobs = cast(Any, SimpleNamespace(blobs=blobs))

    async def insert(self, start: int, end: int) -> None:
        """Products without vectors, as an import would leave them if the embedder were new."""
        products = demo_products(end)[start:end]
        async with self.database.transaction() as session:
            merchant = await get_user_by_email(session, "merchant@demo.studio")
        assert merchant is not None
        for place in range(0, len(products), 100):
            async with self.database.transaction() as session:
                for one in products[place : place + 100]:
                    data = (self._pictures / f"{one.id}.jpg").read_bytes()
                    await _insert(self._only_blobs, session, merchant.id, one, data)

    def deploy(self, config: Path) -> None:
        """Changes the running studio's numbers."""
        command = [sys.executable, "-m", "benchmarks.reindex", "deploy", str(config)]
        variables = {
            f"STUDIO_{name.upper()}": str(self._facts[name])
            for name in ("database_url", "redis_url", "blob_url")
        } | {"RAY_ADDRESS": self._facts["ray_address"]}
        subprocess.run(
            command, cwd=PROJECT_ROOT, check=True,
            env=environment(self.studio.data_dir, **self.studio.variables, **variables),
        )  # fmt: skip

    async def submit(self) -> UUID:
        """Every picture again."""
        async with self.database.transaction() as session:
            return (await enqueue(session, REBUILD_INDEX, {"full": True}, owner_id=None)).id

    async def follow(self, job_id: UUID) -> AsyncIterator[JobEvent]:
        """Its changes as they come."""
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
        """Everything below `studio up`."""
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
        """Gives the connections back."""
        await self.database.aclose()
