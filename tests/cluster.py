"""One whole studio, `studio up` in its own process, for the tests that use it as users do."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from embedded.cluster import log_folder
from tests.embedded.running import RunningStudio, free_port

PRODUCTS = 432
"""Four rounds: every category, colour and pattern once."""


class WholeStudio:
    """`studio up` with high limits; may be restarted, and keeps its address then."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Ready to answer when it returns."""
        self.running = RunningStudio(
            self.data_dir,
            command=[sys.executable, "-m", "cli", "up"],
            port=self._port,
            STUDIO_DEMO_PRODUCTS=str(PRODUCTS),
            STUDIO_LIMIT_AUTH="10000",
            STUDIO_LIMIT_SEARCH="100000",
            STUDIO_LIMIT_DEFAULT="100000",
        ).wait_ready(timeout_s=240)

    def log_lines(self, word: str) -> list[str]:
        """What its replicas logged that holds the word."""
        files = log_folder(self.data_dir).glob("worker-*.err")
        return [line for file in files for line in file.read_text().splitlines() if word in line]

    def processes(self) -> list[psutil.Process]:
        """Everything below `studio up`, as of now."""
        return psutil.Process(self.running.pid).children(recursive=True)


@pytest.fixture(scope="session")
def whole_studio() -> Iterator[WholeStudio]:
    """Started once for all tests that need it."""
    folder = Path(tempfile.mkdtemp(prefix="studio-whole-"))
    folder.chmod(0o711)
    studio = WholeStudio(folder / "data")
    yield studio
    studio.running.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def studio_url(whole_studio: WholeStudio) -> str:
    """Where it answers."""
    return whole_studio.url


@pytest.fixture
def http(studio_url: str) -> Iterator[httpx.Client]:
    """A client over real HTTP."""
    with httpx.Client(base_url=studio_url, timeout=60) as client:
        yield client
