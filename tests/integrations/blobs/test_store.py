"""One suite for every blob store: a folder, and Azure by key and by identity."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from errors import NotFound, SetupError
from integrations.blobs.keys import CHUNK_BYTES
from integrations.blobs.store import open_blob_store
from tests.integrations.blobs.stores import BASE, Store, settings_for


async def test_what_is_put_is_there_until_deleted(
    store: Store,
) -> None:
    key = "uploads/a/b.png"
    assert await store.head(key) is None
    with pytest.raises(NotFound):
        await store.get(key)
    await store.put(key, b"one", "image/png")
    await store.put(key, b"three", "image/png")
    assert await store.get(key) == b"three"
    info = await store.head(key)
    assert info is not None
    assert (info.key, info.size, info.content_type) == (key, 5, "image/png")
    await store.delete(key)
    await store.delete(key)
    assert await store.head(key) is None


async def test_files_of_any_size_are_streamed(store: Store, tmp_path: Path) -> None:
    key, source, target = "indexes/v1/vectors.f16.npy", tmp_path / "source", tmp_path / "target"
    for size in (0, 5_000_001):
        source.write_bytes(bytes(range(251)) * (size // 251))
        target.write_bytes(b"something older and longer" * size)
        await store.put_file(key, source)
        await store.get_file(key, target)
        assert target.read_bytes() == source.read_bytes() == await store.get(key)
    with pytest.raises(NotFound):
        await store.get_file("indexes/v1/none", target)
    with pytest.raises(NotFound):
        await store.put_file("../x", source)


async def test_a_buried_blob_does_not_come_back(
    store: Store, callers: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Nor a blob that is buried before its upload, or after a second upload was refused."""
    until = datetime.now(UTC) + timedelta(minutes=5)
    for has_blob in (True, False):
        key = f"uploads/{has_blob}.jpg"
        upload = await store.sign_put(key, content_type="image/jpeg", max_bytes=9, lifetime_s=60)
        read_url = await store.sign_get(key)
        if has_blob:
            put = await callers.put(upload.url, content=b"data", headers=upload.headers)
            assert put.status_code == 201
        await store.bury(key, until=until)
        await store.bury(key, until=until)
        late = await callers.put(upload.url, content=b"data", headers=upload.headers)
        assert late.status_code in (403, 409)
        assert await store.head(key) is None
        for read in (store.get(key), store.get_file(key, tmp_path / "x"), whole(store, key)):
            with pytest.raises(NotFound):
                await read
        assert (await callers.get(read_url)).content != b"data"
    assert [key async for key in store.list("")] == []


async def test_a_key_is_free_again_when_its_tombstone_has_ended(
    store: Store, callers: httpx.AsyncClient
) -> None:
    await store.put("uploads/x.jpg", b"data", "image/jpeg")
    await store.bury("uploads/x.jpg", until=datetime.now(UTC) - timedelta(seconds=1))
    assert await store.head("uploads/x.jpg") is None
    assert [entry async for entry in store.scan("")] == []
    upload = await store.sign_put(
        "uploads/x.jpg", content_type="image/jpeg", max_bytes=9, lifetime_s=60
    )
    put = await callers.put(upload.url, content=b"data", headers=upload.headers)
    assert put.status_code == 201


async def whole(store: Store, key: str) -> bytes:
    return b"".join([piece async for piece in store.stream(key)])


async def test_pieces(store: Store) -> None:
    data = bytes(range(250)) * 10_000
    await store.put("uploads/x.csv", data, "text/csv")
    pieces = [piece async for piece in store.stream("uploads/x.csv")]
    assert b"".join(pieces) == data and len(pieces) > 1
    assert max(map(len, pieces)) <= CHUNK_BYTES
    with pytest.raises(NotFound):
        await whole(store, "uploads/none.csv")


async def test_ranges(store: Store) -> None:
    data = bytes(range(250)) * 20
    await store.put("indexes/v1/scan.faiss", data, "application/octet-stream")
    for start, size in ((0, 1), (0, 5000), (4096, 100), (4096, 4096), (4999, 1)):
        part = await store.get_range("indexes/v1/scan.faiss", start, size)
        assert part == data[start : start + size]
    with pytest.raises(NotFound):
        await store.get_range("indexes/v1/none", 0, 10)


async def test_a_scan_goes_on_after_any_key(store: Store) -> None:
    keys = ["a/b/c.png", "a/b-c.png", "a/b.png", "a/b/d/e.png", "a/b0.png", "a.png", "b/a.png"]
    for key in keys:
        await store.put(key, b"xyz", "image/png")
    entries = [entry async for entry in store.scan("")]
    assert [entry.key for entry in entries] == sorted(keys)
    assert {entry.size for entry in entries} == {3}
    age = datetime.now(UTC) - entries[0].modified_at
    assert abs(age) < timedelta(minutes=1)
    for after in ["", *sorted(keys), "a/b/", "a/b/c", "zzz"]:
        for prefix in ("", "a", "a/", "a/b", "a/b/", "c"):
            listed = [entry.key async for entry in store.scan(prefix, after=after)]
            assert listed == [key for key in sorted(keys) if key.startswith(prefix) and key > after]


async def test_keys_by_prefix_in_order(store: Store) -> None:
    for key in ("indexes/v2/b.bin", "indexes/v2/a.bin", "indexes/v1/a.bin", "masks/m.png"):
        await store.put(key, b"x", "application/octet-stream")
    assert [key async for key in store.list("indexes/v2/")] == [
        "indexes/v2/a.bin",
        "indexes/v2/b.bin",
    ]
    assert len([key async for key in store.list("indexes/")]) == 3
    assert len([key async for key in store.list("")]) == 4
    assert [key async for key in store.list("none/")] == []


async def test_own_urls_are_known(store: Store) -> None:
    key = "products/p-1.jpg"
    signed = await store.sign_get(key)
    assert store.key_of(signed) == key
    assert store.key_of(signed.partition("?")[0]) == key
    start = signed.partition("products/")[0]
    for other in (
        "https://example.com/blobs/products/p-1.jpg", start + "../x", start + "%2e%2e/x", start,
        start + ".hidden", start + "a//b", start + "a/", start.replace("//", "//evil.") + "a.jpg",
        start.replace("//", "//user@"[:2]) + "\x00", "", "not a url", "http://[", start + "é",
        signed.replace("://", "://x:99999999@"),
    ):  # fmt: skip
        assert store.key_of(other) is None, other


@pytest.mark.parametrize(
    "key",
    ["", "../x", "a/../b", "/etc/passwd", ".hidden", "a/.b", "a//b", "a\x00b", "é", "a" * 600],
)
async def test_names_that_no_blob_has(store: Store, key: str) -> None:
    with pytest.raises(NotFound):
        await store.get(key)
    with pytest.raises(NotFound):
        await store.put(key, b"x", "image/png")
    with pytest.raises(NotFound):
        await store.sign_get(key)
    assert store.key_of(f"{BASE}/blobs/{key}") is None


async def test_check(store: Store) -> None:
    await store.check()


async def test_halves_of_uploads_are_forgotten_quietly(store: Store) -> None:
    await store.put("uploads/x.jpg", b"data", "image/jpeg")
    await store.drop_unfinished(older_than_s=0)
    assert await store.get("uploads/x.jpg") == b"data"


@pytest.mark.parametrize(
    "url",
    ["s3://bucket", "file://relative/path", "azure://only", "azure://c;AccountName=x",
     "https://account.blob.core.windows.net/", "/just/a/path"],
)  # fmt: skip
def test_urls_that_name_no_store(url: str) -> None:
    with pytest.raises(SetupError, match="STUDIO_BLOB_URL"):
        open_blob_store(settings_for(url))
