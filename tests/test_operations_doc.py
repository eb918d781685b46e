"""Every command of docs/operations.md works as it stands, on a small studio and a small hub."""

import asyncio
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.tables import Erasure
from local.running import studio as run_studio
from models.checkpoints.weights import STARTER_FOLDER
from settings import PROJECT_ROOT
from tests.support.backups import fill, scalar
from tests.support.fakes import SECRET, make_settings
from tests.support.hub import Hub
from tests.support.live import open_live_studio

DOC = (PROJECT_ROOT / "docs" / "operations.md").read_text()


def commands(section: str) -> list[list[str]]:
    """The indented lines of a section that start with `studio`."""
    text = DOC.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [shlex.split(line)[1:] for line in re.findall(r"^    (studio .*)$", text, re.M)]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub().running() as hub:
        yield hub


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_backup_and_restore(
    database_url: str, empty_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    blobs, other = tmp_path / "blobs", tmp_path / "elsewhere"

    async def prepare() -> None:
        settings = make_settings(database_url, redis_url, blobs)
        async with open_live_studio(settings, activate=False) as studio:
            await fill(studio, 5)
            async with studio.database.transaction() as session:
                session.add(Erasure(kind="product", subject="gone"))

    asyncio.run(prepare())

    def run(words: list[str], url: str, folder: Path) -> str:
        place = [word.replace("/mnt/backups", str(tmp_path / "backups")) for word in words]
        return output_of(
            run_studio(
                tmp_path / "data", *place, STUDIO_DATABASE_URL=url, STUDIO_BLOB_URL=f"file://{folder}",
                STUDIO_JWT_SECRET=SECRET, STUDIO_REDIS_URL=redis_url,
            )
        )  # fmt: skip

    backup, erasures, check, restore = commands("Backup and restore")
    assert re.search(r"backup \S+: \d+ rows .* \d+ blobs", run(backup, database_url, blobs))
    assert "1 deletions are recorded" in run(erasures, database_url, blobs)
    assert "every checksum as in the manifest" in run(check, database_url, blobs)
    assert "0 deletions applied again" in run(restore, empty_database_url, other)
    assert asyncio.run(scalar(empty_database_url, "SELECT count(*) FROM product")) == 5
    refused = run_studio(
        tmp_path / "data", "restore", str(tmp_path / "backups"), STUDIO_DATABASE_URL=database_url,
        STUDIO_BLOB_URL=f"file://{blobs}", STUDIO_JWT_SECRET=SECRET,
    )  # fmt: skip
    assert refused.returncode == 1 and "not empty" in refused.stderr


def test_published_checkpoints(hub: Hub, tmp_path: Path) -> None:
    hub.push_folder("shop/tiny-embedder", STARTER_FOLDER / "embedder")
    lock = tmp_path / "models.lock"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return run_studio(
            tmp_path / "data", *words, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "cache"),
            STUDIO_PROFILE="production", STUDIO_EMBEDDER="hf-hub:shop/tiny-embedder",
            STUDIO_SAM="off", STUDIO_TRYON="composite", STUDIO_MODELS_LOCK=str(lock),
            STUDIO_PRECISION="fp32", STUDIO_DATA_DIR=str(tmp_path / "data"),
        )  # fmt: skip

    pin, fetch, verify = commands("Published checkpoints")
    refused = run(*fetch)
    assert refused.returncode == 1 and "studio models lock" in refused.stderr
    assert "shop/tiny-embedder: 2 files at" in output_of(run(*pin))
    assert str(tmp_path / "cache") in output_of(run(*fetch))
    assert "2 files as in models.lock" in (answer := output_of(run(*verify)))
    assert "ok   openclip-" in answer
    lock.write_text(lock.read_text().replace('json": "', 'json": "0', 1))
    refused = run(*verify)
    assert refused.returncode == 1 and "is not the file that is pinned" in refused.stderr
