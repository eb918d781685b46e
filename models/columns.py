"""Filter columns that grow: categories, brands, prices and stock of the rows of an index."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.index_files import ProductColumns


@dataclass(frozen=True)
class ProductAttributes:
    """What filters see of one product; `price_e4` is the price in ten-thousandths."""

    category: str
    brand: str | None
    price_e4: int
    in_stock: bool


class Vocabulary:
    """Texts, compared without case, as small numbers."""

    def __init__(self, words: list[str] | None = None) -> None:
        self.words = list(words or [])
        self._codes = {word: code for code, word in enumerate(self.words)}

    def code(self, word: str) -> int:
        """The word's number; a new one where the word is new."""
        folded = word.casefold()
        if folded not in self._codes:
            self._codes[folded] = len(self.words)
            self.words.append(folded)
        return self._codes[folded]

    def known(self, words: frozenset[str]) -> list[int]:
        """Numbers of those words that any row ever had."""
        folded = (word.casefold() for word in words)
        return [self._codes[word] for word in folded if word in self._codes]


class ColumnStore:
    """Row -> attributes, in arrays that double when full."""

    def __init__(self, columns: ProductColumns | None = None) -> None:
        self._categories = Vocabulary(columns.categories if columns else None)
        self._brands = Vocabulary(columns.brands if columns else None)
        self._category = _start(columns.category_code if columns else None, np.int32)
        self._brand = _start(columns.brand_code if columns else None, np.int32)
        self._price = _start(columns.price_e4 if columns else None, np.int64)
        self._stock = _start(columns.in_stock if columns else None, np.bool_)

    def put(self, row: int, attributes: ProductAttributes) -> None:
        """Sets a row, growing as needed."""
        if row >= len(self._price):
            size = max(1024, 2 * row)
            self._category = np.resize(self._category, size)
            self._brand = np.resize(self._brand, size)
            self._price = np.resize(self._price, size)
            self._stock = np.resize(self._stock, size)
        self._category[row] = self._categories.code(attributes.category)
        self._brand[row] = -1 if attributes.brand is None else self._brands.code(attributes.brand)
        self._price[row] = attributes.price_e4
        self._stock[row] = attributes.in_stock

    def matching(
        self,
        count: int,
        *,
        category: frozenset[str] = frozenset(),
        brand: frozenset[str] = frozenset(),
        price_min_e4: int | None = None,
        price_max_e4: int | None = None,
        in_stock: bool | None = None,
    ) -> NDArray[np.bool_]:
        """Which of the first `count` rows pass every given condition: bool, shape (count,)."""
        mask = np.ones(count, dtype=np.bool_)
        if category:
            mask &= np.isin(self._category[:count], self._categories.known(category))
        if brand:
            mask &= np.isin(self._brand[:count], self._brands.known(brand))
        if price_min_e4 is not None:
            mask &= self._price[:count] >= price_min_e4
        if price_max_e4 is not None:
            mask &= self._price[:count] <= price_max_e4
        if in_stock is not None:
            mask &= self._stock[:count] == in_stock
        return mask

    def take(self, rows: NDArray[np.int64]) -> ProductColumns:
        """The columns of some rows, in their order."""
        return ProductColumns(
            categories=list(self._categories.words),
            brands=list(self._brands.words),
            category_code=self._category[rows],
            brand_code=self._brand[rows],
            price_e4=self._price[rows],
            in_stock=self._stock[rows],
        )


def _start(column: NDArray[Any] | None, dtype: type[np.generic]) -> NDArray[Any]:
    return np.zeros(0, dtype=dtype) if column is None else column.copy()
