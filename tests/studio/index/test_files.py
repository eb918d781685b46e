"""Files of a version are fetched by ranges: a broken one is fetched again, a bad one never used."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from errors import Invalid, NotFound, Unavailable
from integrations.blobs.local import LocalBlobStore
from models.index.columns.column_files import COLUMNS, VOCABULARY
from models.index.files import ID_ENDS, ID_TEXT, VECTORS, Manifest
from studio.index import files
from studio.index.files import FETCHES, TRIES, fetch_files, store_files

NAMES = (VECTORS, ID_TEXT, ID_ENDS, *COLUMNS.values(), VOCABULARY)
RANGE = 100


class RangedBlobs(LocalBlobStore):
    """Counts requests of each range and those in flight, and may change an answer."""

    change: Callable[[bytes, int], bytes] = staticmethod(lambda data, _: data)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "http://studio.test", ["a secret of the test"])
        self.requests: Counter[tuple[str, int]] = Counter()
        self.in_flight = self.most_in_flight = 0

    async def get_range(self, key: str, start: int, size: int) -> bytes:
        assert size <= RANGE
        self.requests[key, start] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        try:
            await asyncio.sleep(0.001)
        finally:
            self.in_flight -= 1
        return self.change(await super().get_range(key, start, size), self.requests[key, start])


@pytest.fixture
def blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RangedBlobs:
    monkeypatch.setattr(files, "RANGE_BYTES", RANGE)
    monkeypatch.setattr(files, "RETRY_S", 0.0)
    return RangedBlobs(tmp_path / "blobs")


@pytest.fixture
async def manifest(blobs: RangedBlobs, tmp_path: Path) -> Manifest:
    """The files of version v1 in the store; the largest has 26 ranges."""
    folder = tmp_path / "built"
    folder.mkdir()
    for place, name in enumerate(NAMES):
        (folder / name).write_bytes(bytes(range(251)) * 10 if place == 0 else b"x" * place * 50)
    return await store_files(blobs, "v1", folder)


async def test_ranges_come_together_and_each_once(
    blobs: RangedBlobs, manifest: Manifest, tmp_path: Path
) -> None:
    sizes: list[int] = []
    folder = await fetch_files(blobs, "v1", manifest, tmp_path / "cache", note_bytes=sizes.append)
    for name in NAMES:
        assert (folder / name).read_bytes() == (tmp_path / "built" / name).read_bytes()
    assert blobs.most_in_flight == FETCHES
    assert set(blobs.requests.values()) == {1}
    assert sum(sizes) == sum(int(entry["size"]) for entry in manifest.values())
    blobs.requests.clear()
    assert await fetch_files(blobs, "v1", manifest, tmp_path / "cache") == folder
    assert blobs.requests == {}


async def test_a_broken_range_is_fetched_again(
    blobs: RangedBlobs, manifest: Manifest, tmp_path: Path
) -> None:
    def break_first(data: bytes, request: int) -> bytes:
        if request == 1:
            return data[:-1]
        if request == 2:
            raise Unavailable("the blob store does not answer")
        return data

    blobs.change = break_first
    folder = await fetch_files(blobs, "v1", manifest, tmp_path / "cache")
    assert (folder / VECTORS).read_bytes() == (tmp_path / "built" / VECTORS).read_bytes()
    assert set(blobs.requests.values()) == {3} == {TRIES}


def fail(data: bytes, request: int) -> bytes:
    raise Unavailable("the blob store does not answer")


@pytest.mark.parametrize("change", [fail, lambda data, _: data[:-1]])
async def test_a_download_that_fails_leaves_nothing(
    blobs: RangedBlobs, manifest: Manifest, tmp_path: Path, change: Any
) -> None:
    blobs.change = change
    with pytest.raises(Unavailable, match="blob store"):
        await fetch_files(blobs, "v1", manifest, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert blobs.in_flight == 0
    blobs.change = RangedBlobs.change
    assert (await fetch_files(blobs, "v1", manifest, tmp_path / "cache")).is_dir()


async def test_a_changed_short_or_missing_file_is_named(
    blobs: RangedBlobs, manifest: Manifest, tmp_path: Path
) -> None:
    key = f"indexes/v1/{VECTORS}"
    data = await blobs.get(key)
    for changed in (data[:-1], data + b"x", data[:-1] + b"x"):
        await blobs.put(key, changed, "application/octet-stream")
        with pytest.raises(Invalid, match="damaged: vectors"):
            await fetch_files(blobs, "v1", manifest, tmp_path / "cache")
    await blobs.delete(key)
    with pytest.raises(NotFound, match="vectors"):
        await fetch_files(blobs, "v1", manifest, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
