"""The whole studio, `studio up` in its own process, for tests that use it over HTTP."""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from local.cluster import log_folder
from local.running import RunningStudio, free_port
from tests.support.collector import Collector
from tests.support.workers import WHOLE_STUDIO, unit_of

DISCOVERY = "prom_metrics_service_discovery.json"
PRODUCTS = 432
"""Four rounds: every category, colour and pattern once."""


class WholeStudio:
    """`studio up` with high rate limits; it keeps its address when it is restarted."""

    def __init__(self, data_dir: Path, collector: Collector, **variables: str) -> None:
        self.data_dir = data_dir
        self.collector = collector
        self._variables = variables
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.has_ended = False
        self.start()

    def start(self) -> None:
        """Starts the studio and waits until it is ready."""
        self.running = RunningStudio(
            self.data_dir,
            command=[sys.executable, "-m", "cli", "up"],
            port=self._port,
            STUDIO_DEMO_PRODUCTS=str(PRODUCTS),
            STUDIO_LIMIT_AUTH="10000",
            STUDIO_LIMIT_SEARCH="100000",
            STUDIO_LIMIT_DEFAULT="100000",
            STUDIO_OTLP_URL=self.collector.url,
            OTEL_BSP_SCHEDULE_DELAY="500",  # spans come soon, which a test waits for
            **self._variables,
        )
        try:
            self.running.wait_ready(timeout_s=240)
        except BaseException:
            self.running.end()  # no fixture has it yet
            raise

    def log_lines(self, word: str) -> list[str]:
        """The log lines of its replicas that contain the word."""
        files = log_folder(self.data_dir).glob("worker-*.err")
        return [line for file in files for line in file.read_text().splitlines() if word in line]

    def metrics(self) -> dict[str, float]:
        """The metrics that Prometheus reads from this node, by name and labels."""
        values: dict[str, float] = {}
        places = (log_folder(self.data_dir).parent.parent / DISCOVERY).read_text()
        for target in {one for group in json.loads(places) for one in group["targets"]}:
            try:
                answer = httpx.get(f"http://{target}/metrics", timeout=20)
            except httpx.TransportError:
                continue  # Ray lists them a little before they answer
            for line in answer.text.splitlines():
                if line and not line.startswith("#"):
                    name, _, value = line.rpartition(" ")
                    values[name] = float(value)
        return values

    def processes(self) -> list[psutil.Process]:
        """The processes that `studio up` has started and that still run."""
        return psutil.Process(self.running.pid).children(recursive=True)

    def end(self) -> None:
        """Stops it and removes its folder; a second call does nothing.

        Raises:
            AssertionError: a secret stands in its logs, after everything that the tests have done.
        """
        if self.has_ended:
            return
        self.has_ended = True
        self.running.end()
        self.collector.close()
        leaks = secrets_in_logs(self)
        shutil.rmtree(self.data_dir.parent, ignore_errors=True)
        assert not leaks, "\n".join(leaks)


STUDIO_KEY = pytest.StashKey[WholeStudio]()


@pytest.fixture(scope="session")
def whole_studio(request: pytest.FixtureRequest) -> Iterator[WholeStudio]:
    """The studio that all tests share; it is started for the first of them."""
    folder = Path(tempfile.mkdtemp(prefix="studio-whole-"))
    folder.chmod(0o711)
    studio = WholeStudio(folder / "data", Collector())
    request.session.stash[STUDIO_KEY] = studio
    yield studio
    studio.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Stops the studio after its last test: idle, it takes a third of a core from the others."""
    yield
    studio = item.session.stash.get(STUDIO_KEY, None)
    if studio is not None and (nextitem is None or unit_of(nextitem.nodeid) != WHOLE_STUDIO):
        studio.end()


def secrets_in_logs(studio: WholeStudio) -> list[str]:
    """The log lines and spans that contain a secret."""
    secrets = [*json.loads((studio.data_dir / "secrets.json").read_text()).values(), "studio-demo"]
    secrets.append((studio.data_dir / "postgres" / "password").read_text().strip())
    shapes = re.compile(
        "|".join(
            [*map(re.escape, secrets), r"\bsig=(?!\[hidden\])[\w%-]{8,}", r"\beyJ[\w-]{8,}\.[\w-]+"]
        )
    )
    files = [path for path in (studio.data_dir / "logs").rglob("*") if path.is_file()]
    lines = [(path.name, line) for path in files for line in read_lines(path)]
    lines += [("spans", bytes(studio.collector.raw).decode(errors="replace"))]
    matches = [(name, line, shapes.search(line)) for name, line in lines]
    return [f"{name}: {line[:200]} ({match[0][:12]}…)" for name, line, match in matches if match]


def read_lines(path: Path) -> list[str]:
    """The lines of a log; a crash may have written bytes that are no UTF-8."""
    return path.read_text(errors="replace").splitlines()


@pytest.fixture(scope="session")
def studio_url(whole_studio: WholeStudio) -> str:
    """The address of the whole studio."""
    return whole_studio.url


@pytest.fixture
def http(studio_url: str) -> Iterator[httpx.Client]:
    """An HTTP client of the whole studio."""
    with httpx.Client(base_url=studio_url, timeout=60) as client:
        yield client
