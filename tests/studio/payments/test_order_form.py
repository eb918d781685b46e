"""Orders of products or amounts, in one currency."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from db.tables import Product
from errors import Conflict, Invalid
from studio.payments.money import Money
from studio.payments.order_form import OrderForm, add_up, item_of, order_request, require_sold

URLS = {"returnUrl": "https://shop.example/back", "cancelUrl": "https://shop.example/cart"}


def product(*, in_stock: bool = True) -> Product:
    return Product(
        id="p-1", title="t" * 200, category="dress", price=Decimal("19.99"), currency="EUR",
        in_stock=in_stock, image_key="k", image_sha256="s", change_seq=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"items": []},
        {"items": [{"productId": "p-1", "quantity": 0}]},
        {"amount": {"value": "1", "currency": "EUR"}, "returnUrl": "javascript:alert(1)"},
        {"amount": {"value": "1", "currency": "EUR"}, "cancelUrl": "https://shop.example/a b"},
    ],
)
def test_incomplete_orders_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OrderForm.model_validate(URLS | fields)


def test_only_products_in_stock_are_sold() -> None:
    products = {"p-1": product(), "p-2": product(in_stock=False)}
    assert require_sold(products, "p-1") is products["p-1"]
    with pytest.raises(Conflict):
        require_sold(products, "p-2")
    with pytest.raises(Invalid):
        require_sold(products, "p-3")


def test_an_order_has_one_currency() -> None:
    assert add_up([(Money("EUR", 1999), 2), (Money("EUR", 1), 1)]) == Money("EUR", 3999)
    with pytest.raises(Invalid, match="EUR and USD"):
        add_up([(Money("EUR", 1), 1), (Money("USD", 1), 1)])


def test_the_request_to_paypal_names_the_payment_and_its_items() -> None:
    form = OrderForm.model_validate(URLS | {"items": [{"productId": "p-1", "quantity": 2}]})
    payment_id = uuid4()
    item = item_of(product(), 2)
    body = order_request(payment_id, form, Money("EUR", 3998), [item])
    (unit,) = body["purchase_units"]
    assert unit["custom_id"] == unit["invoice_id"] == str(payment_id)
    assert unit["amount"]["value"] == unit["amount"]["breakdown"]["item_total"]["value"] == "39.98"
    assert unit["items"] == [item] and len(item["name"]) == 127
    assert body == order_request(payment_id, form, Money("EUR", 3998), [item])
