"""A product's row as the index stores it."""

from db.catalog import Change
from db.tables import Product
from models.index.shapes import PRICE_SCALE, ProductAttributes


def attributes_of(product: Product | Change) -> ProductAttributes:
    """The attributes that search filters compare."""
    price_e4 = int((product.price * PRICE_SCALE).to_integral_value())
    return ProductAttributes(product.category, product.brand, price_e4, product.in_stock)
