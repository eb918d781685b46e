"""A studio with fake models on real servers, and a client of its gateway."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from settings import Settings
from studio.accounts import passwords
from studio.ports import Studio
from tests.support.fakes import make_settings, open_client, open_studio


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in tests/conftest.py; what a test patches lasts until its gateway is closed."""
    monkeypatch.setattr(passwords, "COST", 4)


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, redis_url, tmp_path / "blobs")


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_studio(settings) as opened:
        yield opened


@pytest.fixture
async def client(studio: Studio) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(studio) as opened:
        yield opened
