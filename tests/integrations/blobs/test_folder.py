"""The folder of a local store: unique keys, tombstones and free space."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from errors import Conflict
from integrations.blobs.folder import (
    TOMBSTONES,
    UNFINISHED,
    DiskFull,
    bury,
    check_free,
    drop_ended,
    is_buried,
    link_new,
    require_new_key,
    scan_folder,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (UNFINISHED, TOMBSTONES):
        (tmp_path / name).mkdir()
    (tmp_path / "part").write_bytes(b"x")
    return tmp_path


def test_a_key_is_given_once(folder: Path) -> None:
    link_new(folder / "part", folder, "masks/a.png")
    assert (folder / "masks" / "a.png").read_bytes() == b"x"
    with pytest.raises(Conflict):
        require_new_key(folder, "masks/a.png")
    with pytest.raises(Conflict):
        link_new(folder / "part", folder, "masks/a.png")


def test_a_buried_key_stays_free_until_its_tombstone_ends(folder: Path) -> None:
    link_new(folder / "part", folder, "masks/a.png")
    bury(folder, "masks/a.png", datetime.now(UTC) + HOUR)
    assert is_buried(folder, "masks/a.png") and not (folder / "masks" / "a.png").exists()
    with pytest.raises(Conflict, match="deleted"):
        link_new(folder / "part", folder, "masks/a.png")
    assert not (folder / "masks" / "a.png").exists()
    bury(folder, "masks/b.png", datetime.now(UTC) - HOUR)
    require_new_key(folder, "masks/b.png")


def test_unfinished_files_and_ended_tombstones_are_dropped(folder: Path) -> None:
    (folder / UNFINISHED / "old").write_bytes(b"x")
    bury(folder, "masks/a.png", datetime.now(UTC) + HOUR)
    drop_ended(folder, older_than_s=3600)
    assert (folder / UNFINISHED / "old").exists() and is_buried(folder, "masks/a.png")
    drop_ended(folder, older_than_s=-1)
    assert not (folder / UNFINISHED / "old").exists() and is_buried(folder, "masks/a.png")


def test_hidden_names_are_no_blobs(folder: Path) -> None:
    (folder / UNFINISHED / "x").write_bytes(b"x")
    link_new(folder / "part", folder, "b/c.png")
    assert [entry.key for entry in scan_folder(folder, "")] == ["b/c.png", "part"]


def test_a_nearly_full_disk_is_refused(folder: Path) -> None:
    check_free(folder, 0, 1 << 60)
    with pytest.raises(DiskFull):
        check_free(folder, 1 << 60)
