"""One whole studio for the tests that use it as its users do: `studio up` in a process of its own."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.embedded.running import RunningStudio

PRODUCTS = 432
"""Four rounds: every category, colour and pattern once."""


def start_studio(data_dir: Path) -> RunningStudio:
    """A studio with high limits, ready to answer."""
    command = [sys.executable, "-m", "cli", "up"]
    studio = RunningStudio(
        data_dir,
        command=command,
        STUDIO_DEMO_PRODUCTS=str(PRODUCTS),
        STUDIO_LIMIT_AUTH="10000",
        STUDIO_LIMIT_SEARCH="100000",
        STUDIO_LIMIT_DEFAULT="100000",
    )
    return studio.wait_ready(timeout_s=240)


@pytest.fixture(scope="session")
def studio_data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="studio-whole-"))
    folder.chmod(0o711)
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def whole_studio(studio_data_dir: Path) -> Iterator[RunningStudio]:
    """Started once for all tests that need it."""
    studio = start_studio(studio_data_dir)
    yield studio
    studio.end()


@pytest.fixture(scope="session")
def studio_url(whole_studio: RunningStudio) -> str:
    """Where it answers."""
    return f"http://127.0.0.1:{whole_studio.port}"


@pytest.fixture
def http(studio_url: str) -> Iterator[httpx.Client]:
    """A client over real HTTP."""
    with httpx.Client(base_url=studio_url, timeout=60) as client:
        yield client
