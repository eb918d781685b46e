"""Reading signed URLs of the local store over HTTP."""

import httpx
import pytest

from integrations.blobs.local import LocalBlobStore
from studio.ports import Studio
from tests.support.fakes import picture

KEY = "products/a.jpg"
DATA = picture()


@pytest.fixture
async def url(studio: Studio) -> str:
    await studio.blobs.put(KEY, DATA, "image/jpeg")
    return await studio.blobs.sign_get(KEY)


async def test_what_a_browser_needs(client: httpx.AsyncClient, url: str) -> None:
    answer = await client.get(url)
    assert answer.content == DATA
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].startswith("private, max-age=")
    assert int(answer.headers["cache-control"].split("=")[1].split(",")[0]) >= 890
    head = await client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(DATA))
    condition = {"If-None-Match": answer.headers["etag"]}
    assert (await client.get(url, headers=condition)).status_code == 304


@pytest.mark.parametrize(
    ("byte_range", "status", "data"),
    [
        ("bytes=0-9", 206, DATA[:10]),
        ("bytes=10-", 206, DATA[10:]),
        ("bytes=-5", 206, DATA[-5:]),
        ("bytes=0-999999", 206, DATA),
        ("bytes=999999-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=9-3", 200, DATA),
        ("bytes=0-1,4-5", 200, DATA),
        ("lines=1-2", 200, DATA),
        ("bytes=", 200, DATA),
        ("bytes=-", 200, DATA),
    ],
)
async def test_ranges(
    client: httpx.AsyncClient, url: str, byte_range: str, status: int, data: bytes | None
) -> None:
    answer = await client.get(url, headers={"Range": byte_range})
    assert answer.status_code == status
    if data is None:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["content-range"] == f"bytes */{len(DATA)}"
    else:
        assert answer.content == data


@pytest.mark.parametrize(
    "spoil",
    [
        lambda url: url.partition("?")[0],
        lambda url: url.replace("a.jpg", "b.jpg"),
        lambda url: url.replace("op=get", "op=put").replace("exp=", "exp=1"),
        lambda url: url.replace("exp=", "exp=1"),
        lambda url: url.replace("sig=", "sig=A"),
        lambda url: url + "&exp=99999999999",
        lambda url: url.replace("/products/", "/../"),
        lambda url: url.replace("/products/", "/%2e%2e/"),
        lambda url: url.replace("/products/", "//"),
    ],
)
async def test_spoilt_urls(client: httpx.AsyncClient, url: str, spoil: object) -> None:
    assert callable(spoil)
    answer = await client.get(spoil(url))
    assert answer.status_code in (403, 404)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_expired_urls(client: httpx.AsyncClient, studio: Studio, url: str) -> None:
    expired = await studio.blobs.sign_get(KEY, lifetime_s=-900)
    assert (await client.get(expired)).status_code == 403
    upload = await studio.blobs.sign_put(
        "uploads/x.jpg", content_type="image/jpeg", max_bytes=9, lifetime_s=-1
    )
    put = await client.put(upload.url, content=b"x", headers=upload.headers)
    assert put.status_code == 403
    assert isinstance(studio.blobs, LocalBlobStore)
    assert await studio.blobs.head("uploads/x.jpg") is None
