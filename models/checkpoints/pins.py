"""`models.lock`: the revision and the SHA-256 of every file of a published checkpoint.

A pinned checkpoint is fetched at its revision, every file is compared, and loaders get a folder
with only those files: later changes at the hub never reach a replica.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from errors import SetupError
from models.checkpoints.weights import HUB_PREFIX

Files = dict[str, str]
"""SHA-256 of each file, by its path in the repository."""


@dataclass(frozen=True)
class Pin:
    """The repository, revision and files of a checkpoint."""

    repository: str
    revision: str
    files: Files


@dataclass(frozen=True)
class Pinning:
    """The lock that a process uses; `required`: whether checkpoints without a pin are refused."""

    lock: Path | None = None
    required: bool = False


NO_PINS = Pinning()


def read_lock(path: Path | None) -> dict[str, Pin]:
    """The pins by checkpoint; empty without a lock.

    Raises:
        SetupError: the file does not have the format that `studio models lock` writes.
    """
    if path is None or not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text())
        return {name: Pin(**entry) for name, entry in entries.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise SetupError(f"{path} is damaged: write it again with `studio models lock`") from error


def write_lock(path: Path, pins: dict[str, Pin]) -> None:
    """Writes the lock atomically, sorted so that a change is easy to review."""
    text = json.dumps({name: vars(pin) for name, pin in pins.items()}, indent=1, sort_keys=True)
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    staging.write_text(text + "\n")
    staging.replace(path)


def find_pin(checkpoint: str, pinning: Pinning) -> Pin | None:
    """The checkpoint's pin; None where it is not pinned and need not be.

    Raises:
        SetupError: it is not pinned, and this studio loads pinned checkpoints only.
    """
    name = checkpoint.removeprefix(HUB_PREFIX)
    pin = read_lock(pinning.lock).get(name)
    if pin is None and pinning.required:
        raise SetupError(
            f"the checkpoint {checkpoint} is not pinned in {pinning.lock or 'models.lock'}: "
            "run `studio models lock` where the hub can be reached, and put the file into the "
            "repository; or name a folder (local-dir:/path)"
        )
    return pin


@contextmanager
def pinned_folder(checkpoint: str, pinning: Pinning) -> Iterator[Path | None]:
    """A folder with the verified files of a hub's checkpoint, while the block runs.

    None where the checkpoint is not pinned and need not be.

    Raises:
        SetupError: it is not pinned, can't be fetched, or a file is not the pinned one.
    """
    pin = find_pin(checkpoint, pinning)
    if pin is None:
        yield None
        return
    source = fetch(pin)
    with tempfile.TemporaryDirectory(prefix="studio-checkpoint-") as name:
        folder = Path(name)
        for file in pin.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).symlink_to((source / file).resolve())
        yield folder


@contextmanager
def checkpoint_source(
    checkpoint: str, folder: Path | str | None, pinning: Pinning
) -> Iterator[str]:
    """The folder or name that a loader opens; a folder is valid while the block runs.

    It is the checkpoint itself if that is a folder, else the folder with the pinned files, or the
    hub's name where the checkpoint is not pinned.
    """
    if folder is not None:
        yield str(folder)
        return
    with pinned_folder(checkpoint, pinning) as pinned:
        yield str(pinned or checkpoint.removeprefix(HUB_PREFIX))


def fetch(pin: Pin) -> Path:
    """The hub's cache folder of the pinned revision, after comparing every pinned file.

    Raises:
        SetupError: a file can't be fetched, or is not the pinned one.
    """
    cached = find_cached(pin)
    if cached is not None:
        return _verified(cached, pin)
    with hub_errors(f"{pin.repository} at {pin.revision} can't be fetched"):
        folder = _snapshot(pin, offline=False)
    return _verified(folder, pin)


def require_cached(pin: Pin) -> Path:
    """Like `fetch`, of what this machine has.

    Raises:
        SetupError: a file is missing, or is not the pinned one.
    """
    cached = find_cached(pin)
    if cached is None:
        raise SetupError(
            f"{pin.repository} at {pin.revision} is not on this machine: run `studio models fetch`"
        )
    return _verified(cached, pin)


def find_cached(pin: Pin) -> Path | None:
    """The cache folder of the pinned revision; None unless it has every pinned file."""
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415 - as in `_snapshot`

    try:
        folder = _snapshot(pin, offline=True)
    except LocalEntryNotFoundError:
        return None
    return folder if all((folder / file).exists() for file in pin.files) else None


def remove_damaged(pin: Pin) -> None:
    """Removes cached files that are not the pinned ones, so that `fetch` downloads them again."""
    folder = find_cached(pin)
    for file, sha256 in pin.files.items() if folder else ():
        path = Path(folder or "") / file
        if _sha256(path) != sha256:
            path.resolve().unlink()  # the cache links to one file for all revisions
            path.unlink(missing_ok=True)


@contextmanager
def hub_errors(failure: str) -> Iterator[None]:
    """Turns what the hub's client raises into a SetupError that begins with `failure`."""
    from huggingface_hub import constants, errors  # noqa: PLC0415 - as in `_snapshot`

    http_errors = cast("tuple[type[Exception], ...]", errors.HfHubHTTPError.__bases__)
    failures: tuple[type[Exception], ...] = (OSError, ValueError, *http_errors)
    try:
        yield
    except errors.RepositoryNotFoundError:
        reason = "the hub does not have this repository, or HF_TOKEN may not read it"
    except errors.RevisionNotFoundError:
        reason = "the hub does not have this revision"
    except failures as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        if constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE=1 forbids downloads; run `studio models fetch`"
    else:
        return
    raise SetupError(f"{failure}: {reason}")


def _snapshot(pin: Pin, *, offline: bool) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only hub names need it

    return Path(
        snapshot_download(
            pin.repository,
            revision=pin.revision,
            allow_patterns=[*pin.files],
            local_files_only=offline,
        )
    )


def _verified(folder: Path, pin: Pin) -> Path:
    for file, sha256 in pin.files.items():
        path = folder / file
        if not path.exists():
            raise SetupError(f"{pin.repository} has no {file} at {pin.revision}")
        if _sha256(path) != sha256:
            raise SetupError(
                f"{path} is not the file that is pinned in models.lock (SHA-256 {sha256}): run "
                "`studio models fetch`, which downloads it again, and find out who changed it"
            )
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
