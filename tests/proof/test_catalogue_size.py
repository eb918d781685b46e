"""`make proof`: a million products are read for a rebuild, and no statement takes two seconds."""

import time

import pytest

from db.catalog import read_one_moment, stream_embedded
from db.embeddings import MissingVectors, count_missing, list_ranges
from db.engine import Database
from tests.support.catalogue import EMBEDDER, fill_catalogue

PRODUCTS = 1_000_000
LIMIT_S = 2.0
"""A statement that reads or sorts the whole catalogue takes longer."""


@pytest.mark.proof
@pytest.mark.timeout(1800)
async def test_a_large_catalogue_is_read_by_short_statements(database_url: str) -> None:
    writer = Database(database_url, pool_size=1, statement_limit_s=1200)
    await fill_catalogue(writer, PRODUCTS)
    await writer.aclose()
    database = Database(database_url, pool_size=1, statement_limit_s=LIMIT_S)
    missing = MissingVectors(EMBEDDER)
    started_s = time.monotonic()
    async with database.transaction() as session:
        assert await count_missing(session, missing) == PRODUCTS // 100
        ranges = await list_ranges(session, missing, 64)
    missing_s = time.monotonic() - started_s
    started_s, count, last = time.monotonic(), 0, b""
    async with database.transaction() as session:
        await read_one_moment(session)
        async for product, _ in stream_embedded(session, EMBEDDER):
            name = product.id.encode()
            assert name > last
            count, last = count + 1, name
    assert count == PRODUCTS - PRODUCTS // 100
    await database.aclose()
    print(  # noqa: T201
        f"\n{PRODUCTS} products: missing ones in {missing_s:.1f} s ({len(ranges)} ranges), all "
        f"vectors in {time.monotonic() - started_s:.1f} s, each statement below {LIMIT_S} s"
    )
