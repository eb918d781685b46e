"""An account of a test, and one of each resource that a route addresses by an id."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx

from db.tables import Job
from studio.ports import Studio
from tests.support.fakes import picture, sign_in

JPEG = picture()
DATASET = b"productId,date,units\np-1,2026-01-01,3\n"
PRODUCT = {"title": "Red dress", "category": "dress", "price": "19.99", "currency": "EUR"}


@dataclass
class Account:
    """An account that is signed in."""

    id: UUID
    role: str
    headers: dict[str, str]


async def open_account(client: httpx.AsyncClient, studio: Studio, role: str) -> Account:
    """A new account with this role."""
    headers = await sign_in(client, studio, role)
    user = (await client.get("/api/auth/me", headers=headers)).json()
    return Account(UUID(user["id"]), role, headers)


async def upload(
    client: httpx.AsyncClient, account: Account, data: bytes = JPEG, **changes: str
) -> dict[str, str]:
    """A ready file of the account's, as the API returns it."""
    body = {
        "filename": "a.jpg", "contentType": "image/jpeg", "purpose": "garment",
        "sizeBytes": len(data),
    } | changes  # fmt: skip
    response = await client.post("/api/files/presign", json=body, headers=account.headers)
    assert response.status_code == 201, response.text
    receipt = response.json()
    put = await client.put(receipt["url"], content=data, headers=receipt["headers"])
    assert put.status_code == 201, put.text
    done = await client.post(f"/api/files/{receipt['fileId']}/complete", headers=account.headers)
    assert done.status_code == 200, done.text
    file: dict[str, str] = done.json()
    return file


async def create_key(client: httpx.AsyncClient, account: Account, **body: str) -> dict[str, str]:
    """A new API key of the account, as the API returns it."""
    answer = await client.post(
        "/api/auth/keys", json={"name": "a server"} | body, headers=account.headers
    )
    assert answer.status_code == 201, answer.text
    key: dict[str, str] = answer.json()
    return key


async def put_product(client: httpx.AsyncClient, account: Account) -> str:
    """Creates a product of the account, which must be a merchant or an admin."""
    file = await upload(client, account, purpose="product")
    product_id = f"p-{uuid4().hex}"
    body = PRODUCT | {"fileId": file["id"]}
    answer = await client.put(
        f"/api/catalog/products/{product_id}", json=body, headers=account.headers
    )
    assert answer.status_code == 201, answer.text
    return product_id


async def insert_job(studio: Studio, account: Account, state: str = "succeeded") -> str:
    """Inserts a job of the account that no worker runs."""
    async with studio.database.transaction() as session:
        job = Job(type="import-catalog", owner_id=account.id, state=state, payload={})
        session.add(job)
    return str(job.id)


async def place_order(client: httpx.AsyncClient, studio: Studio, account: Account) -> str:
    """Creates an order of the account and approves it as its payer."""
    body = {
        "amount": {"value": "5.00", "currency": "EUR"},
        "returnUrl": "http://shop.test/back", "cancelUrl": "http://shop.test/cart",
    }  # fmt: skip
    response = await client.post("/api/paypal/orders", json=body, headers=account.headers)
    assert response.status_code == 201, response.text
    order_id = str(response.json()["id"])
    async with httpx.AsyncClient(base_url=str(studio.settings.paypal_url)) as paypal:
        done = await paypal.post(f"/simulator/orders/{order_id}/approve")
        assert done.status_code == 200, done.text
    return order_id
