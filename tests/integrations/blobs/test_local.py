"""What only the store in a folder does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from errors import NotFound, TooLarge, Unavailable
from integrations.blobs.local import LocalBlobStore
from integrations.blobs.store import open_blob_store
from tests.integrations.blobs.stores import BASE, SECRET, settings_for


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_unfinished_uploads_leave_nothing(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path, BASE, [SECRET])
    with pytest.raises(TooLarge):
        await store.put_new("uploads/a.jpg", stream(b"12345", b"67890"), 9)

    async def broken() -> AsyncIterator[bytes]:
        yield b"123"
        raise ConnectionError("gone")

    with pytest.raises((ConnectionError, Unavailable)):
        await store.put_new("uploads/a.jpg", broken(), 9)
    assert [key async for key in store.list("")] == []
    assert list((tmp_path / ".unfinished").iterdir()) == []
    assert await store.put_new("uploads/a.jpg", stream(b"1"), 9) == 1


def test_localhost_is_one_place(tmp_path: Path) -> None:
    localhost = LocalBlobStore(tmp_path, "http://127.0.0.1:8000", [SECRET])
    assert localhost.key_of("http://localhost:8000/blobs/a.png") == "a.png"
    assert localhost.key_of("http://localhost:8001/blobs/a.png") is None


async def test_a_folder_that_is_gone_holds_no_blob_absent(tmp_path: Path) -> None:
    store = open_blob_store(settings_for(f"file://{tmp_path}/blobs"))
    await store.put("products/a/b.jpg", b"x", "image/jpeg")
    (tmp_path / "blobs").rename(tmp_path / "aside")
    for call in (
        store.get("products/a/b.jpg"), store.head("products/a/b.jpg"),
        store.get_file("products/a/b.jpg", tmp_path / "copy"),
        store.put("products/a/c.jpg", b"y", "image/jpeg"), store.check(),
    ):  # fmt: skip
        with pytest.raises(Unavailable):
            await call
    (tmp_path / "aside").rename(tmp_path / "blobs")
    assert await store.get("products/a/b.jpg") == b"x"
    assert await store.head("products/a/c.jpg") is None


async def test_a_folder_that_comes_back_after_a_look_holds_its_blobs(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path / "blobs", BASE, [SECRET])
    key = "products/a/b.jpg"
    await store.put(key, b"x", "image/jpeg")
    path, looks = store.path_of(key), []

    def read() -> bytes:
        looks.append(path)
        if len(looks) == 1:  # the folder is mounted again just after this look
            raise FileNotFoundError(path)
        return path.read_bytes()

    assert await store._find(read) == b"x"
    with pytest.raises(NotFound):
        await store._find((tmp_path / "blobs" / "absent").read_bytes)
