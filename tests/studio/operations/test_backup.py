"""A backup is made while the studio is in use."""

from pathlib import Path

import pytest

from db.backup.snapshot import LEFT_OUT, sole_backup
from db.backup.snapshot_queries import BLOB_PREFIXES
from errors import Conflict
from settings import Settings
from studio.deletion.lifecycle import BLOBS, TABLES
from studio.operations.backup import is_in_backup
from tests.studio.operations.archives import COUNT, NAMED, back_up, bring_back
from tests.support.azurite import Azurite
from tests.support.backups import AMOUNT, answers, blob_contents, fill, scalar
from tests.support.fakes import open_studio
from tests.support.live import open_live_studio


async def test_a_backup_under_load_is_of_one_moment(
    settings: Settings, elsewhere: Settings, azurite: Azurite
) -> None:
    azurite.make_container("backups")
    place = azurite.blob_url("backups")
    async with (
        open_live_studio(settings, activate=False) as studio,
        open_live_studio(elsewhere, activate=False) as other,
    ):
        shop = await fill(studio, COUNT)
        async with shop.under_load():
            manifest = await back_up(studio, place)
        assert shop.written > 1 and manifest.absent == []
        await bring_back(other, place)
        url = elsewhere.required("database_url")
        assert await scalar(url, "SELECT sum(amount) FROM payment") == AMOUNT * COUNT
        for table in manifest.tables:
            assert await scalar(url, f'SELECT count(*) FROM "{table.name}"') == table.rows
        stored = await blob_contents(other)
        assert set(await scalar(url, NAMED)) <= stored.keys()
        assert stored.items() <= (await blob_contents(studio)).items()
        assert all(len(hits) == 20 for hits in await answers(other))


def test_the_rules_of_tables_and_blobs_are_followed() -> None:
    assert {name for name, rule in TABLES.items() if not rule.is_in_backup} == LEFT_OUT
    assert {rule.pattern.split("/")[0] for rule in BLOBS} == set(BLOB_PREFIXES)
    assert is_in_backup("regressors/v1/model.json")
    assert not is_in_backup("regressors/v1/evaluations/x/plot.png")


async def test_two_backups_at_once_are_refused(settings: Settings, tmp_path: Path) -> None:
    async with open_studio(settings) as studio, sole_backup(studio.database):
        with pytest.raises(Conflict, match="another backup"):
            await back_up(studio, tmp_path / "backups")
