"""A studio in a process of its own, as an operator starts it: for benchmarks and tests."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from settings import PROJECT_ROOT

READY = "Studio is ready: "
WORKERS_AT_MOST = 16
_ports: set[int] = set()


def free_port() -> int:
    """A port that stays free until the caller's server listens on it.

    It is below the ports that the system gives away, of which a starting Ray takes dozens, and
    every process of the test run has ports of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = random.randrange(20_000, 32_000, WORKERS_AT_MOST) + worker % WORKERS_AT_MOST  # noqa: S311
        if port in _ports:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _ports.add(port)
            return port


def environment(data_dir: Path, **variables: str) -> dict[str, str]:
    """This process's environment, without variables of a studio, Ray, make or the test run."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STUDIO_", "RAY_", "MAKE", "OMP_", "PYTEST_"))
    }
    return inherited | {"STUDIO_DATA_DIR": str(data_dir), "PYTHONWARNINGS": "default"} | variables


def studio(data_dir: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs one `studio` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=PROJECT_ROOT,
        env=environment(data_dir, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class RunningStudio:
    """A child process: `studio up --servers-only`, or another command, until it is stopped."""

    def __init__(
        self,
        data_dir: Path,
        *,
        command: list[str] | None = None,
        port: int | None = None,
        **variables: str,
    ) -> None:
        self.data_dir = data_dir
        self.port, self.dashboard_port = port or free_port(), free_port()
        self.variables = variables | {
            "STUDIO_PORT": str(self.port),
            "STUDIO_DASHBOARD_PORT": str(self.dashboard_port),
        }
        self._output = data_dir.with_name(f"{data_dir.name}-{time.monotonic_ns()}.out")
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                command or [sys.executable, "-m", "cli", "up", "--servers-only"],
                cwd=PROJECT_ROOT,
                env=environment(data_dir, **self.variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.family: list[psutil.Process] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_ready(self, timeout_s: float = 60) -> "RunningStudio":
        deadline = time.monotonic() + timeout_s
        while READY not in self.output:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the studio did not get ready:\n{self.output}")
            time.sleep(0.1)
        time.sleep(0.5)
        self.family = psutil.Process(self.pid).children(recursive=True)
        return self

    def inner(self) -> psutil.Process:
        """The inner process, below the supervisor."""
        return psutil.Process(self.pid).children()[0]

    def server(self, name: str) -> psutil.Process:
        return next(process for process in self.family if process.name() == name)

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def exit_code(self, timeout_s: float = 150) -> int:
        return self._process.wait(timeout_s)

    def left_running(self, patience_s: float = 15) -> list[str]:
        """The command lines of its processes that still run after the timeout."""
        _, alive = psutil.wait_procs(self.family, timeout=patience_s)
        return [" ".join(process.cmdline()) for process in alive]

    def end(self) -> None:
        """Stops the process in any state; for use in a `finally` block."""
        if self._process.poll() is None:
            self.send(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
        for process in self.family:
            if process.is_running():
                process.kill()
        self._output.unlink(missing_ok=True)


def remove_data(data_dir: Path) -> None:
    """Removes the data folder, if it is there."""
    shutil.rmtree(data_dir, ignore_errors=True)
