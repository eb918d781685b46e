"""Reads a query: what products must have and must not have, their order, and what is left.

Only what the catalogue carries becomes a filter, and a look only where most products say what
theirs is (`catalogue.MOSTLY`). Whatever is not understood stays a word.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from models.index.shapes import NO_FILTERS, PRICE_SCALE, Filters
from studio.search.understanding.catalogue import CatalogueWords, Value
from studio.search.understanding.prices import PriceRange, read_prices
from studio.search.understanding.reading import (
    heads_of,
    mark_zones,
    read_cheap,
    read_negations,
    read_sizes,
    read_sort,
    read_stock,
    spans_of,
)
from studio.search.understanding.spans import MOST_WORDS, Query, Span, read_spans
from studio.search.understanding.understood import Understood
from studio.search.understanding.wording import phrase_of, text_of, translations_of


def understand(text: str, catalogue: CatalogueWords, explicit: Filters = NO_FILTERS) -> Understood:
    """Reads the query of a search; fields that the caller filters by are left alone.

    Takes a fraction of a millisecond: benchmarks/search/understanding.py.
    """
    query = read_spans(text, catalogue)
    if len(query.spans) > MOST_WORDS:
        return Understood(text.strip(), text.strip())
    prices = read_prices(query)
    stock = read_stock(query)
    sizes = read_sizes(query, catalogue)
    negations = read_negations(query)
    sort = read_sort(query)
    mark_zones(query)
    filters = _filters(query, catalogue, sizes, negations)
    if sort is None and (filters.category or explicit.category):
        sort = read_cheap(query)
    _use_brands(query)
    understood = Understood(
        text_of(query),
        phrase_of(query),
        translations_of(query),
        _with_offer(filters, prices, stock, catalogue),
        _exclusions(negations),
        sort,
    )
    return understood.unless(explicit)


def _filters(
    query: Query, catalogue: CatalogueWords, sizes: Sequence[Value], negations: Sequence[Value]
) -> Filters:
    """What products must have, of their kind and look."""
    heads = heads_of(query)
    looks = [] if len(heads) > 1 else spans_of(query, "colour", "pattern", "material")
    others = spans_of(query, "attribute")
    spans = [*looks, *others]
    values = [span.value for span in spans if span.value is not None and span.value.is_filter]
    return Filters(
        category=_categories(query, heads),
        brand=_names(span.value for span in _brands(query)),
        attributes=_attributes([*values, *sizes], excluded=_pairs(negations)),
    )


def _categories(query: Query, heads: Sequence[Span]) -> frozenset[str]:
    """The categories of the garments; those of a part of them would hide the others."""
    spans = heads or spans_of(query, "category")
    values = [span.value for span in spans]
    if any(value is None or not value.is_filter for value in values):
        return frozenset()
    return _names(values)


def _brands(query: Query) -> list[Span]:
    spans = spans_of(query, "brand")
    return [span for span in spans if span.value is not None and span.value.is_filter]


def _use_brands(query: Query) -> None:
    """Takes brands out of the text, which their products need not look like, if words remain."""
    brands = _brands(query)
    if any(span not in brands and not span.use and _is_content(span) for span in query.spans):
        for span in brands:
            span.use = "brand"


def _is_content(span: Span) -> bool:
    return span.term is not None or span.value is not None or not span.entry.roles


def _names(values: Iterable[Value | None]) -> frozenset[str]:
    return frozenset(name for value in values if value is not None for _, name in value.values)


def _pairs(values: Iterable[Value]) -> frozenset[tuple[str, str]]:
    return frozenset(pair for value in values for pair in value.values)


def _attributes(
    values: Iterable[Value], excluded: frozenset[tuple[str, str]] = frozenset()
) -> tuple[tuple[str, frozenset[str]], ...]:
    by_name: defaultdict[str, set[str]] = defaultdict(set)
    for name, value in _pairs(values) - excluded:
        by_name[name].add(value)
    return tuple((name, frozenset(own)) for name, own in sorted(by_name.items()))


def _exclusions(values: Sequence[Value]) -> Filters:
    def of(field: str) -> list[Value]:
        return [value for value in values if value.field == field]

    return Filters(
        category=_names(of("category")),
        brand=_names(of("brand")),
        attributes=_attributes(of("attribute")),
    )


def _with_offer(
    filters: Filters, prices: PriceRange, stock: bool | None, catalogue: CatalogueWords
) -> Filters:
    """With price, currency and stock; a currency only where the catalogue has several."""
    is_choice = len(catalogue.currencies) > 1 and prices.currency in catalogue.currencies
    return Filters(
        category=filters.category,
        brand=filters.brand,
        attributes=filters.attributes,
        price_min_e4=_to_e4(prices.low, ROUND_CEILING),
        price_max_e4=_to_e4(prices.high, ROUND_FLOOR),
        currency=prices.currency if is_choice else None,
        in_stock=stock,
    )


def _to_e4(price: Decimal | None, rounding: str) -> int | None:
    return None if price is None else int((price * PRICE_SCALE).to_integral_value(rounding))
