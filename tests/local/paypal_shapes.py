"""Compares the simulator and our client with PayPal's published OpenAPI descriptions.

    git clone https://github.com/paypal/paypal-rest-api-specifications
    python -m tests.local.paypal_shapes paypal-rest-api-specifications/openapi

Prints every difference. The descriptions are not in this repository.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource

from studio.payments.money import Money
from studio.payments.order_form import OrderForm, order_request
from tests.support.simulator import CANCEL_URL, CREDENTIALS, RETURN_URL, Simulator

Json = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ORDERS, PAYMENTS, WEBHOOKS = (
    "checkout_orders_v2",
    "payments_payment_v2",
    "notifications_webhooks_v1",
)


class Descriptions:
    """PayPal's descriptions, and the differences from them."""

    def __init__(self, folder: Path) -> None:
        self._documents = {
            name: json.loads((folder / f"{name}.json").read_text())
            for name in (ORDERS, PAYMENTS, WEBHOOKS)
        }
        self.differences: list[str] = []

    def check(self, name: str, schema: str, document: Any, what: str) -> None:
        """Checks a document's values, and that it has no property that PayPal does not describe."""
        contents = {"$schema": DIALECT, **self._documents[name]}
        registry = Registry().with_resource("urn:paypal", Resource.from_contents(contents))
        reference = {"$ref": f"urn:paypal#/components/schemas/{schema}"}
        for error in Draft202012Validator(reference, registry=registry).iter_errors(document):
            path = "/".join(str(step) for step in error.absolute_path)
            self.differences.append(f"{what}: {path}: {error.message[:200]}")
        self._unknown(name, {"$ref": f"#/components/schemas/{schema}"}, document, what)

    def _resolve(self, name: str, schema: Json) -> Json:
        while "$ref" in schema:
            part: Any = self._documents[name]
            for step in schema["$ref"].removeprefix("#/").split("/"):
                part = part[step]
            schema = part
        return schema

    def _properties(self, name: str, schema: Json) -> Json:
        schema = self._resolve(name, schema)
        properties = dict(schema.get("properties", {}))
        for kind in ("allOf", "oneOf", "anyOf"):
            for part in schema.get(kind, []):
                properties |= self._properties(name, part)
        return properties

    def _unknown(self, name: str, schema: Json, document: Any, path: str) -> None:
        if isinstance(document, list):
            for one in document:
                self._unknown(name, self._resolve(name, schema).get("items", {}), one, path)
        properties = self._properties(name, schema) if isinstance(document, dict) else {}
        for key, value in document.items() if properties else ():
            if key in properties:
                self._unknown(name, properties[key], value, f"{path}.{key}")
            else:
                self.differences.append(f"{path}.{key}: PayPal names no such property")


class Caller:
    """The simulator's API with a token."""

    def __init__(self, simulator: Simulator) -> None:
        self._client = simulator.client
        basic = (CREDENTIALS["paypal_client_id"], CREDENTIALS["paypal_client_secret"])
        form = {"grant_type": "client_credentials"}
        token = self._client.post("/v1/oauth2/token", data=form, auth=basic).json()["access_token"]
        self._headers = {"Authorization": f"Bearer {token}", "Prefer": "return=representation"}

    def __call__(self, status: int, method: str, path: str, body: Any = None) -> Json:
        headers = self._headers | {"PayPal-Request-Id": str(uuid4())}
        answer = self._client.request(method, path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        document: Json = answer.json()
        return document


def order_body() -> Json:
    """The body that the studio sends for a cart."""
    fields = {
        "amount": {"value": "30.45", "currency": "EUR"}, "description": "a cart",
        "returnUrl": RETURN_URL, "cancelUrl": CANCEL_URL,
    }  # fmt: skip
    unit = {"currency_code": "EUR", "value": "10.15"}
    lines = [{"name": "A dress", "sku": "red", "quantity": "3", "unit_amount": unit}]
    return order_request(uuid4(), OrderForm.model_validate(fields), Money("EUR", 3045), lines)


def walk(simulator: Simulator, said: Descriptions) -> None:
    """Takes one order from its creation to its refund, with errors on the way."""
    call, body = Caller(simulator), order_body()
    said.check(ORDERS, "order_request", body, "our order")
    order = call(201, "POST", "/v2/checkout/orders", body)
    said.check(ORDERS, "order", order, "created")
    path = f"/v2/checkout/orders/{order['id']}"
    said.check(ORDERS, "error_422", call(422, "POST", f"{path}/capture", {}), "not approved")
    simulator.approve(order["id"])
    said.check(ORDERS, "order", call(200, "GET", path), "approved")
    captured = call(201, "POST", f"{path}/capture", {})
    said.check(ORDERS, "order", captured, "captured")
    (capture,) = captured["purchase_units"][0]["payments"]["captures"]
    above = f"/v2/payments/captures/{capture['id']}"
    said.check(PAYMENTS, "capture-2", call(200, "GET", above), "capture")
    part = {"amount": {"currency_code": "EUR", "value": "5.00"}, "custom_id": str(uuid4())}
    said.check(PAYMENTS, "refund_request", part, "our refund")
    said.check(PAYMENTS, "refund", call(201, "POST", f"{above}/refund", part), "refund")
    part["amount"] = {"currency_code": "EUR", "value": "500.00"}
    said.check(PAYMENTS, "error_422", call(422, "POST", f"{above}/refund", part), "too much")
    said.check(ORDERS, "order", call(200, "GET", path), "refunded")
    said.check(ORDERS, "error_404", call(404, "GET", f"{path}X"), "absent")
    for _, event in simulator.webhooks():
        document = json.loads(event)
        said.check(WEBHOOKS, "event", document, f"event {document['event_type']}")


def main() -> None:
    """Exits with code 1 where there is a difference."""
    said = Descriptions(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        simulator = Simulator(Path(folder))
        walk(simulator, said)
        simulator.client.close()
        simulator.stop()
    print("\n".join(dict.fromkeys(said.differences)) or "no difference")  # noqa: T201
    raise SystemExit(bool(said.differences))


if __name__ == "__main__":
    main()
