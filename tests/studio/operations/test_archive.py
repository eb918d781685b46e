"""The archive: damaged and incomplete backups are refused, old ones removed."""

from pathlib import Path

import pytest

from errors import Invalid, NotFound
from settings import Settings
from studio.operations.backup import verify_backup
from tests.studio.operations.archives import back_up, bring_back, open_archive
from tests.support.backups import blob_contents, fill, scalar, silent
from tests.support.fakes import open_studio
from tests.support.live import open_live_studio


@pytest.mark.parametrize(
    "damage", ["manifest.json", "users.copy.gz", "blobs.jsonl.gz", "products/", "erasures.jsonl"]
)
async def test_a_damaged_backup_touches_nothing(
    settings: Settings, elsewhere: Settings, tmp_path: Path, damage: str
) -> None:
    place = tmp_path / "backups"
    async with open_live_studio(settings, activate=False) as studio:
        await fill(studio, 2)
        await back_up(studio, place)
    paths = [path for path in place.rglob("*") if damage in str(path) and path.is_file()]
    data = bytearray(paths[0].read_bytes())
    data[len(data) // 2] ^= 1
    paths[0].write_bytes(data)
    async with open_studio(elsewhere) as other, open_archive(str(place)) as archive:
        with pytest.raises(Invalid):
            await bring_back(other, place)
        with pytest.raises(Invalid):
            await verify_backup(archive, await archive.read_manifest(), silent)
        assert await blob_contents(other) == {}
    assert await scalar(elsewhere.required("database_url"), "SELECT to_regclass('users')") is None


async def test_an_unfinished_backup_is_none(settings: Settings, tmp_path: Path) -> None:
    place = tmp_path / "backups"
    async with open_live_studio(settings, activate=False) as studio, open_archive(str(place)) as a:
        await fill(studio, 2)
        with pytest.raises(NotFound):
            await a.read_manifest()
        first = await back_up(studio, place)
        second = await back_up(studio, place)
        assert second.copied_count == 0
        (place / "backups" / second.id / "manifest.json").unlink()
        assert (await a.read_manifest()).id == first.id
        third = await back_up(studio, place)
        await verify_backup(a, third, silent)
        assert await a.prune(1) == 1
        assert await a.list_ids() == [third.id]
        assert not (place / "backups" / second.id / "tables" / "users.copy.gz").exists()
        await verify_backup(a, third, silent)
