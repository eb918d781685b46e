"""The columns of rows: categories, brands, prices, stock, currencies, groups, times and facts."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.index.columns.dictionaries import Dictionaries
from models.index.columns.facts import NO_POSTINGS, FactPostings, FactStore
from models.index.shapes import Filters, ProductAttributes

Rows = slice | NDArray[np.int64]


@dataclass(frozen=True)
class ProductColumns:
    """The attributes of many products, one entry a product, by numbers of the dictionaries.

    `category_code`, `brand_code`, `currency_code`, `group_code`: int32 (brand and group -1: none);
    `price_e4`: int64, price x 10,000; `in_stock`: bool; `created_us`: int64.
    """

    dictionaries: Dictionaries
    category_code: NDArray[np.int32]
    brand_code: NDArray[np.int32]
    price_e4: NDArray[np.int64]
    in_stock: NDArray[np.bool_]
    currency_code: NDArray[np.int32]
    group_code: NDArray[np.int32]
    created_us: NDArray[np.int64]
    facts: FactPostings = NO_POSTINGS


class ColumnStore:
    """Row -> attributes, in arrays that double when full. Changes its argument `columns`."""

    def __init__(self, columns: ProductColumns | None = None) -> None:
        columns = columns or empty_columns()
        self.dictionaries = columns.dictionaries
        self.category = columns.category_code
        self.brand = columns.brand_code
        self.price = columns.price_e4
        self.stock = columns.in_stock
        self.currency = columns.currency_code
        self.group = columns.group_code
        self.created = columns.created_us
        self.facts = FactStore(columns.facts)

    def put(self, row: int, attributes: ProductAttributes) -> None:
        """Sets a row, growing as needed."""
        if row >= len(self.price):
            self._grow(max(1024, 2 * row))
        names = self.dictionaries
        self.category[row] = names.categories.code(attributes.category)
        self.brand[row] = -1 if attributes.brand is None else names.brands.code(attributes.brand)
        self.price[row] = attributes.price_e4
        self.stock[row] = attributes.in_stock
        self.currency[row] = names.currencies.code(attributes.currency)
        self.group[row] = names.groups.code(attributes.group_id)
        self.created[row] = attributes.created_us
        codes = {names.facts.code(name, value) for name, value in attributes.facts}
        self.facts.put(row, sorted(codes))

    def _grow(self, size: int) -> None:
        self.category = np.resize(self.category, size)
        self.brand = np.resize(self.brand, size)
        self.price = np.resize(self.price, size)
        self.stock = np.resize(self.stock, size)
        self.currency = np.resize(self.currency, size)
        self.group = np.resize(self.group, size)
        self.created = np.resize(self.created, size)

    def matching(self, rows: Rows, filters: Filters) -> NDArray[np.bool_]:
        """Which of the rows pass every condition: bool, one a row."""
        mask = self.admitted(rows, filters)
        for condition in self.conditions(rows, filters).values():
            mask &= condition
        return mask

    def admitted(self, rows: Rows, filters: Filters) -> NDArray[np.bool_]:
        """Which of the rows are not left out by `without`: bool, one a row."""
        mask = np.ones(len(self.price[rows]), dtype=np.bool_)
        if filters.without is not None:
            for condition in self.conditions(rows, filters.without).values():
                mask &= ~condition
        return mask

    def conditions(self, rows: Rows, filters: Filters) -> dict[str, NDArray[np.bool_]]:
        """The rows that meet each condition: name of the facet -> bool, one a row."""
        masks: dict[str, NDArray[np.bool_]] = {}
        names = self.dictionaries
        if filters.category:
            codes = names.categories.codes_of(filters.category)
            masks["category"] = _is_any_of(self.category[rows], codes)
        if filters.brand:
            masks["brand"] = _is_any_of(self.brand[rows], names.brands.codes_of(filters.brand))
        if filters.price_min_e4 is not None or filters.price_max_e4 is not None:
            masks["price"] = _is_between(
                self.price[rows], filters.price_min_e4, filters.price_max_e4
            )
        if filters.in_stock is not None:
            masks["inStock"] = self.stock[rows] == filters.in_stock
        if filters.currency is not None:
            codes = names.currencies.codes_of([filters.currency])
            masks["currency"] = _is_any_of(self.currency[rows], codes)
        if filters.group_id:
            masks["groupId"] = _is_any_of(self.group[rows], names.groups.codes_of(filters.group_id))
        for name, values in filters.attributes:
            codes = names.facts.codes_of(name, values)
            mask = self.facts.mask(codes, len(self.price))[rows]
            facet = f"attributes.{name.casefold()}"
            masks[facet] = masks[facet] & mask if facet in masks else mask
        return masks

    def take(self, rows: NDArray[np.int64]) -> ProductColumns:
        """The columns of some rows, in their order, with the same dictionaries."""
        return ProductColumns(
            self.dictionaries,
            category_code=self.category[rows],
            brand_code=self.brand[rows],
            price_e4=self.price[rows],
            in_stock=self.stock[rows],
            currency_code=self.currency[rows],
            group_code=self.group[rows],
            created_us=self.created[rows],
            facts=self.facts.take(rows, len(self.dictionaries.facts)),
        )


def empty_columns(dictionaries: Dictionaries | None = None) -> ProductColumns:
    """Columns without rows."""
    codes, numbers = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)
    return ProductColumns(
        dictionaries or Dictionaries(),
        category_code=codes,
        brand_code=codes,
        price_e4=numbers,
        in_stock=np.zeros(0, dtype=np.bool_),
        currency_code=codes,
        group_code=codes,
        created_us=numbers,
    )


def _is_any_of(codes: NDArray[np.int32], choices: Iterable[int]) -> NDArray[np.bool_]:
    """Which codes are among the choices; a comparison with each is faster than `isin` for few."""
    choices = list(choices)
    if len(choices) > 8:
        return np.isin(codes, choices)
    mask = np.zeros(len(codes), dtype=np.bool_)
    for choice in choices:
        mask |= codes == choice
    return mask


def _is_between(prices: NDArray[np.int64], low: int | None, high: int | None) -> NDArray[np.bool_]:
    mask = np.ones(len(prices), dtype=np.bool_)
    if low is not None:
        mask &= prices >= low
    if high is not None:
        mask &= prices <= high
    return mask
