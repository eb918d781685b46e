"""Payments over HTTP: priced by the studio, charged once, visible to their owner only."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from settings import Settings
from studio.ports import Studio
from tests.support.fakes import make_settings, open_client, picture, running, sign_in
from tests.support.simulator import CANCEL_URL, RETURN_URL, Simulator

URLS = {"returnUrl": RETURN_URL, "cancelUrl": CANCEL_URL}
SUM = {"amount": {"value": "19.99", "currency": "USD"}, **URLS}


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path, simulator: Simulator) -> Settings:
    return make_settings(database_url, redis_url, tmp_path / "blobs", **simulator.settings())


@pytest.fixture
async def shopper(client: httpx.AsyncClient, studio: Studio) -> dict[str, str]:
    return await sign_in(client, studio)


async def put_product(
    client: httpx.AsyncClient, merchant: dict[str, str], product_id: str, **fields: Any
) -> None:
    body = {"filename": "p.jpg", "contentType": "image/jpeg", "purpose": "product"}
    data = picture()
    answer = await client.post(
        "/api/files/presign", json=body | {"sizeBytes": len(data)}, headers=merchant
    )
    receipt = answer.json()
    await client.put(receipt["url"], content=data, headers=receipt["headers"])
    await client.post(f"/api/files/{receipt['fileId']}/complete", headers=merchant)
    product = {
        "title": "A dress", "category": "dress", "price": "10.00", "currency": "EUR",
        "inStock": True, "fileId": receipt["fileId"],
    } | fields  # fmt: skip
    put = await client.put(f"/api/catalog/products/{product_id}", json=product, headers=merchant)
    assert put.status_code == 201, put.text


async def order(
    client: httpx.AsyncClient, who: dict[str, str], body: dict[str, Any] = SUM
) -> dict[str, Any]:
    answer = await client.post("/api/paypal/orders", json=body, headers=who)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_a_shopper_pays_and_gets_one_receipt(
    client: httpx.AsyncClient, studio: Studio, shopper: dict[str, str], simulator: Simulator
) -> None:
    purchase = await order(client, shopper)
    assert purchase["status"] == "CREATED"
    assert purchase["amount"] == {"value": "19.99", "currency": "USD"}
    path = f"/api/paypal/orders/{purchase['id']}"
    early = await client.post(f"{path}/capture", headers=shopper)
    assert early.status_code == 409
    assert early.headers["content-type"] == "application/problem+json"
    before = (await client.get(path, headers=shopper)).json()
    assert (before["status"], before["captureId"]) == ("CREATED", None)
    back = await asyncio.to_thread(simulator.pay_in_browser, purchase["approvalUrl"])
    assert back == {"cart": ["7"], "token": [purchase["id"]], "PayerID": ["SHXPPER222222"]}
    receipts = [(await client.post(f"{path}/capture", headers=shopper)).json() for _ in range(2)]
    receipts.append((await client.get(path, headers=shopper)).json())
    assert receipts[0] == receipts[1] == receipts[2]
    (charge,) = simulator.captures(purchase["id"])
    assert receipts[0] == {
        "orderId": purchase["id"], "captureId": charge["id"], "status": "COMPLETED",
        "amount": {"value": "19.99", "currency": "USD"},
        "refunded": {"value": "0.00", "currency": "USD"},
        "payer": {
            "payerId": "SHXPPER222222", "email": "shopper@simulator.example",
            "name": "Sim Shopper",
        },
    }  # fmt: skip
    stranger = await sign_in(client, studio)
    for method, place in (("GET", path), ("POST", f"{path}/capture")):
        assert (await client.request(method, place, headers=stranger)).status_code == 404
        assert (await client.request(method, place)).status_code == 401


async def test_items_are_priced_by_us(
    client: httpx.AsyncClient, studio: Studio, shopper: dict[str, str], simulator: Simulator
) -> None:
    merchant = await sign_in(client, studio, "merchant")
    await put_product(client, merchant, "red", price="10.10")
    await put_product(client, merchant, "blue", price="0.05")
    await put_product(client, merchant, "yen", price="5", currency="JPY")
    await put_product(client, merchant, "odd", price="1.005")
    await put_product(client, merchant, "gone", inStock=False)
    items = [{"productId": "red", "quantity": 2}, {"productId": "blue", "quantity": 3},
             {"productId": "red", "quantity": 1}]  # fmt: skip
    purchase = await order(client, shopper, {"items": items, **URLS})
    assert purchase["amount"] == {"value": "30.45", "currency": "EUR"}
    unit = simulator.order(purchase["id"])["purchase_units"][0]
    assert [(one["sku"], one["quantity"]) for one in unit["items"]] == [("red", "3"), ("blue", "3")]
    yen = await order(client, shopper, {"items": [{"productId": "yen", "quantity": 4}], **URLS})
    assert yen["amount"] == {"value": "20", "currency": "JPY"}

    async def refused(status: int, word: str, **body: Any) -> None:
        answer = await client.post("/api/paypal/orders", json=URLS | body, headers=shopper)
        assert (answer.status_code, word in answer.json()["detail"]) == (status, True), answer.text

    one_red = [{"productId": "red", "quantity": 1}]
    euros = {"value": "10.10", "currency": "EUR"}
    assert (await order(client, shopper, {"items": one_red, "amount": euros, **URLS}))["id"]
    await refused(422, "10.10 EUR", items=one_red, amount={"value": "9.00", "currency": "EUR"})
    await refused(422, "10.10 EUR", items=one_red, amount={"value": "10.10", "currency": "USD"})
    await refused(422, "no product", items=[{"productId": "nothing", "quantity": 1}])
    await refused(422, "one currency", items=[*one_red, {"productId": "yen", "quantity": 1}])
    await refused(422, "exactly", items=[{"productId": "odd", "quantity": 1}])
    await refused(409, "stock", items=[{"productId": "gone", "quantity": 1}])
    await refused(422, "quantity", items=[{"productId": "red", "quantity": 0}])
    await refused(422, "items or an amount")


@pytest.mark.parametrize(
    ("value", "currency"),
    [("19.999", "USD"), ("10.5", "JPY"), ("10.00", "HUF"), ("0", "EUR"), ("0.00", "EUR"),
     ("-1", "EUR"), ("1e3", "EUR"), ("+1", "EUR"), ("1,00", "EUR"), (" 1", "EUR"), ("", "EUR"),
     ("١", "EUR"), ("NaN", "EUR"), ("10000000", "EUR"), ("1.00", "XXX"), ("1.00", "eur")],
)  # fmt: skip
async def test_what_is_not_exact_is_refused(
    client: httpx.AsyncClient, shopper: dict[str, str], value: str, currency: str
) -> None:
    body = {"amount": {"value": value, "currency": currency}, **URLS}
    answer = await client.post("/api/paypal/orders", json=body, headers=shopper)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "ftp://a.b/c", "/local", "http://", "http://a b"]
)
async def test_payers_are_only_sent_to_web_addresses(
    client: httpx.AsyncClient, shopper: dict[str, str], url: str
) -> None:
    answer = await client.post("/api/paypal/orders", json=SUM | {"returnUrl": url}, headers=shopper)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "/returnUrl"


async def test_one_key_is_one_order(
    client: httpx.AsyncClient, studio: Studio, shopper: dict[str, str], simulator: Simulator
) -> None:
    headers = shopper | {"Idempotency-Key": "cart-7"}
    simulator.fault("create", "lost_answer", times=3)
    lost = await client.post("/api/paypal/orders", json=SUM, headers=headers)
    assert lost.status_code == 502, lost.text
    answers = await asyncio.gather(
        *(client.post("/api/paypal/orders", json=SUM, headers=headers) for _ in range(8))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    simulator.approve(answers[0].json()["id"])
    path = f"/api/paypal/orders/{answers[0].json()['id']}/capture"
    assert (await client.post(path, headers=shopper)).status_code == 200
    later = await client.post("/api/paypal/orders", json=SUM, headers=headers)
    assert later.text == answers[0].text
    other = SUM | {"amount": {"value": "1.00", "currency": "USD"}}
    conflict = await client.post("/api/paypal/orders", json=other, headers=headers)
    assert conflict.status_code == 409
    stranger = await sign_in(client, studio) | {"Idempotency-Key": "cart-7"}
    theirs = await client.post("/api/paypal/orders", json=SUM, headers=stranger)
    assert theirs.json()["id"] != answers[0].json()["id"]


async def test_admins_refund_and_see_every_payment(
    client: httpx.AsyncClient, studio: Studio, shopper: dict[str, str], simulator: Simulator
) -> None:
    admin = await sign_in(client, studio, "admin")
    purchase = await order(client, shopper)
    simulator.approve(purchase["id"])
    path = f"/api/paypal/orders/{purchase['id']}"
    receipt = (await client.post(f"{path}/capture", headers=shopper)).json()
    refund = f"/api/paypal/captures/{receipt['captureId']}/refund"
    assert (await client.post(refund, headers=shopper)).status_code == 403
    part = {"amount": {"value": "5.00", "currency": "USD"}, "note": "a stain"}
    keyed = admin | {"Idempotency-Key": "r1"}
    first = await client.post(refund, json=part, headers=keyed)
    assert first.status_code == 201, first.text
    assert (await client.post(refund, json=part, headers=keyed)).json() == first.json()
    assert first.json()["status"] == "COMPLETED"
    assert (await client.get(path, headers=shopper)).json()["status"] == "PARTIALLY_REFUNDED"
    other = await client.post(refund, json={}, headers=keyed)
    assert other.status_code == 409
    for headers in (admin, admin | {"Idempotency-Key": ""}):
        unkeyed = await client.post(refund, json=part, headers=headers)
        assert unkeyed.status_code == 422 and "Idempotency-Key".lower() in unkeyed.text.lower()
    fresh = [admin | {"Idempotency-Key": f"r{number}"} for number in range(2, 7)]
    too_much = {"amount": {"value": "15.00", "currency": "USD"}}
    assert (await client.post(refund, json=too_much, headers=fresh[0])).status_code == 409
    euros = {"amount": {"value": "1.00", "currency": "EUR"}}
    assert (await client.post(refund, json=euros, headers=fresh[1])).status_code == 422
    rest = await client.post(refund, headers=fresh[2])
    assert rest.json()["amount"]["value"] == "14.99"
    assert (await client.post(refund, json=part, headers=keyed)).json() == first.json()
    assert (await client.get(path, headers=shopper)).json()["status"] == "REFUNDED"
    assert (await client.post(refund, headers=fresh[3])).status_code == 409
    assert (
        await client.post("/api/paypal/captures/NOTHING/refund", headers=fresh[4])
    ).status_code == 404
    (payment,) = (await client.get("/api/admin/payments", headers=admin)).json()["items"]
    assert (payment["amount"], payment["refunded"], payment["status"]) == (
        "19.99",
        "19.99",
        "REFUNDED",
    )
    assert [one["amount"] for one in payment["refunds"]] == ["5.00", "14.99"]
    assert payment["refunds"][0]["note"] == "a stain"
    waiting = {"status": "APPROVED"}
    none = await client.get("/api/admin/payments", params=waiting, headers=admin)
    assert none.json()["items"] == []
    audit = (await client.get("/api/admin/audit", headers=admin)).json()["items"]
    actions = [line["action"] for line in audit if line["subject"] == purchase["id"]]
    assert actions == [
        "PAYMENT_REFUNDED", "REFUND_REQUESTED", "PAYMENT_REFUNDED", "REFUND_REQUESTED",
        "PAYMENT_CAPTURED", "PAYMENT_CREATED",
    ]  # fmt: skip
    assert (await client.get("/api/admin/payments", headers=shopper)).status_code == 403


async def test_webhooks_are_answered_at_once_and_applied_behind(
    settings: Settings, studio: Studio, simulator: Simulator
) -> None:
    app = create_app(studio)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url=settings.base_url) as client,
    ):
        shopper = await sign_in(client, studio)
        purchase = await order(client, shopper)
        begun = simulator.event_count()
        simulator.approve(purchase["id"])
        ((headers, body),) = simulator.webhooks(begun)
        for expected in ("stored", "known"):
            answer = await client.post("/api/paypal/webhook", content=body, headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"status": expected})
        await app.state.resources.webhooks.settled()
        path = f"/api/paypal/orders/{purchase['id']}"
        assert (await client.get(path, headers=shopper)).json()["status"] == "APPROVED"
        forged = await client.post("/api/paypal/webhook", content=body + b" ", headers=headers)
        assert forged.status_code == 400
        bare = await client.post("/api/paypal/webhook", content=body)
        assert bare.status_code == 400
        simulator.fault("certificate", "error")
        app.state.resources.webhooks._verifier._keys.clear()
        away = await client.post("/api/paypal/webhook", content=body, headers=headers)
        assert away.status_code == 503


@pytest.fixture
async def bare_client(
    database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[tuple[httpx.AsyncClient, Studio]]:
    from tests.support.fakes import open_studio

    plain = make_settings(database_url, redis_url, tmp_path / "bare")
    async with open_studio(plain) as opened, open_client(opened) as client:
        yield client, opened


async def test_a_studio_without_paypal_says_so(
    bare_client: tuple[httpx.AsyncClient, Studio],
) -> None:
    client, studio = bare_client
    shopper = await sign_in(client, studio)
    answer = await client.post("/api/paypal/orders", json=SUM, headers=shopper)
    assert answer.status_code == 503
    assert "not set up" in answer.json()["detail"]
    assert (await client.post("/api/paypal/webhook", content=b"{}")).status_code == 503
