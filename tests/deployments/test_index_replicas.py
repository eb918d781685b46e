"""A second Index replica on a real Ray cluster and a slow blob store: no search meets it empty."""

from pathlib import Path

from studio.index.build import build_version
from studio.index.versions import activate_version
from tests.support.fakes import make_settings
from tests.support.live import open_live_studio
from tests.support.products import insert_products
from tests.support.scaling import scale


# Slow: a Ray cluster with Serve starts, in a process of its own.
async def test_no_search_fails_while_a_replica_loads(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    async with open_live_studio(settings, activate=False) as studio:
        await insert_products(studio.database, 500)
        version = await build_version(studio)
        await activate_version(studio, version)
    scaling = scale(settings, tmp_path / "replicas", slow_s=1, replicas=[1, 2])
    assert scaling["failed"] == {}
    assert scaling["answered"] >= 200
    assert scaling["loaded"] == [version] * 2
    assert min(scaling["load_s"]) >= 0.5  # the second one was slow, too
