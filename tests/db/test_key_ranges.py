"""A rebuild reads the catalogue in key ranges: each statement reads one, by an index."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from db import catalog
from db.catalog import id_ranges, stream_embedded
from db.embeddings import MissingVectors, count_missing, list_pictures, list_ranges
from db.engine import Database
from tests.support.catalogue import EMBEDDER, fill_catalogue

PRODUCTS = 40_000
FEW = 2 * catalog.RANGE_PRODUCTS
MISSING = MissingVectors(EMBEDDER)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, pool_size=1)
    yield opened
    await opened.aclose()


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are executed meanwhile, with their parameters."""
    log: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        log.append((arguments[2], arguments[3]))

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield log
    event.remove(engine, "before_cursor_execute", note)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def check_node(node: dict[str, Any]) -> None:
    """Checks that a step of a plan reads products by an index, and sorts few of them.

    Near the end of the catalogue PostgreSQL may read all that remains, somewhat more than a range.
    PostgreSQL may read all of `product_embedding` here, since the vectors are short;
    tests/proof/test_catalogue_size.py is about its choice in a large catalogue.
    """
    rows = node["Actual Rows"] * node["Actual Loops"]
    if node.get("Relation Name") == "product":
        assert node["Node Type"] != "Seq Scan" and rows <= FEW, node
    if "Sort" in node["Node Type"]:
        assert rows <= FEW, node


async def read_all(database: Database) -> None:
    """All reads of a rebuild that go over the whole catalogue."""
    async with database.transaction() as session:
        assert await count_missing(session, MISSING) == PRODUCTS // 100
        ranges = await list_ranges(session, MISSING, 16)
        assert len(await list_pictures(session, MISSING, *ranges[0])) == 16
        rows = [row async for row in stream_embedded(session, EMBEDDER)]
        assert len(rows) == PRODUCTS - PRODUCTS // 100


# Slow: the planner chooses as in production only over a large catalogue.
async def test_no_statement_of_a_rebuild_reads_or_sorts_the_whole_catalogue(
    database: Database,
) -> None:
    await fill_catalogue(database, PRODUCTS)
    with statements(database) as log:
        await read_all(database)
    selects = [entry for entry in log if "product" in entry[0]]
    assert len(selects) > 3 * PRODUCTS / catalog.RANGE_PRODUCTS
    indexes = set()
    async with database._engine.connect() as connection:
        for statement, parameters in selects:
            rows = await connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
            )
            (result,) = rows.scalar_one()
            for node in nodes(result["Plan"]):
                check_node(node)
                indexes.add(node.get("Index Name"))
    assert "ix_product_id_bytes" in indexes


async def test_ranges_of_any_size_are_in_the_order_of_the_bytes_of_ids(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In most languages "a" < "B" < "c" and "é" < "f"; by bytes "B" < "a" < "c" < "é"."""
    ids = ["a", "B", "c", "é", "f", "Z", "z", "_", "-1", "10", "9", "ß", "ı", "a b", "ab", "A"]
    await fill_catalogue(database, len(ids), ids=ids)
    in_bytes = sorted(ids, key=str.encode)
    async with database.transaction() as session:
        for size in (1, 3, 15, 16, 17):
            monkeypatch.setattr(catalog, "RANGE_PRODUCTS", size)
            ranges = [(ids.after, ids.last) async for ids in id_ranges(session)]
            assert len(ranges) == -(-len(in_bytes) // size)
            assert [last for _, last in ranges][-1] == in_bytes[-1]
            names = [product.id async for product, _ in stream_embedded(session, EMBEDDER)]
            assert names == in_bytes
            missing = MissingVectors("another")
            assert await count_missing(session, missing) == len(ids)
            pictures = [
                picture.product_id
                for first, last in await list_ranges(session, missing, 4)
                for picture in await list_pictures(session, missing, first, last)
            ]
            assert pictures == in_bytes


async def test_an_empty_catalogue_has_no_range(database: Database) -> None:
    async with database.transaction() as session:
        assert [ids async for ids in id_ranges(session)] == []
        assert await count_missing(session, MISSING) == 0
        assert await list_ranges(session, MISSING, 16) == []
