"""One suite for every blob store: a folder; Azure, as Azurite plays it, by key and by identity."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from azure.storage.blob.aio import BlobServiceClient
from fastapi import FastAPI

from errors import NotFound, SetupError, TooLarge, Unavailable
from gateway.arrivals import Arrivals
from gateway.error_answers import register_handlers
from gateway.routes import blobs
from integrations.blobs import store as blob
from integrations.blobs.azure import AzureBlobStore
from integrations.blobs.keys import CHUNK_BYTES
from integrations.blobs.local import LocalBlobStore
from integrations.blobs.store import open_blob_store
from settings import Settings
from tests.support.azurite import ACCOUNT, ACCOUNT_KEY, Azurite, Identity

SECRET = "a secret of more than thirty-two bytes"
BASE = "http://studio.test"


def settings_for(url: str) -> Settings:
    return Settings(blob_url=url, jwt_secret=SECRET, public_url=BASE)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A real Azurite with a certificate."""
    server = Azurite(tmp_path_factory.mktemp("azurite"), tls=True).start()
    yield server
    server.stop()


def azure_url(port: int, container: str) -> str:
    return (
        f"azure://{container};DefaultEndpointsProtocol=http;AccountName={ACCOUNT};"
        f"AccountKey={ACCOUNT_KEY};BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
    )


Store = LocalBlobStore | AzureBlobStore


@pytest.fixture(params=["folder", "key", "identity"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    if request.param == "folder":
        opened: Store = open_blob_store(settings_for(f"file://{tmp_path}/blobs%20here"))
    else:
        server: Azurite = request.getfixturevalue("azure")
        trusting = blob.AZURE_OPTIONS | {"connection_verify": str(server.certificate)}
        monkeypatch.setattr(blob, "AZURE_OPTIONS", trusting)
        container = f"c{time.time_ns()}"
        server.make_container(container)
        if request.param == "key":
            opened = open_blob_store(settings_for(server.blob_url(container)))
        else:  # as `open_azure_by_identity`, whose credential only Azure itself gives
            options = cast(Any, {"credential": Identity()} | trusting)
            service = BlobServiceClient(server.url, **options)
            opened = AzureBlobStore(service, container, account_key=None)
    yield opened
    await opened.aclose()
    await asyncio.sleep(0.1)  # TLS says good-bye in the background


@asynccontextmanager
async def callers_of(store: Store, certificate: Path | None) -> AsyncIterator[httpx.AsyncClient]:
    """What callers reach the store's URLs with: the network, or the Gateway's own route."""
    if isinstance(store, AzureBlobStore):
        async with httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=certificate)
        ) as client:
            yield client
        return
    app = FastAPI()
    app.state.resources = SimpleNamespace(studio=SimpleNamespace(blobs=store), arrivals=Arrivals())
    register_handlers(app)
    app.include_router(blobs.router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield client


@pytest.fixture
async def callers(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[httpx.AsyncClient]:
    is_azure = isinstance(store, AzureBlobStore)
    certificate = request.getfixturevalue("azure").certificate if is_azure else None
    async with callers_of(store, certificate) as client:
        yield client


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
    found = await store.head(key)
    assert found is not None
    assert (found.key, found.size, found.content_type) == (key, 5, "image/png")
    await store.delete(key)
    await store.delete(key)
    assert await store.head(key) is None


async def test_files_of_any_size_are_streamed(store: Store, tmp_path: Path) -> None:
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


async def test_a_buried_blob_does_not_come_back(
    store: Store, callers: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Neither does one that is buried before it was put, or after a twin's PUT was refused."""
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
            found = [entry.key async for entry in store.scan(prefix, after=after)]
            assert found == [key for key in sorted(keys) if key.startswith(prefix) and key > after]


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


async def test_a_url_takes_one_blob_once(store: Store, callers: httpx.AsyncClient) -> None:
    key = "uploads/x.jpg"
    upload = await store.sign_put(key, content_type="image/jpeg", max_bytes=10, lifetime_s=60)
    assert {"Content-Type", "x-ms-blob-type"} == set(upload.headers)
    put = await callers.put(upload.url, content=b"data", headers=upload.headers)
    assert put.status_code == 201, put.text
    again = await callers.put(upload.url, content=b"other", headers=upload.headers)
    assert again.status_code in (403, 409)
    assert await store.get(key) == b"data"
    found = await store.head(key)
    assert found is not None and (found.size, found.content_type) == (4, "image/jpeg")


async def test_a_url_to_put_opens_nothing_else(store: Store, callers: httpx.AsyncClient) -> None:
    await store.put("uploads/x.jpg", b"data", "image/jpeg")
    upload = await store.sign_put(
        "uploads/x.jpg", content_type="image/jpeg", max_bytes=10, lifetime_s=60
    )
    over = await callers.put(upload.url, content=b"other", headers=upload.headers)
    assert over.status_code in (403, 409)  # create-only: what is there stays
    assert (await callers.get(upload.url)).status_code == 403
    assert (await callers.delete(upload.url)).status_code in (403, 405)
    other = upload.url.replace("x.jpg", "y.jpg")
    refused = await callers.put(other, content=b"x", headers=upload.headers)
    assert refused.status_code == 403
    assert await store.get("uploads/x.jpg") == b"data"
    assert await store.head("uploads/y.jpg") is None


async def test_a_url_to_get_only_reads(store: Store, callers: httpx.AsyncClient) -> None:
    url = await store.sign_get("uploads/x.jpg")
    assert (await callers.get(url)).status_code == 404
    await store.put("uploads/x.jpg", b"data", "image/jpeg")
    got = await callers.get(url)
    assert (got.content, got.headers["content-type"]) == (b"data", "image/jpeg")
    part = await callers.get(url, headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.content) == (206, b"at")
    put = await callers.put(url, content=b"x", headers={"x-ms-blob-type": "BlockBlob"})
    assert put.status_code == 403
    plain = url.partition("?")[0]
    assert (await callers.get(plain)).status_code in (403, 404, 409)
    assert (await callers.get(url.replace("sig=", "sig=x"))).status_code == 403
    assert await store.get("uploads/x.jpg") == b"data"


async def test_a_reader_is_told_the_type_of_the_key_and_no_other(
    store: Store, callers: httpx.AsyncClient
) -> None:
    """Azure takes any type with a PUT; a page of HTML must not be served from its domain."""
    upload = await store.sign_put(
        "uploads/x.jpg", content_type="image/jpeg", max_bytes=99, lifetime_s=60
    )
    as_html = upload.headers | {"Content-Type": "text/html"}
    put = await callers.put(upload.url, content=b"<script>", headers=as_html)
    if isinstance(store, LocalBlobStore):
        assert put.status_code == 415
        await store.put("uploads/x.jpg", b"<script>", "text/html")
    else:
        assert put.status_code == 201
        found = await store.head("uploads/x.jpg")
        assert found is not None and found.content_type == "text/html"
    got = await callers.get(await store.sign_get("uploads/x.jpg"))
    assert (got.status_code, got.headers["content-type"]) == (200, "image/jpeg")


def end_of(url: str) -> float:
    """Seconds of the epoch."""
    query = parse_qs(urlsplit(url).query)
    if "exp" in query:
        return int(query["exp"][0])
    return datetime.fromisoformat(query["se"][0]).timestamp()


async def test_a_read_url_lives_15_to_20_minutes_and_stays_the_same(store: Store) -> None:
    urls = {await store.sign_get("uploads/x.jpg") for _ in range(20)}
    assert len(urls) <= 2  # a step may end meanwhile
    for url in urls:
        assert 898 <= end_of(url) - time.time() <= 1200


async def test_urls_end(store: Store, callers: httpx.AsyncClient) -> None:
    await store.put("uploads/x.jpg", b"data", "image/jpeg")
    ended = await store.sign_get("uploads/x.jpg", lifetime_s=-3600)
    assert (await callers.get(ended)).status_code == 403
    upload = await store.sign_put(
        "uploads/y.jpg", content_type="image/jpeg", max_bytes=10, lifetime_s=-60
    )
    put = await callers.put(upload.url, content=b"x", headers=upload.headers)
    assert put.status_code == 403


async def test_halves_of_uploads_are_forgotten_quietly(store: Store) -> None:
    await store.put("uploads/x.jpg", b"data", "image/jpeg")
    await store.drop_unfinished(older_than_s=0)
    assert await store.get("uploads/x.jpg") == b"data"


async def test_an_identity_signs_with_a_key_of_the_service(azure: Azurite) -> None:
    """User delegation: no account key anywhere, and one round trip for many signatures."""
    options = cast(Any, {"credential": Identity(), "connection_verify": str(azure.certificate)})
    service = BlobServiceClient(azure.url, **options)
    azure.make_container("delegated")
    store = AzureBlobStore(service, "delegated", account_key=None)
    urls = [await store.sign_get(f"uploads/{number}.jpg") for number in range(3)]
    assert all("skoid=" in url and "spr=https&" in url for url in urls)
    first = store._delegation
    await store.sign_get("uploads/x.jpg")
    assert store._delegation is first
    await store.aclose()
    await asyncio.sleep(0.1)


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
