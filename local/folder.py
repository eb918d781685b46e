"""The studio's data folder: its lock, disk space, secrets, and the facts of a running studio."""

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
    """A data folder; `open` takes its lock, which lasts until the process and its forks end."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    def open(self) -> None:
        """Makes the folder, takes its lock and checks the disk space.

        Raises:
            SetupError: it is not writable, another studio runs in it, or its disk is full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == self.path.stat().st_uid:
                # Root's servers run as a system user, which may enter the folder but not list it.
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
        """Releases the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def secret(self, name: str) -> str:
        """A random secret, which is made at first use and stored.

        Raises:
            SetupError: the file of secrets is damaged.
        """
        path = self.path / "secrets.json"
        try:
            values = json.loads(path.read_text()) if path.exists() else {}
            if name not in values:
                values[name] = secrets.token_urlsafe(48)
                write_private(path, json.dumps(values, indent=2))
            return str(values[name])
        except (ValueError, TypeError) as error:
            raise SetupError(
                f"{path} is damaged: restore it, or remove it (every session then ends)"
            ) from error

    def running(self) -> dict[str, Any] | None:
        """The facts that the running studio wrote; None where no studio runs."""
        try:
            facts = json.loads((self.path / "running.json").read_text())
            return dict(facts) if psutil.pid_exists(int(facts["pid"])) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def was_killed(self) -> bool:
        """Whether the last studio ended without `remove_running_file`."""
        return (self.path / "running.json").exists() and self.running() is None

    def write_running_file(self, facts: dict[str, Any]) -> None:
        """Writes the facts for other `studio` commands; only the owner can read them."""
        write_private(self.path / "running.json", json.dumps({"pid": os.getpid(), **facts}))

    def remove_running_file(self) -> None:
        """Removes the facts of the running studio."""
        (self.path / "running.json").unlink(missing_ok=True)


def require_space(folder: Path) -> None:
    """Requires enough disk space for a studio to work safely.

    Raises:
        SetupError: the disk has too little space or too few free inodes.
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
            f"the disk of {folder} has room for only {disk.f_favail} more files: remove some, "
            f"or set STUDIO_DATA_DIR to another disk"
        )


def write_private(path: Path, text: str) -> None:
    """Writes a file atomically; other users can't read it at any time."""
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    staging.rename(path)
