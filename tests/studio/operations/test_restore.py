"""A restored studio is the one that was backed up: rows, blobs and searches agree."""

import asyncio
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlmodel import select

from db.migrate import alembic_config, upgrade
from db.tables import User
from errors import Conflict, SetupError
from integrations.blobs.archive import open_archive_store
from settings import Settings
from studio.accounts.accounts import create_user
from studio.catalog.catalog import Owner, delete_product
from studio.files.files import delete as delete_file
from studio.operations.backup import save_erasures
from studio.operations.restore import restore
from tests.studio.operations.archives import (
    COUNT,
    STAMPED,
    back_up,
    bring_back,
    ids_before,
    indexed_ids,
    open_archive,
)
from tests.support.backups import answers, blob_contents, digests, fill, scalar, silent
from tests.support.fakes import PASSWORD, open_client, open_studio, sign_in
from tests.support.live import open_live_studio


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
        urls = [machine.required("database_url") for machine in (settings, elsewhere)]
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
        assert await indexed_ids(other) == ids_before(10) - {"p4"}
        names = " ".join(await blob_contents(other))
        assert str(stays) in names and "/p3/" in names
        assert all(name not in names for name in (str(theirs), str(gone), "/p4/"))
    url = elsewhere.required("database_url")
    assert await scalar(url, "SELECT count(*) FROM users") == 1
    assert await scalar(url, "SELECT array_agg(id) FROM files") == [stays]


async def test_a_replica_that_outlives_a_restore_shows_the_restored_catalogue(
    settings: Settings, tmp_path: Path
) -> None:
    async with open_live_studio(settings, activate=False) as studio:
        shop = await fill(studio, 10)
        await back_up(studio, tmp_path / "backups")
        for number in range(5):
            await shop.add_product(f"lost-{number}")
        assert await indexed_ids(studio) == {
            *ids_before(10),
            *(f"lost-{number}" for number in range(5)),
        }
        await bring_back(studio, tmp_path / "backups", force=True)
        for number in range(9):  # more changes than were lost
            await shop.add_product(f"new-{number}")
        assert await indexed_ids(studio) == {
            *ids_before(10),
            *(f"new-{number}" for number in range(9)),
        }


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
