"""`make proof`: Index grows from one replica to four under load, with a slow blob store."""

from pathlib import Path

import pytest

from studio.index.build import build_version
from studio.index.versions import activate_version
from tests.support.fakes import make_settings
from tests.support.live import open_live_studio
from tests.support.products import insert_products
from tests.support.scaling import scale

SEARCHES = 5000


pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]


async def test_no_search_fails_after_the_first_replica_has_an_index(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Two replicas start without an index. When it is activated, one of them has it later."""
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    async with open_live_studio(settings, activate=False) as studio:
        await insert_products(studio.database, 500)
        version = await build_version(studio)
    scaling = scale(settings, tmp_path / "replicas", slow_s=8, version=version, replicas=[2, 2])
    assert scaling["before"] == "Unavailable: no search index is active"
    assert scaling["failed"] == {}
    assert max(scaling["load_s"]) - min(scaling["load_s"]) >= 3
    assert scaling["loaded"] == [version] * 2


async def test_no_search_fails_from_one_replica_to_four(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    async with open_live_studio(settings, activate=False) as studio:
        await insert_products(studio.database, 20_000)
        version = await build_version(studio)
        await activate_version(studio, version)
    plan = {"replicas": [1, 4], "callers": 16, "searches": SEARCHES}
    scaling = scale(settings, tmp_path / "replicas", slow_s=10, **plan)
    print(f"\nIndex from 1 replica to 4, 16 callers: {scaling}")  # noqa: T201
    assert scaling["failed"] == {}
    assert scaling["answered"] >= SEARCHES
    assert scaling["loaded"] == [version] * 4
