"""The constructor of an Index replica: it waits for what may come, and for nothing else."""

import asyncio
import warnings
from pathlib import Path
from typing import Any

import pytest

from errors import Invalid, NotFound, StudioError, Unavailable
from settings import Settings
from studio.index.live import LiveIndex
from tests.support.fakes import make_settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve's own, of what it imports
    from deployments import index as module
    from deployments.index import Index, IndexArgs
    from deployments.serve import replica


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> list[StudioError | None]:
    """What the first syncs do; later ones succeed."""
    results: list[StudioError | None] = []

    async def sync(_: Any) -> None:
        if results and (error := results.pop(0)) is not None:
            raise error

    monkeypatch.setattr(module, "load_settings", lambda: settings)
    monkeypatch.setattr(module, "replica_id", lambda: "a replica")
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    monkeypatch.setattr(LiveIndex, "sync", sync)
    monkeypatch.setattr(replica, "prepare_replica", lambda: None)
    monkeypatch.setattr(replica, "log_to_worker_files", lambda: None)
    return results


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, redis_url, tmp_path / "blobs")


async def start() -> Index:
    """Constructs a replica as Serve does."""
    opened = Index.__new__(Index)
    await opened.__init__(IndexArgs())  # type: ignore[misc]
    await opened.check_health()
    opened._following.cancel()
    await opened._database.aclose()
    return opened


async def test_it_waits_for_database_and_blob_store(syncs: list[StudioError | None]) -> None:
    syncs += [Unavailable("the database can't be reached")] * 5
    async with asyncio.timeout(10):
        await start()
    assert syncs == []


@pytest.mark.parametrize("error", [Invalid("damaged: vectors"), NotFound("gone")])
async def test_it_does_not_wait_for_a_damaged_index(
    syncs: list[StudioError | None], error: StudioError
) -> None:
    """Otherwise the studio would not start, and nobody could rebuild the index."""
    syncs.append(error)
    await start()
    assert syncs == []


async def test_it_starts_without_an_index(syncs: list[StudioError | None]) -> None:
    syncs.append(None)
    await start()
    assert syncs == []
