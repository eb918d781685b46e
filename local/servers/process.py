"""A server as a child process: logged, stopped in time, never outliving its parent."""

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
LOG_BYTES_KEPT = 10 * 2**20


@dataclass(frozen=True)
class Account:
    """The user that a server runs as when the studio itself runs as root."""

    name: str
    uid: int
    gid: int


def die_with_parent(number: int, parent: int | None = None) -> Callable[[], None]:
    """What a child calls right before exec: Linux sends it `number` when its parent is gone.

    It must run after the child has changed its user, which clears the wish; `subprocess` calls
    `preexec_fn` in that order. Elsewhere only the guard ends orphans. parent: this process.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    expected = os.getpid() if parent is None else parent

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != expected:
            os._exit(1)

    return ask


def adopt_orphans() -> None:
    """Descendants whose parent dies become children of this process, so that it can end them."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(grace_s: float) -> list[str]:
    """Ends everything below this process, SIGTERM first; returns the names of what was there."""
    found = psutil.Process().children(recursive=True)
    names = [_name(process) for process in found]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=grace_s)
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
    """Started in a session of its own, so that Ctrl-C in the terminal doesn't reach it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        stop_signal: int = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_BYTES_KEPT:
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
        """None while it runs."""
        return self._process.poll()

    def last_lines(self, count: int = 12) -> str:
        """What this run wrote last, for the message that reports its failure."""
        with self.log.open("rb") as output:
            output.seek(self._log_start)
            lines = output.read()[-64_000:].decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-count:])

    def wait(self, timeout_s: float) -> bool:
        """True when it has ended by itself in time."""
        deadline = time.monotonic() + timeout_s
        while self.exit_code is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.exit_code is not None

    def stop(self, timeout_s: float = 10) -> None:
        """Asks it to end, then kills it; harmless when it has ended already."""
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
