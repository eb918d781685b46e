"""The wire form of a product: what a search and the catalogue answer about it."""

from datetime import datetime
from typing import Any, Self

import structlog

from db.tables import Product
from gateway.wire import WireResponse
from studio.catalog.attributes import Attributes, split_attributes
from studio.catalog.prices import price_text
from studio.catalog.shown import ShownProduct
from studio.ports import BlobStore

log = structlog.get_logger("studio.gateway")


class ProductSummary(WireResponse):
    """A product on a shelf, with a signed URL of its picture.

    Attributes:
        group_id: what the variants of one product share.
        list_price: the price before the sale; null if it is not on sale.
    """

    id: str
    title: str
    image: str
    category: str
    price: str
    list_price: str | None
    currency: str
    brand: str | None
    in_stock: bool
    group_id: str | None

    @classmethod
    def of_product(cls, product: Product, *, image: str, **fields: Any) -> Self:
        """Row -> wire; prices with the digits of their currency."""
        list_price = product.list_price
        return cls.from_row(
            product,
            image=image,
            price=price_text(product.price, product.currency),
            list_price=None if list_price is None else price_text(list_price, product.currency),
            **fields,
        )


class ImageResponse(WireResponse):
    """A picture of a product, named as in a PUT: the signed URL of its public copy."""

    image_url: str


class ProductResponse(ProductSummary):
    """A product as everyone sees it; `image` is the first of its `images`."""

    description: str | None
    sku: str | None
    url: str | None
    images: list[ImageResponse]
    attributes: Attributes
    created_at: datetime
    updated_at: datetime

    @classmethod
    async def of(cls, blobs: BlobStore, shown: ShownProduct) -> "ProductResponse":
        """Rows -> wire; attributes that are older than their rules are left out, and logged."""
        attributes, hidden = split_attributes(shown.product.attributes)
        if hidden:
            log.warning("attributes were left out", product=shown.id, hidden=hidden[:10])
        urls = [await blobs.sign_get(picture.image_key) for picture in shown.pictures]
        return cls.of_product(
            shown.product,
            image=urls[0],
            images=[ImageResponse(image_url=url) for url in urls],
            attributes=attributes,
        )
