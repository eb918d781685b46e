"""Facets: exact counts of the values that the products (or groups) of an answer set have."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.index.answers.selection import AnswerSet, Mask
from models.index.columns.dictionaries import Dictionaries
from models.index.shapes import PRICE_SCALE, Facet, PriceFacet, ValueFacet

MOST_VALUES = 100
"""A facet has at most this many values, those with the largest counts."""
MOST_RANGES = 10
MOST_CELLS = 30_000_000
"""Pairs of group and value are counted in a table of at most this size, otherwise by sorting."""
ATTRIBUTES = "attributes."


def count_facet(name: str, selection: AnswerSet, dictionaries: Dictionaries) -> Facet:
    """One facet over the answer set; its own filter does not narrow it."""
    if name == "price":
        return _count_prices(selection, selection.mask("price"))
    if name.startswith(ATTRIBUTES):
        own = ATTRIBUTES + name.removeprefix(ATTRIBUTES).casefold()
        return _count_facts(name, selection, selection.mask(own), dictionaries)
    mask = selection.mask(name)
    if name == "inStock":
        return _count_codes(selection, mask, "stock", ("false", "true"))
    texts = dictionaries.categories if name == "category" else dictionaries.brands
    return _count_codes(selection, mask, name, texts.spellings)


def _count_codes(selection: AnswerSet, mask: Mask, column: str, texts: Sequence[str]) -> ValueFacet:
    """Counts a column of codes; those below 0 are no value."""
    counts = np.zeros(len(texts), dtype=np.int64)
    items, codes = [], []
    for part in selection.parts:
        own = getattr(part.columns, column)[part.own]
        is_member = mask[part.span] & (own >= 0)
        if selection.is_grouped:
            items.append(selection.items[part.span][is_member])
            codes.append(own[is_member].astype(np.int64))
        else:
            counts += np.bincount(own[is_member], minlength=len(texts))
    if selection.is_grouped:
        counts = _count_pairs(np.concatenate(items), np.concatenate(codes), len(texts))
    return _largest(texts, counts)


def _count_facts(
    name: str, selection: AnswerSet, mask: Mask, dictionaries: Dictionaries
) -> ValueFacet:
    """Counts the values of an attribute."""
    codes = dictionaries.facts.codes_of(name.removeprefix(ATTRIBUTES))
    counts = np.zeros(len(codes), dtype=np.int64)
    items, values = [], []
    for part in selection.parts:
        if not selection.is_grouped:
            counts += part.columns.facts.counts(codes, mask[part.span])
            continue
        rows, places = part.columns.facts.entries(codes)
        is_member = mask[part.span][rows]
        items.append(selection.items[part.span][rows[is_member]])
        values.append(places[is_member])
    if selection.is_grouped:
        counts = _count_pairs(np.concatenate(items), np.concatenate(values), len(codes))
    return _largest([dictionaries.facts.values[code] for code in codes], counts)


def _count_pairs(
    items: NDArray[np.int64], codes: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """For each code the number of different items that have it."""
    if not items.size:
        return np.zeros(count, dtype=np.int64)
    is_present = np.zeros(int(items.max()) + 1, dtype=np.bool_)
    is_present[items] = True
    number = np.cumsum(is_present) - 1
    if count * int(number[-1] + 1) > MOST_CELLS:
        pairs = np.unique(items * count + codes)
        return np.bincount(pairs % count, minlength=count)
    has_code = np.zeros((count, int(number[-1]) + 1), dtype=np.bool_)
    has_code[codes, number[items]] = True
    counts: NDArray[np.int64] = np.count_nonzero(has_code, axis=1)
    return counts


def _largest(texts: Sequence[str], counts: NDArray[np.int64]) -> ValueFacet:
    """Values that occur, the most frequent first, equal ones in order of their texts."""
    codes: NDArray[np.int64] = np.flatnonzero(counts)
    if len(codes) > MOST_VALUES:
        least = np.partition(counts[codes], len(codes) - MOST_VALUES)[len(codes) - MOST_VALUES]
        codes = codes[counts[codes] >= least]
    values = sorted(
        ((texts[code], int(counts[code])) for code in codes.tolist()),
        key=lambda value: (-value[1], value[0].casefold()),
    )
    return ValueFacet(tuple(values[:MOST_VALUES]))


def _count_prices(selection: AnswerSet, mask: Mask) -> PriceFacet:
    """The range of the prices, and counts by at most `MOST_RANGES` ranges of round bounds."""
    prices = np.concatenate(
        [part.columns.price[part.own][mask[part.span]] for part in selection.parts]
    )
    if not prices.size:
        return PriceFacet(None, None, ())
    low, high = int(prices.min()), int(prices.max())
    step = range_step(low, high)
    places = prices // step - low // step
    count = high // step - low // step + 1
    if selection.is_grouped:
        items = np.concatenate(
            [selection.items[part.span][mask[part.span]] for part in selection.parts]
        )
        counts = _count_pairs(items, places, count)
    else:
        counts = np.bincount(places, minlength=count)
    first = low // step * step
    ranges = tuple(
        (first + place * step, first + (place + 1) * step, int(counts[place]))
        for place in range(count)
        if counts[place]
    )
    return PriceFacet(low, high, ranges)


def range_step(low: int, high: int) -> int:
    """The width of price ranges: 1, 2 or 5 times a power of ten, at least a hundredth."""
    power = PRICE_SCALE // 100
    while True:
        for step in (power, 2 * power, 5 * power):
            if high // step - low // step < MOST_RANGES:
                return step
        power *= 10
