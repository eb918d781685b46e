"""A studio copied while it is used, and restored elsewhere: rows, blobs and searches agree."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlmodel import select

from db.backup.snapshot import LEFT_OUT, sole_backup
from db.backup.snapshot_queries import BLOB_PREFIXES
from db.migrate import alembic_config, upgrade
from db.tables import User
from errors import Conflict, Invalid, NotFound, SetupError
from integrations.blobs.archive import open_archive_store, same_place
from settings import Settings
from studio.accounts.accounts import create_user
from studio.backup.archive import Archive, Manifest
from studio.backup.backup import is_in_backup, make_backup, save_erasures, verify_backup
from studio.backup.restore import RestoreSummary, restore
from studio.catalog.catalog import Owner, delete_product
from studio.deletion.lifecycle import BLOBS, TABLES
from studio.files.files import delete as delete_file
from studio.ports import Studio
from tests.support.azurite import Azurite
from tests.support.backups import (
    AMOUNT,
    answers,
    blob_contents,
    digests,
    fill,
    scalar,
    silent,
)
from tests.support.fakes import PASSWORD, make_settings, open_client, open_studio, sign_in
from tests.support.live import open_live_studio

COUNT = 60
NAMED = """
    SELECT array_agg(key)
    FROM (SELECT image_key FROM product UNION SELECT blob_key FROM files) AS named (key)
"""
STAMPED = ("index_version", "alembic_version", "erasure")
"""`index_version` is marked as restored."""


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, redis_url, tmp_path / "blobs")


@pytest.fixture
def elsewhere(empty_database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Another machine: a database without tables, a blob folder without blobs."""
    return make_settings(empty_database_url, redis_url, tmp_path / "other" / "blobs")


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    server = Azurite(tmp_path_factory.mktemp("azurite")).start()
    yield server
    server.stop()


@asynccontextmanager
async def open_archive(place: str) -> AsyncIterator[Archive]:
    store = open_archive_store(place)
    yield Archive(store)
    await store.aclose()


async def back_up(studio: Studio, place: Path | str) -> Manifest:
    async with open_archive(str(place)) as archive:
        return await make_backup(studio.database, studio.blobs, archive, silent)


async def bring_back(
    studio: Studio, place: Path | str, *, force: bool = False, backup_id: str | None = None
) -> RestoreSummary:
    async with open_archive(str(place)) as archive:
        manifest = await archive.read_manifest(backup_id)
        return await restore(studio, archive, manifest, force=force, report=silent)


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


async def test_a_restored_studio_is_the_one_that_was_backed_up(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    async with (
        open_live_studio(settings, activate=False) as studio,
        open_live_studio(elsewhere, activate=False) as other,
    ):
        shop = await fill(studio, COUNT)
        first = await back_up(studio, tmp_path / "backups")
        await shop.write()
        second = await back_up(studio, tmp_path / "backups")
        assert (first.copied_count, second.copied_count) == (first.blob_count, 2)
        done = await bring_back(other, tmp_path / "backups")
        assert (done.rows, done.blobs, done.absent) == (second.row_count, second.blob_count, [])
        assert await answers(other) == await answers(studio)
        urls = [one.required("database_url") for one in (settings, elsewhere)]
        source, target = [await digests(url, *STAMPED) for url in urls]
        assert source == target and len(source) > 12
        sequences = [await scalar(url, "SELECT last_value FROM product_change_seq") for url in urls]
        assert sequences[0] == sequences[1]
        original, restored = await blob_contents(studio), await blob_contents(other)
        assert restored.items() <= original.items()
        assert len(original) - len(restored) == 1  # the picture that a product had before


async def test_what_was_deleted_after_a_backup_is_deleted_again(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    place = tmp_path / "backups"
    async with open_live_studio(settings, activate=False) as studio, open_client(studio) as client:
        shop = await fill(studio, 10)
        await delete_product(studio, Owner(shop.owner), "p3")
        await shop.add_product("p3")  # deleted before the backup, and made again
        headers = await sign_in(client, studio)
        me = UUID((await client.get("/api/auth/me", headers=headers)).json()["id"])
        theirs, gone, stays = await shop.upload(me), await shop.upload(), await shop.upload()
        before = await back_up(studio, place)
        await delete_product(studio, Owner(shop.owner), "p4")
        await delete_file(studio, shop.owner, gone, ip=None)
        answer = await client.request(
            "DELETE", "/api/auth/me", headers=headers, json={"password": PASSWORD}
        )
        assert answer.status_code == 204, answer.text
        async with open_archive(str(place)) as archive:
            assert await save_erasures(studio.database, archive) >= 4
            assert (await archive.read_manifest()).id == before.id
    async with open_live_studio(elsewhere, activate=False) as other:
        done = await bring_back(other, place)
        assert done.erased >= 3
        assert await shown(other) == shown_before(10) - {"p4"}
        names = " ".join(await blob_contents(other))
        assert str(stays) in names and "/p3/" in names
        assert all(one not in names for one in (str(theirs), str(gone), "/p4/"))
    url = elsewhere.required("database_url")
    assert await scalar(url, "SELECT count(*) FROM users") == 1
    assert await scalar(url, "SELECT array_agg(id) FROM files") == [stays]


def test_the_rules_of_tables_and_blobs_are_followed() -> None:
    assert {name for name, rule in TABLES.items() if not rule.is_in_backup} == LEFT_OUT
    assert {rule.pattern.split("/")[0] for rule in BLOBS} == set(BLOB_PREFIXES)
    assert is_in_backup("regressors/v1/model.json")
    assert not is_in_backup("regressors/v1/evaluations/x/plot.png")


async def test_a_replica_that_outlives_a_restore_shows_the_restored_catalogue(
    settings: Settings, tmp_path: Path
) -> None:
    async with open_live_studio(settings, activate=False) as studio:
        shop = await fill(studio, 10)
        await back_up(studio, tmp_path / "backups")
        for number in range(5):
            await shop.add_product(f"lost-{number}")
        assert await shown(studio) == {
            *shown_before(10),
            *(f"lost-{number}" for number in range(5)),
        }
        await bring_back(studio, tmp_path / "backups", force=True)
        for number in range(9):  # more changes than were lost
            await shop.add_product(f"new-{number}")
        assert await shown(studio) == {*shown_before(10), *(f"new-{number}" for number in range(9))}


async def shown(studio: Studio) -> set[str]:
    """All that the index has."""
    return {product_id for product_id, _ in (await answers(studio, 1, top_k=100))[0]}


def shown_before(count: int) -> set[str]:
    return {f"p{number}" for number in range(count)}


async def test_sessions_are_not_restored(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    async with open_studio(settings) as studio, open_client(studio) as client:
        headers = await sign_in(client, studio)
        await back_up(studio, tmp_path / "backups")
        assert (await client.get("/api/auth/me", headers=headers)).status_code == 200
    async with open_studio(elsewhere) as other:
        await bring_back(other, tmp_path / "backups")
        async with open_client(other) as client:
            assert (await client.get("/api/auth/me", headers=headers)).status_code == 401


async def test_only_an_empty_studio_that_nobody_uses_is_filled(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    async with open_studio(settings) as studio:
        await create_user(studio.database, email="a@example.com", password="x" * 12, role="admin")
        await back_up(studio, tmp_path / "backups")
        with pytest.raises(Conflict, match="not empty"):
            await bring_back(studio, tmp_path / "backups")
        async with open_studio(settings) as replica, replica.database.transaction() as session:
            await session.exec(select(User))
            with pytest.raises(Conflict, match="connected"):
                await bring_back(studio, tmp_path / "backups", force=True)
        await create_user(studio.database, email="b@example.com", password="x" * 12, role="admin")
        assert (await bring_back(studio, tmp_path / "backups", force=True)).rows > 0
    url = settings.required("database_url")
    assert await scalar(url, "SELECT string_agg(email, ',') FROM users") == "a@example.com"
    with pytest.raises(SetupError, match="no folder"):
        open_archive_store(str(tmp_path / "nowhere"), must_exist=True)


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


async def test_two_backups_at_once_are_refused(settings: Settings, tmp_path: Path) -> None:
    async with open_studio(settings) as studio, sole_backup(studio.database):
        with pytest.raises(Conflict, match="another backup"):
            await back_up(studio, tmp_path / "backups")


async def test_a_backup_of_an_older_schema_is_migrated_onward(
    elsewhere: Settings, tmp_path: Path
) -> None:
    url = elsewhere.required("database_url")
    await asyncio.to_thread(command.upgrade, alembic_config(url), "0007")
    account = "INSERT INTO users (id, email, password_hash, role, token_version) VALUES"
    await scalar(url, f"{account} (gen_random_uuid(), 'old@example.com', 'x', 'admin', 0)")
    async with open_studio(elsewhere) as studio:
        assert (await back_up(studio, tmp_path / "backups")).revision == "0007"
        await studio.database.aclose()
        await asyncio.to_thread(upgrade, url)
        await bring_back(studio, tmp_path / "backups", force=True)
    assert await scalar(url, "SELECT email FROM users") == "old@example.com"
    head = ScriptDirectory.from_config(alembic_config(url)).get_current_head()
    assert await scalar(url, "SELECT version_num FROM alembic_version") == head


async def test_a_backup_of_a_newer_studio_is_refused(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    async with open_studio(settings) as studio:
        manifest = await back_up(studio, tmp_path / "backups")
    async with open_studio(elsewhere) as other, open_archive(str(tmp_path / "backups")) as archive:
        newer = replace(manifest, revision="9999")
        with pytest.raises(SetupError, match="newer"):
            await restore(other, archive, newer, force=False, report=silent)


def test_backups_have_a_place_of_their_own() -> None:
    assert same_place("/data/blobs", "file:///data/blobs")
    assert same_place("/data", "file:///data/blobs")
    assert same_place("file:///data/blobs/backups", "file:///data/blobs")
    assert not same_place("/data/backups", "file:///data/blobs")
    assert same_place("azure://c;AccountName=a", "azure://c;AccountName=a")
