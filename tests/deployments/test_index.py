"""The constructor of an Index replica: it waits for what may come, and for nothing else."""

import asyncio
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

from errors import Invalid, NotFound, NotLoaded, StudioError, Unavailable
from models.index.shapes import SearchAnswer, SearchQuery
from settings import Settings
from studio.context import current_origin
from studio.index.live import LiveIndex
from tests.support.fakes import make_settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve's own, of what it imports
    from deployments import index as module
    from deployments.handles import TracedQuery
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


async def test_searches_of_all_calls_share_the_scans_of_a_gpu(
    syncs: list[StudioError | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    async def search_many(_: Any, queries: list[SearchQuery]) -> list[SearchAnswer]:
        sizes.append(len(queries))
        await asyncio.sleep(0.01)
        return [SearchAnswer(f"top {query.top_k}", [], "e") for query in queries]

    monkeypatch.setattr(LiveIndex, "search_many", search_many)
    monkeypatch.setattr(LiveIndex, "is_on_device", True)
    opened = await start()
    calls = [[TracedQuery(SearchQuery(k + 1), current_origin()) for k in range(4)]] * 10
    answers = await asyncio.gather(*(opened.search(call) for call in calls))
    versions = [[getattr(answer, "index_version", answer) for answer in call] for call in answers]
    assert versions == [["top 1", "top 2", "top 3", "top 4"]] * 10
    assert sum(sizes) == 40 and len(sizes) < 10


async def test_an_error_names_the_replica_that_has_nothing_loaded(
    syncs: list[StudioError | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def search(*_: object) -> SearchAnswer:
        raise NotLoaded("the search index is loading")

    monkeypatch.setattr(LiveIndex, "search", search)
    opened = await start()
    (error,) = await opened.search([TracedQuery(SearchQuery(1), current_origin())])
    assert isinstance(error, NotLoaded)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.replica, copy.detail) == ("a replica", "the search index is loading")
