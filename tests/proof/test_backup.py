"""A studio with 5,000 products, payments and jobs: backed up under load, restored elsewhere."""

import sys
from pathlib import Path
from time import monotonic

import pytest

from tests.studio.operations.archives import NAMED, STAMPED, back_up, bring_back
from tests.support.backups import AMOUNT, answers, blob_contents, digests, fill, scalar
from tests.support.fakes import make_settings
from tests.support.live import open_live_studio

COUNT = 5_000
BLOB_BYTES = 40_000


@pytest.mark.proof
@pytest.mark.timeout(1800)
async def test_a_studio_backed_up_under_load_and_restored_elsewhere(
    database_url: str, empty_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    elsewhere = make_settings(empty_database_url, redis_url, tmp_path / "other" / "blobs")
    place = tmp_path / "backups"
    async with (
        open_live_studio(settings, activate=False) as studio,
        open_live_studio(elsewhere, activate=False) as other,
    ):
        shop = await fill(studio, COUNT, BLOB_BYTES)
        started_s = monotonic()
        async with shop.under_load():
            manifest = await back_up(studio, place)
        backup_s, writes = monotonic() - started_s, shop.written
        started_s = monotonic()
        again = await back_up(studio, place)
        again_s = monotonic() - started_s
        assert 0 < again.copied_count <= 2 * writes
        started_s = monotonic()
        await bring_back(other, place)
        restore_s = monotonic() - started_s
        source, target = [
            await digests(url, *STAMPED) for url in (database_url, empty_database_url)
        ]
        assert source == target
        stored = await blob_contents(other)
        assert set(await scalar(empty_database_url, NAMED)) <= stored.keys()
        assert stored.items() <= (await blob_contents(studio)).items()
        assert await answers(other, 200) == await answers(studio, 200)
        await bring_back(other, place, force=True, backup_id=manifest.id)  # the one under load
        assert await scalar(empty_database_url, "SELECT sum(amount) FROM payment") == AMOUNT * COUNT
        assert set(await scalar(empty_database_url, NAMED)) <= (await blob_contents(other)).keys()
    sys.stdout.write(
        f"\n{manifest.row_count} rows, {manifest.blob_count} blobs of "
        f"{manifest.blob_bytes / 1e6:.0f} MB: backup {backup_s:.1f} s beside {writes} turns "
        f"of writes, the next {again_s:.1f} s ({again.copied_count} blobs new), "
        f"restore {restore_s:.1f} s\n"
    )
