"""Orders of the PayPal tests."""

from typing import Any
from uuid import uuid4

from integrations.paypal.paypal import PayPal
from tests.support.simulator import CANCEL_URL, RETURN_URL, Simulator


def body(value: str = "12.00", currency: str = "EUR") -> dict[str, Any]:
    context = {"return_url": RETURN_URL, "cancel_url": CANCEL_URL}
    unit = {"amount": {"currency_code": currency, "value": value}, "custom_id": str(uuid4())}
    return {
        "intent": "CAPTURE", "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": context}},
    }  # fmt: skip


async def approved(paypal: PayPal, simulator: Simulator) -> str:
    order = await paypal.create_order(body(), request_id=str(uuid4()))
    simulator.approve(order["id"])
    return str(order["id"])
