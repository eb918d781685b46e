"""A migrated database for the tests of queries."""

from collections.abc import AsyncIterator

import pytest

from db.engine import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.aclose()
