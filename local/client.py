"""A client of the studio's HTTP API for benchmarks and tests: sign in, upload, search."""

import io
from typing import Any
from uuid import uuid4

import httpx
from PIL import Image

DEMO_PASSWORD = "studio-demo"  # noqa: S105 - public: the demo accounts' password


def require_success(response: httpx.Response) -> httpx.Response:
    """The response. Raises RuntimeError with its text when its status is 300 or above."""
    if response.status_code >= 300:
        raise RuntimeError(
            f"{response.request.url} answered {response.status_code}: {response.text}"
        )
    return response


def sign_in(http: httpx.Client, email: str = "merchant@demo.studio") -> dict[str, str]:
    """The request headers of a signed-in demo account."""
    body = {"email": email, "password": DEMO_PASSWORD}
    response = require_success(http.post("/api/auth/login", json=body))
    return {"Authorization": f"Bearer {response.json()['accessToken']}"}


def upload(
    http: httpx.Client, headers: dict[str, str], data: bytes, content_type: str = "image/jpeg"
) -> tuple[str, httpx.Response]:
    """Presigns, sends and completes a file. Returns its id and the response of `complete`."""
    body = {
        "filename": "picture", "contentType": content_type, "sizeBytes": len(data),
        "purpose": "product",
    }  # fmt: skip
    presigned = require_success(http.post("/api/files/presign", json=body, headers=headers)).json()
    require_success(
        httpx.put(presigned["url"], content=data, headers=presigned["headers"], timeout=60)
    )
    file_id = presigned["fileId"]
    return file_id, http.post(f"/api/files/{file_id}/complete", headers=headers)


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The picture as the bytes of an image file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def put_product(
    http: httpx.Client, headers: dict[str, str], file_id: str, **fields: Any
) -> tuple[str, httpx.Response]:
    """Puts a product under a new id. Returns the id and the response."""
    product_id = f"test-{uuid4().hex[:12]}"
    body = {
        "title": "A test product", "category": "dress", "price": "10.00", "currency": "EUR",
        "inStock": True, "fileId": file_id,
    }  # fmt: skip
    response = http.put(f"/api/catalog/products/{product_id}", json=body | fields, headers=headers)
    return product_id, response


def search(http: httpx.Client, path: str, **body: Any) -> list[dict[str, Any]]:
    """The results of one search."""
    headers = body.pop("headers", {})
    response = require_success(http.post(f"/api/search/{path}", json=body, headers=headers))
    results: list[dict[str, Any]] = response.json()["results"]
    return results
