"""Servers as child processes, which have a log and a time limit to stop and end with the parent."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from errors import SetupError

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MAX_LOG_BYTES = 10 * 2**20


@dataclass(frozen=True)
class OsAccount:
    """The system user that a server runs as when the studio runs as root."""

    name: str
    uid: int
    gid: int


def die_with_parent(number: int, parent: int | None = None) -> Callable[[], None]:
    """A function for a child to call before exec: Linux then signals it when its parent dies.

    The child must call it after it has changed its user, which would clear the setting;
    `subprocess` calls `preexec_fn` in that order. On other systems only the supervisor ends
    orphans.

    Args:
        number: the signal.
        parent: process id of the parent; by default this process.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    expected = os.getpid() if parent is None else parent

    def set_death_signal() -> None:
        prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != expected:
            os._exit(1)

    return set_death_signal


def adopt_orphans() -> None:
    """Makes descendants whose parent dies children of this process, so that it can end them."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(grace_s: float) -> list[str]:
    """Ends all descendants of this process, first with SIGTERM; returns their names."""
    descendants = psutil.Process().children(recursive=True)
    names = [_name(process) for process in descendants]
    for process in descendants:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(descendants, timeout=grace_s)
    for process in [*alive, *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return names


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return str(process.pid)


class ChildProcess:
    """A process in a session of its own, so that Ctrl-C in the terminal does not reach it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        account: OsAccount | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        stop_signal: int = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
            log.replace(log.with_suffix(".old.log"))
        try:
            with log.open("ab") as output:
                self._log_start = output.tell()
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    env=dict(environment) if environment is not None else None,
                    start_new_session=True,
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=[] if account else None,
                    preexec_fn=die_with_parent(stop_signal),  # noqa: PLW1509 - before any thread
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise SetupError(f"{name} can't be started ({command[0]}): {error}") from error
        self._feed(stdin)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the process runs."""
        return self._process.poll()

    def last_lines(self, count: int = 12) -> str:
        """The last log lines of this run, for an error message."""
        with self.log.open("rb") as output:
            output.seek(self._log_start)
            lines = output.read()[-64_000:].decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-count:])

    def wait(self, timeout_s: float) -> bool:
        """Waits until it ends by itself; False where it still runs after the timeout."""
        deadline = time.monotonic() + timeout_s
        while self.exit_code is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.exit_code is not None

    def stop(self, timeout_s: float = 10) -> None:
        """Sends the stop signal and kills the process after the timeout, unless it has ended."""
        if self.exit_code is None:
            self._process.send_signal(self._stop_signal)
            if not self.wait(timeout_s):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()

    def _feed(self, stdin: bytes) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.write(stdin)
                pipe.close()
