"""Orders: made, approved by their payer, captured once."""

from decimal import Decimal, InvalidOperation
from typing import Any

from local.paypal.books import Books, new_id, now
from local.paypal.problems import Problem

Json = dict[str, Any]

NO_DECIMALS = {"HUF", "JPY", "TWD"}
CURRENCIES = NO_DECIMALS | {
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS", "MXN", "MYR",
    "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "USD",
}  # fmt: skip
MERCHANT = {"email_address": "merchant@simulator.example", "merchant_id": "MERCHANT22222"}
PAYER_ID = "SHXPPER222222"
FEE = Decimal("0.03")


def create(books: Books, body: Json, base: str) -> Json:
    """A new order; it waits for its payer.

    Raises:
        Problem: the body is not one that PayPal takes.
    """
    if body.get("intent") != "CAPTURE":
        raise Problem(422, "UNSUPPORTED_INTENT", "/intent")
    units = body.get("purchase_units")
    if not isinstance(units, list) or len(units) != 1 or not isinstance(units[0], dict):
        raise Problem(400, "INVALID_ARRAY_MAX_ITEMS", "/purchase_units")
    unit = units[0]
    total = read_amount(unit.get("amount"), "/purchase_units/@reference_id=='default'/amount")
    check_items(unit, total)
    try:
        context = body["payment_source"]["paypal"]["experience_context"]
        urls = {name: str(context[name]) for name in ("return_url", "cancel_url")}
    except (KeyError, TypeError):
        raise Problem(400, "MISSING_REQUIRED_PARAMETER", "/payment_source/paypal") from None
    if invoice := unit.get("invoice_id"):
        if books.get("invoice", f"invoice {invoice}"):
            raise Problem(422, "DUPLICATE_INVOICE_ID", "/purchase_units/0/invoice_id")
        books.put("invoice", {"id": f"invoice {invoice}"})
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
    books.put("order", order)
    return order


def read_amount(amount: Any, field: str) -> Decimal:
    """PayPal's own rules of money.

    Raises:
        Problem: which rule.
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
    """Raises:
    Problem: the lines don't add up to the amount.
    """
    items = unit.get("items")
    if not items:
        return
    breakdown = unit["amount"].get("breakdown") or {}
    if "item_total" not in breakdown:
        raise Problem(422, "ITEM_TOTAL_REQUIRED", "/purchase_units/0/amount/breakdown")
    item_total = Decimal(breakdown["item_total"]["value"])
    added = sum(
        (Decimal(one["unit_amount"]["value"]) * int(one["quantity"]) for one in items), Decimal(0)
    )
    if added != item_total:
        raise Problem(422, "ITEM_TOTAL_MISMATCH", "/purchase_units/0/amount/breakdown/item_total")
    if item_total != total:
        raise Problem(422, "AMOUNT_MISMATCH", "/purchase_units/0/amount/value")


def find(books: Books, order_id: str) -> Json:
    """Raises:
    Problem: there is none.
    """
    order = books.get("order", order_id)
    if order is None:
        raise Problem(404, "INVALID_RESOURCE_ID")
    return order


def approve(books: Books, order: Json) -> Json:
    """The payer says yes; once more changes nothing."""
    if order["status"] == "PAYER_ACTION_REQUIRED":
        payer = {
            "name": {"given_name": "Sim", "surname": "Shopper"},
            "email_address": "shopper@simulator.example",
            "account_id": PAYER_ID,
        }
        order |= {"status": "APPROVED", "payment_source": {"paypal": payer}, "update_time": now()}
        books.put("order", order)
        shown = shape(books, order)
        books.add_event(
            "CHECKOUT.ORDER.APPROVED",
            "An order has been approved by buyer",
            "checkout-order",
            shown,
        )
    return order


def capture(books: Books, order: Json, *, outcome: str | None) -> Json:
    """Takes the money; `outcome`: `declined`, `pending` or, as usual, nothing special.

    Raises:
        Problem: not approved, captured before, or the payer's instrument is declined.
    """
    if order["status"] == "COMPLETED":
        raise Problem(422, "ORDER_ALREADY_CAPTURED")
    if order["status"] != "APPROVED":
        raise Problem(422, "ORDER_NOT_APPROVED")
    if outcome == "declined":
        books.put("order", order | {"status": "PAYER_ACTION_REQUIRED"})
        raise Problem(422, "INSTRUMENT_DECLINED", keep=True)
    unit = order["purchase_units"][0]
    amount = {name: unit["amount"][name] for name in ("currency_code", "value")}
    status = "PENDING" if outcome == "pending" else "COMPLETED"
    taken = {
        "id": new_id(), "status": status, "amount": amount, "final_capture": True,
        "invoice_id": unit.get("invoice_id"), "custom_id": unit.get("custom_id"),
        "seller_protection": {"status": "ELIGIBLE"}, "create_time": now(), "update_time": now(),
        "order_id": order["id"], "base": order["base"], "refund_ids": [],
        "seller_receivable_breakdown": receivable(amount),
    }  # fmt: skip
    if status == "PENDING":
        taken["status_details"] = {"reason": "PENDING_REVIEW"}
    books.put("capture", taken)
    order |= {"status": "COMPLETED", "capture_id": taken["id"], "update_time": now()}
    books.put("order", order)
    books.add_event(
        f"PAYMENT.CAPTURE.{status}", f"Payment {status.lower()}", "capture", capture_shape(taken)
    )
    return order


def receivable(amount: Json) -> Json:
    """What the merchant gets of it."""
    places = Decimal(1) if amount["currency_code"] in NO_DECIMALS else Decimal("0.01")
    gross = Decimal(amount["value"])
    fee = (gross * FEE).quantize(places)

    def money(value: Decimal) -> Json:
        return {"currency_code": amount["currency_code"], "value": f"{value:f}"}

    return {"gross_amount": amount, "paypal_fee": money(fee), "net_amount": money(gross - fee)}


def settle_pending(books: Books, taken: Json, status: str) -> Json:
    """PayPal has looked at a pending capture: COMPLETED or DECLINED."""
    if taken["status"] == "PENDING":
        taken |= {"status": status, "update_time": now()}
        taken.pop("status_details", None)
        books.put("capture", taken)
        name = "COMPLETED" if status == "COMPLETED" else "DENIED"
        books.add_event(
            f"PAYMENT.CAPTURE.{name}", f"Payment {name.lower()}", "capture", capture_shape(taken)
        )
    return taken


def shape(books: Books, order: Json) -> Json:
    """The order as callers see it, with its capture and refunds as they are now."""
    shown = {name: value for name, value in order.items() if name not in HIDDEN}
    unit = dict(order["purchase_units"][0])
    if "capture_id" in order:
        taken = books.get("capture", order["capture_id"])
        refunds = refunds_of(books, taken) if taken else []
        inside = [capture_shape(taken)] if taken else []
        for one in inside:
            del one["supplementary_data"]  # an event and a capture on its own have it
        unit["payments"] = {"captures": inside}
        if refunds:
            unit["payments"]["refunds"] = [refund_shape(one) for one in refunds]
    shown["purchase_units"] = [unit]
    payer = order["payment_source"]["paypal"]
    if payer:
        shown["payer"] = {name: payer[name] for name in ("name", "email_address")}
        shown["payer"]["payer_id"] = payer["account_id"]
    return shown | {"links": order_links(order)}


HIDDEN = ("urls", "base", "capture_id", "order_id", "refund_ids")
"""What documents hold for the simulator's own use."""


def refunds_of(books: Books, taken: Json) -> list[Json]:
    """A capture's refunds, oldest first."""
    found = (books.get("refund", name) for name in taken["refund_ids"])
    return [one for one in found if one]


def order_links(order: Json) -> list[Json]:
    """Where a caller goes from here."""
    own = f"{order['base']}/v2/checkout/orders/{order['id']}"
    links = [{"href": own, "rel": "self", "method": "GET"}]
    if order["status"] == "PAYER_ACTION_REQUIRED":
        page = f"{order['base']}/checkoutnow?token={order['id']}"
        links.append({"href": page, "rel": "payer-action", "method": "GET"})
    if order["status"] == "APPROVED":
        links.append({"href": f"{own}/capture", "rel": "capture", "method": "POST"})
    return links


def capture_shape(taken: Json) -> Json:
    """A capture as callers see it."""
    own = f"{taken['base']}/v2/payments/captures/{taken['id']}"
    up = f"{taken['base']}/v2/checkout/orders/{taken['order_id']}"
    shown = {
        name: value for name, value in taken.items() if name not in HIDDEN and value is not None
    }
    return shown | {
        "supplementary_data": {"related_ids": {"order_id": taken["order_id"]}},
        "links": [
            {"href": own, "rel": "self", "method": "GET"},
            {"href": f"{own}/refund", "rel": "refund", "method": "POST"},
            {"href": up, "rel": "up", "method": "GET"},
        ],
    }


def refund_shape(refund: Json) -> Json:
    """A refund as callers see it."""
    own = f"{refund['base']}/v2/payments/refunds/{refund['id']}"
    up = f"{refund['base']}/v2/payments/captures/{refund['capture_id']}"
    shown = {name: value for name, value in refund.items() if name not in HIDDEN}
    return shown | {
        "links": [
            {"href": own, "rel": "self", "method": "GET"},
            {"href": up, "rel": "up", "method": "GET"},
        ],
    }
