"""A studio with fake models on real servers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from studio.ports import Studio
from tests.support.fakes import make_settings, open_studio


@pytest.fixture
async def studio(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    async with open_studio(settings) as opened:
        yield opened
