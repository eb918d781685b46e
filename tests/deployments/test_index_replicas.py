"""Index replicas on a real Ray cluster and a slow blob store: no search meets an empty one."""

from pathlib import Path

from studio.index.build import build_version
from tests.support.fakes import make_settings
from tests.support.live import open_live_studio
from tests.support.products import insert_products
from tests.support.scaling import scale


async def test_no_search_fails_while_replicas_load(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Two start without an index, which is activated then; a third one comes under load."""
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    async with open_live_studio(settings, activate=False) as studio:
        await insert_products(studio.database, 500)
        version = await build_version(studio)
    scaling = scale(settings, tmp_path / "replicas", slow_s=1, version=version, replicas=[2, 3])
    assert scaling["before"] == "Unavailable: no search index is active"
    assert scaling["failed"] == {}
    assert scaling["answered"] >= 200
    assert scaling["loaded"] == [version] * 3
