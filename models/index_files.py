"""An index version as files: vectors, ids and filter columns, each with its checksum."""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import Invalid

PRICE_SCALE = 10_000
"""Prices are kept as whole ten-thousandths, so that comparing them is exact."""


@dataclass(frozen=True)
class ProductColumns:
    """What a filter looks at, one entry a product.

    `category_code` and `brand_code`: int32, positions in the vocabularies (brand -1: none);
    `price_e4`: int64, price x 10,000; `in_stock`: bool.
    """

    categories: list[str]
    brands: list[str]
    category_code: NDArray[np.int32]
    brand_code: NDArray[np.int32]
    price_e4: NDArray[np.int64]
    in_stock: NDArray[np.bool_]


@dataclass(frozen=True)
class IndexFiles:
    """`vectors`: float16, shape (n, dim), unit rows; `ids`: n product ids, in ascending order."""

    vectors: NDArray[np.float16]
    ids: list[str]
    columns: ProductColumns


def pack(files: IndexFiles) -> dict[str, bytes]:
    """File name -> content; the same products always give the same bytes."""
    columns = files.columns
    vocabulary = {"categories": columns.categories, "brands": columns.brands}
    return {
        "vectors.f16.npy": _npy(files.vectors),
        "ids.txt": "\n".join(files.ids).encode(),
        "category.i32.npy": _npy(columns.category_code),
        "brand.i32.npy": _npy(columns.brand_code),
        "price.i64.npy": _npy(columns.price_e4),
        "stock.bool.npy": _npy(columns.in_stock),
        "vocabulary.json": json.dumps(vocabulary, ensure_ascii=False).encode(),
    }


def checksums(packed: dict[str, bytes]) -> dict[str, dict[str, int | str]]:
    """The manifest's part about files: name -> size in bytes and SHA-256 in hex."""
    return {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in packed.items()
    }


def unpack(packed: dict[str, bytes], expected: dict[str, dict[str, int | str]]) -> IndexFiles:
    """The inverse of `pack`.

    Raises:
        Invalid: a file is missing or its checksum differs from the manifest's.

    """
    found = checksums(packed)
    wrong = sorted(name for name in expected if found.get(name) != expected[name])
    if wrong:
        raise Invalid(f"index files are missing or damaged: {', '.join(wrong)}")
    vocabulary = json.loads(packed["vocabulary.json"])
    columns = ProductColumns(
        categories=vocabulary["categories"],
        brands=vocabulary["brands"],
        category_code=_array(packed["category.i32.npy"]),
        brand_code=_array(packed["brand.i32.npy"]),
        price_e4=_array(packed["price.i64.npy"]),
        in_stock=_array(packed["stock.bool.npy"]),
    )
    text = packed["ids.txt"].decode()
    return IndexFiles(_array(packed["vectors.f16.npy"]), text.split("\n") if text else [], columns)


def _npy(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _array(data: bytes) -> Any:
    return np.load(io.BytesIO(data), allow_pickle=False)
