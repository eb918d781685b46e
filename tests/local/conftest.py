"""Data folders that the servers can enter when root runs the tests, and studios to start."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.running import RunningStudio, remove_data


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="studio-data-"))
    folder.chmod(0o711)
    yield folder
    remove_data(folder)


@pytest.fixture
def start_studio(data_dir: Path) -> Iterator[Callable[..., RunningStudio]]:
    """A function that starts a studio in the data folder; it is ended after the test."""
    started: list[RunningStudio] = []

    def start(
        command: list[str] | None = None, port: int | None = None, **variables: str
    ) -> RunningStudio:
        started.append(RunningStudio(data_dir, command=command, port=port, **variables))
        return started[-1]

    yield start
    for studio in started:
        studio.end()
