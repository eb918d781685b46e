"""Uploads from presign to delete, as a client sees them."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlmodel import select, update

from db.tables import File, Product
from errors import Conflict, Invalid, NotAnImage, NotFound
from studio.files.files import load_image
from studio.ports import Studio
from tests.support.fakes import picture, sign_in

PNG = picture("green", kind="PNG")
JPEG = picture()


async def presign(
    client: httpx.AsyncClient, headers: dict[str, str], **changes: Any
) -> httpx.Response:
    body = {
        "filename": "me.jpg", "contentType": "image/jpeg", "sizeBytes": len(JPEG),
        "purpose": "selfie",
    }  # fmt: skip
    return await client.post("/api/files/presign", json=body | changes, headers=headers)


async def upload(
    client: httpx.AsyncClient, headers: dict[str, str], data: bytes = JPEG, **changes: Any
) -> dict[str, Any]:
    """Presigns and uploads a file without completing it."""
    answer = await presign(client, headers, sizeBytes=len(data), **changes)
    assert answer.status_code == 201, answer.text
    receipt: dict[str, Any] = answer.json()
    put = await client.put(receipt["url"], content=data, headers=receipt["headers"])
    assert put.status_code == 201, put.text
    return receipt


async def ready(
    client: httpx.AsyncClient, headers: dict[str, str], data: bytes = JPEG, **changes: Any
) -> dict[str, Any]:
    receipt = await upload(client, headers, data, **changes)
    done = await client.post(f"/api/files/{receipt['fileId']}/complete", headers=headers)
    assert done.status_code == 200, done.text
    body: dict[str, Any] = done.json()
    return body


PUBLIC_KEY = "products/copy.jpg"


async def put_on_sale(studio: Studio, file_id: UUID) -> None:
    """Creates a product that shows the file's picture."""
    await studio.blobs.put(PUBLIC_KEY, JPEG, "image/jpeg")
    async with studio.database.transaction() as session:
        file = (await session.exec(select(File).where(File.id == file_id))).one()
        session.add(
            Product(
                id="p-1",
                owner_id=file.owner_id,
                title="x",
                category="x",
                price=Decimal(1),
                currency="EUR",
                file_id=file.id,
                image_key=PUBLIC_KEY,
                image_sha256="x",
                change_seq=1,
            )
        )


async def take_off_sale(studio: Studio) -> None:
    """The deleted product's row remains."""
    async with studio.database.transaction() as session:
        await session.exec(update(Product).values(deleted_at=datetime.now(UTC)))


async def test_an_upload_from_presign_to_delete(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await sign_in(client, studio)
    receipt = (await presign(client, headers)).json()
    assert set(receipt) == {"fileId", "url", "method", "headers", "expiresAt", "fileUrl"}
    assert receipt["method"] == "PUT"
    path = f"/api/files/{receipt['fileId']}"
    pending = (await client.get(path, headers=headers)).json()
    assert pending["status"] == "pending"
    assert pending["readUrl"] is None
    early = await client.post(path + "/complete", headers=headers)
    assert early.status_code == 409
    put = await client.put(receipt["url"], content=JPEG, headers=receipt["headers"])
    assert put.status_code == 201
    done = await client.post(path + "/complete", headers=headers)
    assert done.status_code == 200
    file = done.json()
    assert (file["status"], file["width"], file["height"]) == ("ready", 32, 24)
    assert len(file["sha256"]) == 64
    assert (await client.post(path + "/complete", headers=headers)).json() == file
    for url in (file["readUrl"], receipt["fileUrl"]):
        read = await client.get(url)
        assert read.content == JPEG
        assert read.headers["content-type"] == "image/jpeg"
    listed = (await client.get("/api/files", headers=headers)).json()
    assert listed == {"items": [file], "nextCursor": None}
    assert (await client.delete(path, headers=headers)).status_code == 204
    assert (await client.get(path, headers=headers)).status_code == 404
    assert (await client.delete(path, headers=headers)).status_code == 404
    assert (await client.get(file["readUrl"])).status_code == 404


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"sizeBytes": 0}, 422),
        ({"sizeBytes": 15_000_001}, 413),
        ({"contentType": "text/html"}, 422),
        ({"contentType": "text/csv"}, 422),
        ({"purpose": "other"}, 422),
        ({"filename": ""}, 422),
        ({"filename": "x" * 256}, 422),
        ({"purpose": "dataset"}, 422),
        ({"purpose": "dataset", "contentType": "text/csv", "sizeBytes": 200_000_001}, 413),
        ({"purpose": "dataset", "contentType": "text/csv", "sizeBytes": 200_000_000}, 201),
        ({"sizeBytes": 15_000_000}, 201),
        ({"extra": 1}, 422),
        ({"sizeBytes": 2**70}, 413),
    ],
)
async def test_what_may_be_announced(
    client: httpx.AsyncClient, studio: Studio, changes: dict[str, Any], status: int
) -> None:
    headers = await sign_in(client, studio, "merchant")
    assert (await presign(client, headers, **changes)).status_code == status


async def test_the_signed_put_takes_only_what_was_announced(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio)
    receipt = (await presign(client, headers)).json()
    url, right = receipt["url"], receipt["headers"]
    wrong_type = await client.put(url, content=JPEG, headers={"Content-Type": "text/html"})
    assert wrong_type.status_code == 415
    assert (await client.put(url, content=JPEG + b"x", headers=right)).status_code == 413

    async def unannounced() -> Any:
        yield JPEG
        yield b"more"

    assert (await client.put(url, content=unannounced(), headers=right)).status_code == 413
    for tampered in (
        url.replace("max=", "max=9"), url.replace("image%2Fjpeg", "text%2Fhtml"),
        url.replace("exp=", "exp=9"), url.replace("uploads/", "uploads/x"), url[:-2],
        url.replace("sig=", "gis="), url.partition("?")[0],
    ):  # fmt: skip
        refused = await client.put(tampered, content=JPEG, headers=right)
        assert refused.status_code in (403, 415), tampered
    assert (await client.get(url)).status_code == 403
    await client.put(url, content=JPEG, headers=right)
    again = await client.put(url, content=JPEG, headers=right)
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("data", "changes", "status"),
    [
        (b"no image at all", {}, 415),
        (JPEG[:-40], {}, 422),
        (PNG, {}, 415),
        (PNG, {"contentType": "image/png"}, 200),
        (b"<svg/>", {"contentType": "image/png"}, 415),
        (b"a,b\n1,2\n", {"purpose": "dataset", "contentType": "text/csv"}, 200),
        (b'{"a": 1}\nnot json\n', {"purpose": "dataset", "contentType": "application/jsonl"}, 200),
        (b"[1]\n", {"purpose": "dataset", "contentType": "application/x-ndjson"}, 422),
        (b"\xff\xfe", {"purpose": "dataset", "contentType": "text/csv"}, 422),
        (b"\n\n", {"purpose": "dataset", "contentType": "text/csv"}, 422),
        (PNG, {"purpose": "dataset", "contentType": "text/csv"}, 422),
    ],
)
async def test_complete_looks_into_the_file(
    client: httpx.AsyncClient, studio: Studio, data: bytes, changes: dict[str, Any], status: int
) -> None:
    headers = await sign_in(client, studio, "merchant")
    receipt = await upload(client, headers, data, **changes)
    done = await client.post(f"/api/files/{receipt['fileId']}/complete", headers=headers)
    assert done.status_code == status, done.text
    assert (await ready(client, headers))["status"] == "ready"


async def test_a_file_smaller_than_announced_is_refused(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio)
    receipt = (await presign(client, headers, sizeBytes=len(JPEG) + 1)).json()
    await client.put(receipt["url"], content=JPEG, headers=receipt["headers"])
    done = await client.post(f"/api/files/{receipt['fileId']}/complete", headers=headers)
    assert done.status_code == 422


async def test_one_idempotency_key_one_receipt(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await sign_in(client, studio) | {"Idempotency-Key": "once"}
    first = await presign(client, headers)
    assert (await presign(client, headers)).json() == first.json()
    assert (await presign(client, headers, filename="other.jpg")).status_code == 409
    other = await sign_in(client, studio) | {"Idempotency-Key": "once"}
    assert (await presign(client, other)).json()["fileId"] != first.json()["fileId"]
    # A refused request is not remembered.
    third = headers | {"Idempotency-Key": "third"}
    assert (await presign(client, third, contentType="text/html")).status_code == 422
    assert (await presign(client, third)).status_code == 201


async def test_another_users_file_is_not_there(client: httpx.AsyncClient, studio: Studio) -> None:
    owner, stranger = await sign_in(client, studio), await sign_in(client, studio)
    admin = await sign_in(client, studio, "admin")
    file = await ready(client, owner)
    path = f"/api/files/{file['id']}"
    for headers in (stranger, admin):
        assert (await client.get(path, headers=headers)).status_code == 404
        assert (await client.post(path + "/complete", headers=headers)).status_code == 404
        assert (await client.delete(path, headers=headers)).status_code == 404
        assert (await client.get("/api/files", headers=headers)).json()["items"] == []
    assert (await client.get(path)).status_code == 401
    assert (await client.get("/api/files/not-a-uuid", headers=owner)).status_code == 422


async def test_the_list_in_pages(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await sign_in(client, studio)
    file_ids = [(await presign(client, headers)).json()["fileId"] for _ in range(5)]
    listed_ids: list[str] = []
    query = {"limit": "2"}
    while True:
        page = (await client.get("/api/files", params=query, headers=headers)).json()
        listed_ids += [item["id"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert listed_ids == file_ids[::-1]
    for bad in ("nonsense", "e30", "W10", "WyJ4IiwieSJd", "é", "A" * 100):
        answer = await client.get("/api/files", params={"cursor": bad}, headers=headers)
        assert answer.status_code == 400, bad
    for limit in ("0", "101", "-1", "x"):
        answer = await client.get("/api/files", params={"limit": limit}, headers=headers)
        assert answer.status_code == 422


async def test_a_picture_on_sale_can_be_used_by_all_and_not_deleted(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file = await ready(client, headers, purpose="product")
    file_id = UUID(file["id"])
    unsigned = file["readUrl"].partition("?")[0]
    with pytest.raises(NotFound):
        await load_image(studio, None, image_url=None, file_id=file_id)
    with pytest.raises(NotFound):
        await load_image(studio, uuid4(), image_url=unsigned, file_id=None)
    await put_on_sale(studio, file_id)
    for url in (unsigned, file["readUrl"]):  # as its public copy, never the upload itself
        loaded = await load_image(studio, None, image_url=url, file_id=None)
        assert (loaded.data, loaded.key, loaded.file_id) == (JPEG, PUBLIC_KEY, None)
    by_id = await load_image(studio, None, image_url=None, file_id=file_id)
    assert (by_id.data, by_id.key) == (JPEG, PUBLIC_KEY)
    path = f"/api/files/{file['id']}"
    assert (await client.delete(path, headers=headers)).status_code == 409
    await take_off_sale(studio)
    with pytest.raises(NotFound):
        await load_image(studio, None, image_url=None, file_id=file_id)
    assert (await client.delete(path, headers=headers)).status_code == 204


async def test_which_pictures_can_be_loaded(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await sign_in(client, studio, "merchant")
    me = UUID((await client.get("/api/auth/me", headers=headers)).json()["id"])
    file = await ready(client, headers)
    loaded = await load_image(studio, me, image_url=None, file_id=UUID(file["id"]))
    assert loaded.data == JPEG
    pending = await upload(client, headers)
    table = b"a,b\n"
    dataset = await ready(client, headers, table, purpose="dataset", contentType="text/csv")
    for changes, error in (
        ({"image_url": None, "file_id": None}, Invalid),
        ({"image_url": "https://x.example/a.jpg", "file_id": uuid4()}, Invalid),
        ({"image_url": "http://studio.test/etc/passwd", "file_id": None}, Invalid),
        ({"image_url": "http://studio.test/blobs/products/none.jpg", "file_id": None}, NotFound),
        ({"image_url": "http://studio.test/blobs/../settings.py", "file_id": None}, Invalid),
        ({"image_url": None, "file_id": uuid4()}, NotFound),
        ({"image_url": None, "file_id": UUID(pending["fileId"])}, Conflict),
        ({"image_url": None, "file_id": UUID(dataset["id"])}, NotAnImage),
    ):
        with pytest.raises(error):
            await load_image(studio, me, **changes)


async def test_a_delete_without_the_store_deletes_nothing(
    client: httpx.AsyncClient, studio: Studio, tmp_path: Path
) -> None:
    headers = await sign_in(client, studio)
    file = await ready(client, headers)
    folder, aside = tmp_path / "blobs" / "uploads", tmp_path / "aside"
    folder.rename(aside)
    folder.write_text("no folder any more")
    refused = await client.delete(f"/api/files/{file['id']}", headers=headers)
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) > 0
    folder.unlink()
    aside.rename(folder)
    assert (await client.get(file["readUrl"])).content == JPEG
    assert (await client.delete(f"/api/files/{file['id']}", headers=headers)).status_code == 204
    assert (await client.get(file["readUrl"])).status_code == 404


@pytest.mark.parametrize(("kind", "content_type"), [("AVIF", "image/avif"), ("HEIF", "image/heic")])
async def test_pictures_of_phones_are_uploaded_and_searched_with(
    client: httpx.AsyncClient, studio: Studio, kind: str, content_type: str
) -> None:
    headers = await sign_in(client, studio)
    data = picture("red", (60, 40), kind)
    file = await ready(client, headers, data, contentType=content_type)
    assert (file["contentType"], file["width"], file["height"]) == (content_type, 60, 40)
    stored = await client.get(file["readUrl"])
    assert stored.content == data and stored.headers["content-type"] == content_type
    search = await client.post("/api/search/image", json={"fileId": file["id"]}, headers=headers)
    assert search.status_code == 200, search.text
    mask = await client.post("/api/cv/segmentation", json={"fileId": file["id"]}, headers=headers)
    assert mask.status_code == 200, mask.text
    other = "image/heic" if kind == "AVIF" else "image/avif"
    receipt = await upload(client, headers, data, contentType=other)
    done = await client.post(f"/api/files/{receipt['fileId']}/complete", headers=headers)
    assert done.status_code == 415 and content_type in done.json()["detail"]
