"""Short functions for what users of the API do."""

import io
from typing import Any
from uuid import uuid4

import httpx
from PIL import Image

DEMO_PASSWORD = "studio-demo"


def sign_in(http: httpx.Client, email: str = "merchant@demo.studio") -> dict[str, str]:
    """The request headers of a signed-in account."""
    body = {"email": email, "password": DEMO_PASSWORD}
    answer = http.post("/api/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


def upload(
    http: httpx.Client, headers: dict[str, str], data: bytes, content_type: str = "image/jpeg"
) -> tuple[str, httpx.Response]:
    """Uploads a file (presign, PUT, complete); returns its id and the last answer."""
    body = {
        "filename": "picture", "contentType": content_type, "sizeBytes": len(data),
        "purpose": "product",
    }  # fmt: skip
    receipt = http.post("/api/files/presign", json=body, headers=headers)
    assert receipt.status_code == 201, receipt.text
    ticket = receipt.json()
    put = httpx.put(ticket["url"], content=data, headers=ticket["headers"], timeout=60)
    assert put.status_code < 300, put.text
    return ticket["fileId"], http.post(f"/api/files/{ticket['fileId']}/complete", headers=headers)


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def put_product(
    http: httpx.Client, headers: dict[str, str], file_id: str, **fields: Any
) -> tuple[str, httpx.Response]:
    """Puts a product with a new id; returns the id and the answer."""
    product_id = f"test-{uuid4().hex[:12]}"
    body = {
        "title": "A test product", "category": "dress", "price": "10.00", "currency": "EUR",
        "inStock": True, "fileId": file_id,
    }  # fmt: skip
    answer = http.put(f"/api/catalog/products/{product_id}", json=body | fields, headers=headers)
    return product_id, answer


def search(http: httpx.Client, path: str, **body: Any) -> list[dict[str, Any]]:
    """The results of one search."""
    headers = body.pop("headers", {})
    answer = http.post(f"/api/search/{path}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results
