"""Settings of a studio and of another, empty machine; an Azure simulator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from settings import Settings
from tests.studio.deletion.conftest import account, owner, studio  # noqa: F401 - fixtures
from tests.support.azurite import Azurite
from tests.support.fakes import make_settings


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, redis_url, tmp_path / "blobs")


@pytest.fixture
def elsewhere(empty_database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of another machine, with a database without tables and an empty blob folder."""
    return make_settings(empty_database_url, redis_url, tmp_path / "other" / "blobs")


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    server = Azurite(tmp_path_factory.mktemp("azurite")).start()
    yield server
    server.stop()
