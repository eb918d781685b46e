"""Signed URLs of every blob store: each allows one operation for a limited time."""

import time
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import httpx

from integrations.blobs.local import LocalBlobStore
from tests.integrations.blobs.stores import Store


async def test_a_url_takes_one_blob_once(store: Store, callers: httpx.AsyncClient) -> None:
    key = "uploads/x.jpg"
    upload = await store.sign_put(key, content_type="image/jpeg", max_bytes=10, lifetime_s=60)
    assert {"Content-Type", "x-ms-blob-type"} == set(upload.headers)
    put = await callers.put(upload.url, content=b"data", headers=upload.headers)
    assert put.status_code == 201, put.text
    again = await callers.put(upload.url, content=b"other", headers=upload.headers)
    assert again.status_code in (403, 409)
    assert await store.get(key) == b"data"
    info = await store.head(key)
    assert info is not None and (info.size, info.content_type) == (4, "image/jpeg")


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
    response = await callers.get(url)
    assert (response.content, response.headers["content-type"]) == (b"data", "image/jpeg")
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
    """Azure accepts any type with a PUT; HTML must not be served from its domain."""
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
        info = await store.head("uploads/x.jpg")
        assert info is not None and info.content_type == "text/html"
    response = await callers.get(await store.sign_get("uploads/x.jpg"))
    assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")


def end_of(url: str) -> float:
    """When a signed URL expires, in seconds of the epoch."""
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
