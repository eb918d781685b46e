"""The studio's data folder: one owner at a time, room on its disk, its secrets, what runs on it."""

import fcntl
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import psutil

from errors import SetupError

NEEDED_BYTES = 2**30
NEEDED_FILES = 10_000


class DataFolder:
    """Holds the folder's lock from `open` until the process and its forks are gone."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    def open(self) -> None:
        """Makes the folder, takes its lock, looks at its disk.

        Raises:
            SetupError: it can't be written, another studio runs in it, or its disk is full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == self.path.stat().st_uid:
                # Root's servers run as a system user: it may pass through, and read no names.
                self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            require_space(self.path)
            self._take_lock()
        except OSError as error:
            raise SetupError(
                f"the data folder {self.path} can't be used ({error.strerror}): "
                f"set STUDIO_DATA_DIR to a folder that this user can write"
            ) from error

    def _take_lock(self) -> None:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode().strip()
            os.close(lock)
            raise SetupError(
                f"a studio already runs in {self.path} (process {holder}): "
                f"stop it, or set STUDIO_DATA_DIR to another folder"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def close(self) -> None:
        """Gives the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def secret(self, name: str) -> str:
        """A random secret, made at first use and kept across restarts.

        Raises:
            SetupError: the file of secrets can't be read.
        """
        path = self.path / "secrets.json"
        try:
            known = json.loads(path.read_text()) if path.exists() else {}
            if name not in known:
                known[name] = secrets.token_urlsafe(48)
                write_private(path, json.dumps(known, indent=2))
            return str(known[name])
        except (ValueError, TypeError) as error:
            raise SetupError(
                f"{path} is damaged: bring it back, or remove it (every session then ends)"
            ) from error

    def running(self) -> dict[str, Any] | None:
        """What the studio that runs here wrote about itself; None when none runs."""
        try:
            found = json.loads((self.path / "running.json").read_text())
            return dict(found) if psutil.pid_exists(int(found["pid"])) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def was_killed(self) -> bool:
        """True when the studio before did not get as far as `tell_stopped`."""
        return (self.path / "running.json").exists() and self.running() is None

    def tell_running(self, facts: dict[str, Any]) -> None:
        """For the operator's other commands; it holds passwords, so only the owner may read it."""
        write_private(self.path / "running.json", json.dumps({"pid": os.getpid(), **facts}))

    def tell_stopped(self) -> None:
        """Nothing runs here any more."""
        (self.path / "running.json").unlink(missing_ok=True)


def require_space(folder: Path) -> None:
    """Raises:
    SetupError: the disk has less room than a studio needs to work safely.
    """
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise SetupError(
            f"the disk of {folder} has {free / 2**20:.0f} MB free and the studio needs "
            f"{NEEDED_BYTES / 2**20:.0f} MB: free some, or set STUDIO_DATA_DIR to another disk"
        )
    disk = os.statvfs(folder)
    if disk.f_files and disk.f_favail < NEEDED_FILES:
        raise SetupError(
            f"the disk of {folder} takes only {disk.f_favail} more files: remove some, "
            f"or set STUDIO_DATA_DIR to another disk"
        )


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, readable by the owner only from the first byte."""
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    staging.rename(path)
