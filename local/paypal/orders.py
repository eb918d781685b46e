"""Orders of the simulator: created, approved by the payer, captured once."""

from decimal import Decimal, InvalidOperation
from typing import Any

from local.paypal.problems import Problem
from local.paypal.store import SimulatorStore, new_id, now

Json = dict[str, Any]

NO_DECIMALS = {"HUF", "JPY", "TWD"}
CURRENCIES = NO_DECIMALS | {
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS", "MXN", "MYR",
    "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "USD",
}  # fmt: skip
MERCHANT = {"email_address": "merchant@simulator.example", "merchant_id": "MERCHANT22222"}
PAYER_ID = "SHXPPER222222"
FEE = Decimal("0.03")


def create_order(store: SimulatorStore, body: Json, base: str) -> Json:
    """Creates an order that waits for its payer.

    Raises:
        Problem: PayPal would reject the body.
    """
    if body.get("intent") != "CAPTURE":
        raise Problem(422, "UNSUPPORTED_INTENT", "/intent")
    units = body.get("purchase_units")
    if not isinstance(units, list) or len(units) != 1 or not isinstance(units[0], dict):
        raise Problem(400, "INVALID_ARRAY_MAX_ITEMS", "/purchase_units")
    unit = units[0]
    total = parse_amount(unit.get("amount"), "/purchase_units/@reference_id=='default'/amount")
    check_items(unit, total)
    try:
        context = body["payment_source"]["paypal"]["experience_context"]
        urls = {name: str(context[name]) for name in ("return_url", "cancel_url")}
    except (KeyError, TypeError):
        raise Problem(400, "MISSING_REQUIRED_PARAMETER", "/payment_source/paypal") from None
    if invoice := unit.get("invoice_id"):
        if store.get("invoice", f"invoice {invoice}"):
            raise Problem(422, "DUPLICATE_INVOICE_ID", "/purchase_units/0/invoice_id")
        store.put("invoice", {"id": f"invoice {invoice}"})
    order = {
        "id": new_id(),
        "intent": "CAPTURE",
        "status": "PAYER_ACTION_REQUIRED",
        "payment_source": {"paypal": {}},
        "purchase_units": [{"reference_id": "default", **unit, "payee": MERCHANT}],
        "create_time": now(),
        "urls": urls,
        "base": base,
    }
    store.put("order", order)
    return order


def parse_amount(amount: Any, field: str) -> Decimal:
    """Parses an amount by PayPal's rules.

    Raises:
        Problem: the amount breaks a rule, which the issue names.
    """
    if not isinstance(amount, dict) or not isinstance(amount.get("value"), str):
        raise Problem(400, "MISSING_REQUIRED_PARAMETER", f"{field}/value")
    currency, text = amount.get("currency_code"), amount["value"]
    if currency not in CURRENCIES:
        raise Problem(422, "INVALID_CURRENCY_CODE", f"{field}/currency_code")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Problem(400, "INVALID_PARAMETER_SYNTAX", f"{field}/value") from None
    decimals = len(text.partition(".")[2])
    if decimals and currency in NO_DECIMALS:
        raise Problem(422, "DECIMALS_NOT_SUPPORTED", f"{field}/value")
    if decimals > 2:
        raise Problem(422, "DECIMAL_PRECISION", f"{field}/value")
    if not value > 0:
        raise Problem(422, "CANNOT_BE_ZERO_OR_NEGATIVE", f"{field}/value")
    return value


def check_items(unit: Json, total: Decimal) -> None:
    """Requires that the items add up to the amount.

    Raises:
        Problem: they do not, or the breakdown is missing.
    """
    items = unit.get("items")
    if not items:
        return
    breakdown = unit["amount"].get("breakdown") or {}
    if "item_total" not in breakdown:
        raise Problem(422, "ITEM_TOTAL_REQUIRED", "/purchase_units/0/amount/breakdown")
    item_total = Decimal(breakdown["item_total"]["value"])
    items_sum = sum(
        (Decimal(item["unit_amount"]["value"]) * int(item["quantity"]) for item in items),
        Decimal(0),
    )
    if items_sum != item_total:
        raise Problem(422, "ITEM_TOTAL_MISMATCH", "/purchase_units/0/amount/breakdown/item_total")
    if item_total != total:
        raise Problem(422, "AMOUNT_MISMATCH", "/purchase_units/0/amount/value")


def find_order(store: SimulatorStore, order_id: str) -> Json:
    """Reads an order.

    Raises:
        Problem: there is no such order.
    """
    order = store.get("order", order_id)
    if order is None:
        raise Problem(404, "INVALID_RESOURCE_ID")
    return order


def approve_order(store: SimulatorStore, order: Json) -> Json:
    """Approves the order for its payer; does nothing if it is already approved."""
    if order["status"] == "PAYER_ACTION_REQUIRED":
        payer = {
            "name": {"given_name": "Sim", "surname": "Shopper"},
            "email_address": "shopper@simulator.example",
            "account_id": PAYER_ID,
        }
        order |= {"status": "APPROVED", "payment_source": {"paypal": payer}, "update_time": now()}
        store.put("order", order)
        store.add_event(
            "CHECKOUT.ORDER.APPROVED",
            "An order has been approved by buyer",
            "checkout-order",
            order_shape(store, order),
        )
    return order


def capture_order(store: SimulatorStore, order: Json, *, outcome: str | None) -> Json:
    """Takes the money; with the `outcome` `declined` or `pending` it does not succeed at once.

    Raises:
        Problem: the order is not approved or already captured, or the payment is declined.
    """
    if order["status"] == "COMPLETED":
        raise Problem(422, "ORDER_ALREADY_CAPTURED")
    if order["status"] != "APPROVED":
        raise Problem(422, "ORDER_NOT_APPROVED")
    if outcome == "declined":
        store.put("order", order | {"status": "PAYER_ACTION_REQUIRED"})
        raise Problem(422, "INSTRUMENT_DECLINED", keep=True)
    unit = order["purchase_units"][0]
    amount = {name: unit["amount"][name] for name in ("currency_code", "value")}
    status = "PENDING" if outcome == "pending" else "COMPLETED"
    capture = {
        "id": new_id(), "status": status, "amount": amount, "final_capture": True,
        "invoice_id": unit.get("invoice_id"), "custom_id": unit.get("custom_id"),
        "seller_protection": {"status": "ELIGIBLE"}, "create_time": now(), "update_time": now(),
        "order_id": order["id"], "base": order["base"], "refund_ids": [],
        "seller_receivable_breakdown": net_amounts(amount),
    }  # fmt: skip
    if status == "PENDING":
        capture["status_details"] = {"reason": "PENDING_REVIEW"}
    store.put("capture", capture)
    order |= {"status": "COMPLETED", "capture_id": capture["id"], "update_time": now()}
    store.put("order", order)
    store.add_event(
        f"PAYMENT.CAPTURE.{status}", f"Payment {status.lower()}", "capture", capture_shape(capture)
    )
    return order


def net_amounts(amount: Json) -> Json:
    """The amount, PayPal's fee, and what the merchant receives."""
    places = Decimal(1) if amount["currency_code"] in NO_DECIMALS else Decimal("0.01")
    gross = Decimal(amount["value"])
    fee = (gross * FEE).quantize(places)

    def money(value: Decimal) -> Json:
        return {"currency_code": amount["currency_code"], "value": f"{value:f}"}

    return {"gross_amount": amount, "paypal_fee": money(fee), "net_amount": money(gross - fee)}


def settle_pending(store: SimulatorStore, capture: Json, status: str) -> Json:
    """Ends PayPal's review of a pending capture with COMPLETED or DECLINED."""
    if capture["status"] == "PENDING":
        capture |= {"status": status, "update_time": now()}
        capture.pop("status_details", None)
        store.put("capture", capture)
        name = "COMPLETED" if status == "COMPLETED" else "DENIED"
        store.add_event(
            f"PAYMENT.CAPTURE.{name}", f"Payment {name.lower()}", "capture", capture_shape(capture)
        )
    return capture


def order_shape(store: SimulatorStore, order: Json) -> Json:
    """The order as the API returns it, with its capture and refunds."""
    document = {name: value for name, value in order.items() if name not in HIDDEN}
    unit = dict(order["purchase_units"][0])
    if "capture_id" in order:
        capture = store.get("capture", order["capture_id"])
        refunds = list_refunds(store, capture) if capture else []
        captures = [capture_shape(capture)] if capture else []
        for shape in captures:
            del shape["supplementary_data"]  # only in events and if a capture is read alone
        unit["payments"] = {"captures": captures}
        if refunds:
            unit["payments"]["refunds"] = [refund_shape(refund) for refund in refunds]
    document["purchase_units"] = [unit]
    payer = order["payment_source"]["paypal"]
    if payer:
        document["payer"] = {name: payer[name] for name in ("name", "email_address")}
        document["payer"]["payer_id"] = payer["account_id"]
    return document | {"links": order_links(order)}


HIDDEN = ("urls", "base", "capture_id", "order_id", "refund_ids")
"""Fields of stored documents that the API does not return."""


def list_refunds(store: SimulatorStore, capture: Json) -> list[Json]:
    """Lists a capture's refunds, oldest first."""
    refunds = (store.get("refund", name) for name in capture["refund_ids"])
    return [refund for refund in refunds if refund]


def order_links(order: Json) -> list[Json]:
    """The links of an order, as its state permits them."""
    own = f"{order['base']}/v2/checkout/orders/{order['id']}"
    links = [{"href": own, "rel": "self", "method": "GET"}]
    if order["status"] == "PAYER_ACTION_REQUIRED":
        page = f"{order['base']}/checkoutnow?token={order['id']}"
        links.append({"href": page, "rel": "payer-action", "method": "GET"})
    if order["status"] == "APPROVED":
        links.append({"href": f"{own}/capture", "rel": "capture", "method": "POST"})
    return links


def capture_shape(capture: Json) -> Json:
    """The capture as the API returns it."""
    own = f"{capture['base']}/v2/payments/captures/{capture['id']}"
    up = f"{capture['base']}/v2/checkout/orders/{capture['order_id']}"
    document = {
        name: value for name, value in capture.items() if name not in HIDDEN and value is not None
    }
    return document | {
        "supplementary_data": {"related_ids": {"order_id": capture["order_id"]}},
        "links": [
            {"href": own, "rel": "self", "method": "GET"},
            {"href": f"{own}/refund", "rel": "refund", "method": "POST"},
            {"href": up, "rel": "up", "method": "GET"},
        ],
    }


def refund_shape(refund: Json) -> Json:
    """The refund as the API returns it."""
    own = f"{refund['base']}/v2/payments/refunds/{refund['id']}"
    up = f"{refund['base']}/v2/payments/captures/{refund['capture_id']}"
    document = {name: value for name, value in refund.items() if name not in HIDDEN}
    return document | {
        "links": [
            {"href": own, "rel": "self", "method": "GET"},
            {"href": up, "rel": "up", "method": "GET"},
        ],
    }
