"""The schema: migrations and tables agree, and the database itself keeps the promises."""

import asyncio

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.catalog import take_change_seq
from db.engine import Database
from db.index_versions import activate
from db.migrate import alembic_config, upgrade
from db.tables import IndexVersion, User
from errors import Unavailable

CONTRACT_TABLES = {
    "users", "files", "search_log", "tryon_job", "segmentation_result", "prediction", "payment",
    "webhook_event", "audit_log", "index_version", "product", "product_embedding", "job",
    "job_event", "refresh_token", "regressor_version", "erasure", "doomed_blob",
}  # fmt: skip


async def table_names(url: str) -> set[str]:
    database = Database(url, pool_size=1)
    async with database.transaction() as session:
        found = await session.exec(  # type: ignore[call-overload]
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        )
        names = {row[0] for row in found}
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
