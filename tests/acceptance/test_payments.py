"""A shopper pays on the whole studio, as at `make up`: real HTTP, the simulator, its webhooks."""

import time
from urllib.parse import urljoin

import httpx

from local.client import sign_in
from tests.support.cluster import WholeStudio


def pay(http: httpx.Client, approval_url: str) -> httpx.Response:
    """Opens the approval page and submits its form, as a browser does."""
    page = httpx.get(approval_url)
    assert page.status_code == 200, page.text
    action = page.text.split('action="')[1].split('"')[0]
    token = page.text.split('name="token" value="')[1].split('"')[0]
    return httpx.post(urljoin(approval_url, action), data={"token": token})


def wait_for(http: httpx.Client, path: str, headers: dict[str, str], status: str) -> None:
    """Waits until the order has the status, which a webhook or a look at PayPal brings."""
    deadline_s = time.monotonic() + 30
    while http.get(path, headers=headers).json()["status"] != status:
        assert time.monotonic() < deadline_s, http.get(path, headers=headers).text
        time.sleep(0.2)


def test_a_shopper_buys_what_was_found(http: httpx.Client, whole_studio: WholeStudio) -> None:
    shopper = sign_in(http, "shopper@demo.studio")
    admin = sign_in(http, "admin@demo.studio")
    hits = http.post("/api/search/text", json={"query": "red dress", "topK": 100}).json()
    product = next(one for one in hits["results"] if one["inStock"])
    body = {
        "items": [{"productId": product["id"], "quantity": 2}],
        "returnUrl": f"{whole_studio.url}/", "cancelUrl": f"{whole_studio.url}/",
    }  # fmt: skip
    order = http.post("/api/paypal/orders", json=body, headers=shopper)
    assert order.status_code == 201, order.text
    path = f"/api/paypal/orders/{order.json()['id']}"
    assert http.post(f"{path}/capture", headers=shopper).status_code == 409
    back = pay(http, order.json()["approvalUrl"])
    assert back.status_code == 303 and f"token={order.json()['id']}" in back.headers["location"]
    wait_for(http, path, shopper, "APPROVED")
    receipt = http.post(f"{path}/capture", headers=shopper).json()
    assert receipt["status"] == "COMPLETED"
    assert float(receipt["amount"]["value"]) == 2 * float(product["price"])
    refund = f"/api/paypal/captures/{receipt['captureId']}/refund"
    keyed = admin | {"Idempotency-Key": f"refund {receipt['captureId']}"}
    assert http.post(refund, headers=keyed).status_code == 201
    wait_for(http, path, shopper, "REFUNDED")
    payments = http.get("/api/admin/payments", headers=admin).json()["items"]
    assert payments[0]["orderId"] == order.json()["id"]


def test_the_studio_settles_what_nobody_asks_about(
    http: httpx.Client, whole_studio: WholeStudio
) -> None:
    shopper = sign_in(http, "shopper@demo.studio")
    body = {
        "amount": {"value": "3.00", "currency": "EUR"},
        "returnUrl": f"{whole_studio.url}/", "cancelUrl": f"{whole_studio.url}/",
    }  # fmt: skip
    order = http.post("/api/paypal/orders", json=body, headers=shopper).json()
    simulator = order["approvalUrl"].split("/checkoutnow")[0]
    fault = [{"on": "capture", "kind": "lost_answer", "times": 3}]
    assert httpx.post(f"{simulator}/simulator/faults", json=fault).status_code == 200
    pay(http, order["approvalUrl"])
    path = f"/api/paypal/orders/{order['id']}"
    assert http.post(f"{path}/capture", headers=shopper).status_code == 502
    wait_for(http, path, shopper, "COMPLETED")
