"""One suite for every blob store: a local folder, and Azure as Azurite plays it."""

import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from errors import NotFound, SetupError, TooLarge, Unavailable
from integrations.blob import open_blob_store
from integrations.blob_azure import AzureBlobStore
from integrations.blob_local import LocalBlobStore
from settings import Settings
from tests.machine import azurite, node

SECRET = "a secret of more than thirty-two bytes"
BASE = "http://studio.test"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def settings_for(url: str) -> Settings:
    return Settings(blob_url=url, jwt_secret=SECRET, public_url=BASE)


@pytest.fixture(scope="module")
def azurite_port() -> Iterator[int]:
    """A real Azurite."""
    program, main = str(node()), str(azurite())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [program, main, "--inMemoryPersistence", "--silent", "--disableTelemetry",
         "--skipApiVersionCheck", "--blobHost", "127.0.0.1", "--blobPort", str(port)],
    )  # fmt: skip
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield port
    process.terminate()
    process.wait()


def azure_url(port: int, container: str) -> str:
    return (
        f"azure://{container};DefaultEndpointsProtocol=http;AccountName={ACCOUNT};"
        f"AccountKey={ACCOUNT_KEY};BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
    )


@pytest.fixture(params=["local", "azure"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[LocalBlobStore | AzureBlobStore]:
    if request.param == "local":
        opened = open_blob_store(settings_for(f"file://{tmp_path}/blobs%20here"))
    else:
        port = request.getfixturevalue("azurite_port")
        opened = open_blob_store(settings_for(azure_url(port, f"c{time.time_ns()}")))
        assert isinstance(opened, AzureBlobStore)
        await opened._container.create_container()
    yield opened
    await opened.aclose()


async def test_what_is_put_is_there_until_deleted(
    store: LocalBlobStore | AzureBlobStore,
) -> None:
    key = "uploads/a/b.png"
    assert await store.head(key) is None
    with pytest.raises(NotFound):
        await store.get(key)
    await store.put(key, b"one", "image/png")
    await store.put(key, b"three", "image/png")
    assert await store.get(key) == b"three"
    found = await store.head(key)
    assert found is not None
    assert (found.key, found.size, found.content_type) == (key, 5, "image/png")
    await store.delete(key)
    await store.delete(key)
    assert await store.head(key) is None


async def test_files_of_any_size_are_streamed(
    store: LocalBlobStore | AzureBlobStore, tmp_path: Path
) -> None:
    key, given, taken = "indexes/v1/vectors.f16.npy", tmp_path / "given", tmp_path / "taken"
    for size in (0, 5_000_001):
        given.write_bytes(bytes(range(251)) * (size // 251))
        taken.write_bytes(b"something older and longer" * size)
        await store.put_file(key, given)
        await store.get_file(key, taken)
        assert taken.read_bytes() == given.read_bytes() == await store.get(key)
    with pytest.raises(NotFound):
        await store.get_file("indexes/v1/none", taken)
    with pytest.raises(NotFound):
        await store.put_file("../x", given)


async def test_keys_by_prefix_in_order(store: LocalBlobStore | AzureBlobStore) -> None:
    for key in ("indexes/v2/b.bin", "indexes/v2/a.bin", "indexes/v1/a.bin", "masks/m.png"):
        await store.put(key, b"x", "application/octet-stream")
    assert [key async for key in store.list("indexes/v2/")] == [
        "indexes/v2/a.bin",
        "indexes/v2/b.bin",
    ]
    assert len([key async for key in store.list("indexes/")]) == 3
    assert len([key async for key in store.list("")]) == 4
    assert [key async for key in store.list("none/")] == []


async def test_own_urls_are_known(store: LocalBlobStore | AzureBlobStore) -> None:
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
async def test_names_that_no_blob_has(store: LocalBlobStore | AzureBlobStore, key: str) -> None:
    with pytest.raises(NotFound):
        await store.get(key)
    with pytest.raises(NotFound):
        await store.put(key, b"x", "image/png")
    with pytest.raises(NotFound):
        await store.sign_get(key)
    assert store.key_of(f"{BASE}/blobs/{key}") is None


async def test_check(store: LocalBlobStore | AzureBlobStore) -> None:
    await store.check()


async def test_azure_urls_work_once_and_only_as_signed(azurite_port: int) -> None:
    store = open_blob_store(settings_for(azure_url(azurite_port, "signed")))
    assert isinstance(store, AzureBlobStore)
    await store._container.create_container()
    key = "uploads/x.jpg"
    upload = await store.sign_put(key, content_type="image/jpeg", max_bytes=10, lifetime_s=60)
    read = await store.sign_get(key)
    assert "sp=c&" in upload.url
    async with httpx.AsyncClient() as client:
        assert (await client.get(read)).status_code == 404
        put = await client.put(upload.url, content=b"data", headers=upload.headers)
        assert put.status_code == 201
        again = await client.put(upload.url, content=b"other", headers=upload.headers)
        assert again.status_code in (403, 409)
        assert (await client.get(upload.url)).status_code == 403
        other = upload.url.replace("x.jpg", "y.jpg")
        answer = await client.put(other, content=b"x", headers=upload.headers)
        assert answer.status_code == 403
        got = await client.get(read)
        assert (got.content, got.headers["content-type"]) == (b"data", "image/jpeg")
    await store.aclose()


async def test_a_server_that_is_gone() -> None:
    store = open_blob_store(settings_for(azure_url(1, "gone")))
    with pytest.raises(Unavailable):
        await store.check()
    with pytest.raises(Unavailable):
        await store.get("a.png")
    await store.aclose()


@pytest.mark.parametrize(
    "url",
    ["s3://bucket", "file://relative/path", "azure://only", "azure://c;AccountName=x",
     "https://account.blob.core.windows.net/", "/just/a/path"],
)  # fmt: skip
def test_urls_that_name_no_store(url: str) -> None:
    with pytest.raises(SetupError, match="STUDIO_BLOB_URL"):
        open_blob_store(settings_for(url))


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


async def test_a_local_url_stays_the_same_for_a_while(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path, BASE, [SECRET])
    urls = {await store.sign_get("a.png") for _ in range(50)}
    assert len(urls) <= 2
    localhost = LocalBlobStore(tmp_path, "http://127.0.0.1:8000", [SECRET])
    assert localhost.key_of("http://localhost:8000/blobs/a.png") == "a.png"
    assert localhost.key_of("http://localhost:8001/blobs/a.png") is None
