"""What a shopper orders: products that we price ourselves, or an amount; in one currency."""

from collections import Counter
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator
from sqlmodel.ext.asyncio.session import AsyncSession

from db.catalog import get_products
from db.tables import Product
from errors import Conflict, Invalid
from studio.forms import PRODUCT_ID_PATTERN, Form
from studio.payments.money import Money, exact_money, parse_money, positive

MAX_ITEMS = 100
NAME_CHARS = 127


def require_web_address(url: str) -> str:
    """Raises:
    ValueError: no http(s) address that a browser can be sent to.
    """
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_good = False
    if not is_good or not url.isascii() or any(char.isspace() for char in url):
        raise ValueError("must be an http or https address")
    return url


WebAddress = Annotated[str, Field(max_length=2000), AfterValidator(require_web_address)]


class AmountForm(Form):
    """`19.99` of a currency, as a decimal string."""

    value: Annotated[str, Field(max_length=32)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]

    def to_money(self) -> Money:
        """Raises:
        Invalid: not exact in this currency, zero, too large, or no currency that PayPal takes.
        """
        return parse_money(self.value, self.currency)


class ItemForm(Form):
    """So many of one product."""

    product_id: Annotated[str, Field(pattern=PRODUCT_ID_PATTERN)]
    quantity: Annotated[int, Field(ge=1, le=999, strict=True)]


class OrderForm(Form):
    """Products, or an amount, or both where the amount is what the caller expects to pay."""

    items: (
        Annotated[list[ItemForm], Field(min_length=1, max_length=MAX_ITEMS, fail_fast=True)] | None
    ) = None
    amount: AmountForm | None = None
    description: Annotated[str, Field(min_length=1, max_length=NAME_CHARS)] | None = None
    return_url: WebAddress
    cancel_url: WebAddress

    @model_validator(mode="after")
    def require_something(self) -> "OrderForm":
        """An order of nothing is a mistake."""
        if self.items is None and self.amount is None:
            raise ValueError("give items or an amount")
        return self


class RefundForm(Form):
    """Part of what was paid, or all that is left of it."""

    amount: AmountForm | None = None
    note: Annotated[str, Field(min_length=1, max_length=255)] | None = None


async def price(session: AsyncSession, form: OrderForm) -> tuple[Money, list[dict[str, Any]]]:
    """What is to be paid, and PayPal's lines for it.

    Raises:
        Invalid: a product isn't there or can't be paid exactly; two currencies; the amount that
            the caller expects is another one.
        Conflict: a product is not in stock.
    """
    expected = form.amount.to_money() if form.amount else None
    if form.items is None:
        if expected is None:
            raise Invalid("give items or an amount")
        return expected, []
    wanted = Counter[str]()
    for item in form.items:
        wanted[item.product_id] += item.quantity
    products = await get_products(session, list(wanted))
    lines = [(require_sold(products, name), quantity) for name, quantity in wanted.items()]
    total = add_up([(exact_money(one.price, one.currency), count) for one, count in lines])
    if expected is not None and expected != total:
        raise Invalid(f"the amount is {total.value} {total.currency} for these items")
    return total, [line_of(product, quantity) for product, quantity in lines]


def require_sold(products: dict[str, Product], product_id: str) -> Product:
    """Raises:
    Invalid: there is no such product. Conflict: it is out of stock.
    """
    product = products.get(product_id)
    if product is None:
        raise Invalid(f"there is no product {product_id}")
    if not product.in_stock:
        raise Conflict(f"{product_id} is out of stock")
    return product


def add_up(parts: list[tuple[Money, int]]) -> Money:
    """Raises:
    Invalid: two currencies, nothing to pay, or too much.
    """
    currencies = {money.currency for money, _ in parts}
    if len(currencies) > 1:
        raise Invalid(f"one order has one currency, not {' and '.join(sorted(currencies))}")
    return positive(Money(currencies.pop(), sum(money.minor * count for money, count in parts)))


def line_of(product: Product, quantity: int) -> dict[str, Any]:
    """A line as PayPal's receipt shows it."""
    unit = exact_money(product.price, product.currency)
    return {
        "name": product.title[:NAME_CHARS],
        "sku": product.id[:NAME_CHARS],
        "quantity": str(quantity),
        "unit_amount": spelled(unit),
    }


def order_request(
    payment_id: UUID, form: OrderForm, total: Money, lines: list[dict[str, Any]]
) -> dict[str, Any]:
    """The body that creates the order at PayPal, whenever and however often it is sent."""
    amount: dict[str, Any] = spelled(total)
    unit: dict[str, Any] = {
        "reference_id": "default",
        "custom_id": str(payment_id),
        "invoice_id": str(payment_id),
        "amount": amount,
    }
    if lines:
        amount["breakdown"] = {"item_total": spelled(total)}
        unit["items"] = lines
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


def spelled(money: Money) -> dict[str, str]:
    """As PayPal writes money."""
    return {"currency_code": money.currency, "value": money.value}
