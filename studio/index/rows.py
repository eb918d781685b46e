"""A product's row as an index keeps it: a half-precision vector and what filters look at."""

from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from db.catalog import Change
from db.tables import Product
from models.index.columns import PRICE_SCALE, ProductAttributes


def pack_vector(vector: NDArray[np.float32]) -> bytes:
    """Unit vector, shape (dim,) -> little-endian float16, as table and index keep it."""
    return vector.astype("<f2").tobytes()


def unpack_vector(data: bytes) -> NDArray[np.float16]:
    """The inverse of `pack_vector`: float16, shape (dim,)."""
    return np.frombuffer(data, dtype="<f2").astype(np.float16)


def attributes_of(product: Product | Change) -> ProductAttributes:
    """What filters see of a product."""
    price_e4 = int((product.price * Decimal(PRICE_SCALE)).to_integral_value())
    return ProductAttributes(product.category, product.brand, price_e4, product.in_stock)
