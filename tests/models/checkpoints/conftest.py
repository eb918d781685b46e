"""A hub on loopback for every test of this folder that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import Hub, hub_of_this_process


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_of_this_process(tmp_path / "cache", monkeypatch) as hub:
        yield hub
