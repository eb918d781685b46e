"""The schema: migrations and tables agree, and the database itself holds the constraints."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import SQLModel

from db.catalog import take_change_seq
from db.connect import connect
from db.engine import Database
from db.index_versions import activate
from db.migrate import alembic_config, missing_migrations, upgrade
from db.tables import IndexVersion, User
from errors import Unavailable

CONTRACT_TABLES = {
    "users", "files", "search_log", "tryon_job", "segmentation_result", "prediction", "payment",
    "webhook_event", "audit_log", "index_version", "product", "product_image",
    "product_embedding", "job",
    "job_event", "refresh_token", "regressor_version", "erasure", "doomed_blob",
    "mention", "model_rollout", "api_key", "search_setting",
}  # fmt: skip


async def table_names(url: str) -> set[str]:
    database = Database(url, pool_size=1)
    async with database.transaction() as session:
        result = await session.exec(  # type: ignore[call-overload]
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        )
        names = {row[0] for row in result}
    await database.aclose()
    return names


def test_migrations_make_every_table_of_the_contract_and_can_be_undone(
    empty_database_url: str,
) -> None:
    upgrade(empty_database_url)
    assert asyncio.run(table_names(empty_database_url)) == CONTRACT_TABLES | {"alembic_version"}
    command.downgrade(alembic_config(empty_database_url), "base")
    assert asyncio.run(table_names(empty_database_url)) == {"alembic_version"}


def test_tables_and_migrations_have_not_drifted_apart(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    command.check(alembic_config(empty_database_url))


async def test_at_most_one_index_version_is_active(database_url: str) -> None:
    database = Database(database_url)
    async with database.transaction() as session:
        for name in ("a", "b"):
            session.add(IndexVersion(version=name, embedder_version="e", status="ready"))
        session.add(IndexVersion(version="c", embedder_version="e", status="failed"))
    results = await asyncio.gather(*(activate_in_own(database, name) for name in "abcab"))
    assert results == [True, True, False, True, True]
    async with database.transaction() as session:
        rows = await session.exec(  # type: ignore[call-overload]
            text("SELECT count(*) FROM index_version WHERE status = 'active'")
        )
        assert rows.scalar_one() == 1
    with pytest.raises(IntegrityError):
        async with database.transaction() as session:
            session.add(IndexVersion(version="d", embedder_version="e", status="active"))
    await database.aclose()


async def activate_in_own(database: Database, version: str) -> bool:
    async with database.transaction() as session:
        return await activate(session, version)


async def test_change_numbers_are_committed_in_their_order(database_url: str) -> None:
    database = Database(database_url, pool_size=10)
    committed: list[int] = []

    async def write(place: int) -> None:
        async with database.transaction() as session:
            seq = await take_change_seq(session)
            await asyncio.sleep(0.01 * (place % 3))
            committed.append(seq)

    await asyncio.gather(*(write(place) for place in range(15)))
    assert committed == sorted(committed) and len(set(committed)) == 15
    await database.aclose()


async def test_addresses_are_unique_without_case(database_url: str) -> None:
    database = Database(database_url)
    async with database.transaction() as session:
        session.add(User(email="Anna@example.com", password_hash="x"))
    with pytest.raises(IntegrityError):
        async with database.transaction() as session:
            session.add(User(email="aNNa@EXAMPLE.com", password_hash="x"))
    await database.aclose()


async def test_a_database_that_is_away_is_told_as_unavailable() -> None:
    database = Database("postgresql://nobody:nothing@127.0.0.1:1/none")
    with pytest.raises(Unavailable):
        await database.check()
    await database.aclose()


async def test_missing_migrations_are_named_and_a_newer_schema_lacks_none(
    empty_database_url: str,
) -> None:
    everything = await missing_migrations(empty_database_url)
    assert everything[0] == "0001"
    config = alembic_config(empty_database_url)
    await asyncio.to_thread(command.upgrade, config, everything[-3])
    assert await missing_migrations(empty_database_url) == everything[-2:]
    await asyncio.to_thread(upgrade, empty_database_url)
    assert await missing_migrations(empty_database_url) == []
    database = Database(empty_database_url)
    async with database.transaction() as session:
        await session.exec(text("UPDATE alembic_version SET version_num = 'of a later code'"))  # type: ignore[call-overload]
    await database.aclose()
    assert await missing_migrations(empty_database_url) == []


# Slow: a migration waits for a lock for 5 s.
async def test_a_migration_gives_up_where_a_table_is_held(empty_database_url: str) -> None:
    """Otherwise all writers would wait behind it."""
    config = alembic_config(empty_database_url)
    await asyncio.to_thread(command.upgrade, config, "0005")
    holder = await connect(empty_database_url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DBAPIError, match="lock timeout"):
            await asyncio.to_thread(command.upgrade, config, "0006")
    await holder.close()
    await asyncio.to_thread(command.upgrade, config, "head")


LOOKED_UP = {
    "segmentation_result": {"user_id", "input_key", "mask_key"},
    "tryon_job": {"user_id", "job_id", "person_key", "garment_key", "mask_key", "output_key"},
    "prediction": {"user_id", "input_key", "heatmap_key"},
    "product": {"owner_id", "file_id", "image_key"},
    "product_image": {"file_id", "image_key"},
    "files": {"owner_id", "blob_key"},
    "search_log": {"user_id", "at"},
    "audit_log": {"actor_id", "subject", "at"},
    "refresh_token": {"user_id", "family_id", "expires_at", "revoked_at"},
    "webhook_event": {"received_at"},
    "payment": {"user_id"},
    "job": {"owner_id"},
}
"""Columns that deletions, readers of pictures and the end of old rows look rows up by."""


def test_what_rows_are_looked_up_by_has_an_index() -> None:
    for name, columns in LOOKED_UP.items():
        table = SQLModel.metadata.tables[name]
        first = {next(iter(index.columns)).name for index in table.indexes if index.columns}
        first |= {column.name for column in table.columns if column.unique}
        assert columns <= first, name


class Interrupted(Exception):
    """The error that interrupts a migration in this test."""


@contextmanager
def interruption(at: int) -> Iterator[None]:
    """Makes the statement of this number fail before it is sent."""
    number = 0

    def interrupt(*_: object) -> None:
        nonlocal number
        number += 1
        if number == at:
            raise Interrupted

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)


# Slow: the migration is interrupted at each of its statements in turn.
@pytest.mark.parametrize("first", ["0007", "0008", "0009", "0010", "0011", "0012", "0013", "0014"])
def test_a_migration_that_failed_anywhere_can_be_run_again(
    empty_database_url: str, first: str
) -> None:
    config = alembic_config(empty_database_url)
    migration = ScriptDirectory.from_config(config).get_revision(first)
    command.upgrade(config, str(migration.down_revision))
    interrupted = 0
    while True:
        try:
            with interruption(interrupted + 1):
                command.upgrade(config, first)
        except Interrupted:
            interrupted += 1
        else:
            break
    assert interrupted >= 4
    command.upgrade(config, "head")
    command.check(config)
