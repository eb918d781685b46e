"""The form of an order: products at the studio's prices, or an amount, in one currency."""

from collections import Counter
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, model_validator
from sqlmodel.ext.asyncio.session import AsyncSession

from db.catalog import get_products
from db.tables import Product
from errors import Conflict, Invalid
from studio.forms import Form, ProductId, WebAddress
from studio.payments.money import Money, exact_money, parse_money, positive

MAX_ITEMS = 100
NAME_CHARS = 127


class AmountForm(Form):
    """A decimal string such as `19.99`, and its currency."""

    value: Annotated[str, Field(max_length=32)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]

    def to_money(self) -> Money:
        """The exact amount.

        Raises:
            Invalid: it is not exact, zero or too large, or PayPal doesn't accept the currency.
        """
        return parse_money(self.value, self.currency)


class ItemForm(Form):
    """A product and its quantity."""

    product_id: ProductId
    quantity: Annotated[int, Field(ge=1, le=999, strict=True)]


class OrderForm(Form):
    """Products, an amount, or both; with both, the amount is the total that the caller expects."""

    items: (
        Annotated[list[ItemForm], Field(min_length=1, max_length=MAX_ITEMS, fail_fast=True)] | None
    ) = None
    amount: AmountForm | None = None
    description: Annotated[str, Field(min_length=1, max_length=NAME_CHARS)] | None = None
    return_url: WebAddress
    cancel_url: WebAddress

    @model_validator(mode="after")
    def require_something(self) -> "OrderForm":
        """Refuses an order without items and amount."""
        if self.items is None and self.amount is None:
            raise ValueError("give items or an amount")
        return self


class RefundForm(Form):
    """A refund of an amount; without an amount, of all that is left of the payment."""

    amount: AmountForm | None = None
    note: Annotated[str, Field(min_length=1, max_length=255)] | None = None


async def price(session: AsyncSession, form: OrderForm) -> tuple[Money, list[dict[str, Any]]]:
    """The amount to pay, and PayPal's items for it.

    Raises:
        Invalid: a product doesn't exist or can't be paid exactly; there are two currencies; the
            caller expects another amount.
        Conflict: a product is not in stock.
    """
    expected = form.amount.to_money() if form.amount else None
    if form.items is None:
        if expected is None:
            raise Invalid("give items or an amount")
        return expected, []
    quantities = Counter[str]()
    for item in form.items:
        quantities[item.product_id] += item.quantity
    products = await get_products(session, list(quantities))
    items = [(require_sold(products, name), count) for name, count in quantities.items()]
    total = add_up([(exact_money(sold.price, sold.currency), count) for sold, count in items])
    if expected is not None and expected != total:
        raise Invalid(f"the amount is {total.value} {total.currency} for these items")
    return total, [item_of(product, quantity) for product, quantity in items]


def require_sold(products: dict[str, Product], product_id: str) -> Product:
    """The product with this id.

    Raises:
        Invalid: there is no such product. Conflict: it is out of stock.
    """
    product = products.get(product_id)
    if product is None:
        raise Invalid(f"there is no product {product_id}")
    if not product.in_stock:
        raise Conflict(f"{product_id} is out of stock")
    return product


def add_up(parts: list[tuple[Money, int]]) -> Money:
    """The sum of the amounts, each times its count.

    Raises:
        Invalid: there are two currencies, or the sum is zero or too large.
    """
    currencies = {money.currency for money, _ in parts}
    if len(currencies) > 1:
        raise Invalid(f"one order has one currency, not {' and '.join(sorted(currencies))}")
    return positive(Money(currencies.pop(), sum(money.minor * count for money, count in parts)))


def item_of(product: Product, quantity: int) -> dict[str, Any]:
    """A product as an item of PayPal's order."""
    unit = exact_money(product.price, product.currency)
    return {
        "name": product.title[:NAME_CHARS],
        "sku": product.id[:NAME_CHARS],
        "quantity": str(quantity),
        "unit_amount": paypal_amount(unit),
    }


def order_request(
    payment_id: UUID, form: OrderForm, total: Money, items: list[dict[str, Any]]
) -> dict[str, Any]:
    """The request body that creates the order at PayPal; repeated requests send the same body."""
    amount: dict[str, Any] = paypal_amount(total)
    unit: dict[str, Any] = {
        "reference_id": "default",
        "custom_id": str(payment_id),
        "invoice_id": str(payment_id),
        "amount": amount,
    }
    if items:
        amount["breakdown"] = {"item_total": paypal_amount(total)}
        unit["items"] = items
    if form.description:
        unit["description"] = form.description
    context = {
        "return_url": form.return_url,
        "cancel_url": form.cancel_url,
        "user_action": "PAY_NOW",
        "shipping_preference": "NO_SHIPPING",
    }
    return {
        "intent": "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": context}},
    }


def paypal_amount(money: Money) -> dict[str, str]:
    """The amount as PayPal's documents contain it."""
    return {"currency_code": money.currency, "value": money.value}
