"""What was read out of a search's words, and its union with the caller's own filters."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from models.index.shapes import NO_FILTERS, PRICE_SCALE, Filters, Sort

Bound = TypeVar("Bound")
Attributes = tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True)
class Understood:
    """A query in parts.

    Attributes:
        text: the words for the vectors, in English as far as they are known; "" if none is left.
        phrase: the words for the catalogue's texts, in their own language, with brands.
        translations: (word of the phrase, English term) of the words in other languages.
        filters: what products must have; `without` of it is None.
        without: what products must not have.
        sort: the order that the words ask for; None: they ask for none.
    """

    text: str
    phrase: str
    translations: tuple[tuple[str, str], ...] = ()
    filters: Filters = NO_FILTERS
    without: Filters = NO_FILTERS
    sort: Sort | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing but words was read."""
        return self.filters.is_open and self.without.is_open and self.sort is None

    def unless(self, explicit: Filters) -> "Understood":
        """Without the fields that the caller filters by, which win."""
        return replace(
            self,
            filters=_without_fields(self.filters, explicit),
            without=_without_fields(self.without, explicit),
        )

    def to_params(self) -> dict[str, Any]:
        """What was read, as a row of the search log stores it; without the words themselves."""
        params = {
            "filters": _to_params(self.filters),
            "not": _to_params(self.without),
            "sort": self.sort,
        }
        return {name: value for name, value in params.items() if value}

    def joined(self, explicit: Filters) -> Filters:
        """The filters of the caller, narrowed by those of the words."""
        own, without = self.unless(explicit), explicit.without or NO_FILTERS
        joined = Filters(
            category=explicit.category or own.filters.category,
            brand=explicit.brand or own.filters.brand,
            price_min_e4=_first(explicit.price_min_e4, own.filters.price_min_e4),
            price_max_e4=_first(explicit.price_max_e4, own.filters.price_max_e4),
            in_stock=_first(explicit.in_stock, own.filters.in_stock),
            group_id=explicit.group_id,
            currency=_first(explicit.currency, own.filters.currency),
            attributes=explicit.attributes + own.filters.attributes,
        )
        excluded = replace(
            without,
            category=without.category | own.without.category,
            brand=without.brand | own.without.brand,
            attributes=_union(without.attributes, own.without.attributes),
        )
        return joined if excluded.is_open else replace(joined, without=excluded)


def _first(own: Bound | None, other: Bound | None) -> Bound | None:
    return other if own is None else own


def _without_fields(filters: Filters, explicit: Filters) -> Filters:
    """The filters without the fields that the caller has set; bounds of prices go together."""
    has_price = explicit.price_min_e4 is not None or explicit.price_max_e4 is not None
    names = {name.casefold() for name, _ in explicit.attributes}
    return replace(
        filters,
        category=frozenset() if explicit.category else filters.category,
        brand=frozenset() if explicit.brand else filters.brand,
        price_min_e4=None if has_price else filters.price_min_e4,
        price_max_e4=None if has_price else filters.price_max_e4,
        in_stock=filters.in_stock if explicit.in_stock is None else None,
        currency=filters.currency if explicit.currency is None and not has_price else None,
        attributes=tuple(
            (name, values) for name, values in filters.attributes if name.casefold() not in names
        ),
    )


def _union(first: Attributes, second: Attributes) -> Attributes:
    values: dict[str, frozenset[str]] = {}
    for name, more in (*first, *second):
        values[name] = values.get(name, frozenset()) | more
    return tuple(sorted(values.items()))


def _to_params(filters: Filters) -> dict[str, Any]:
    """Filters by the names of the form, prices as numbers; only those that are set."""
    fields: dict[str, Any] = {
        "category": sorted(filters.category),
        "brand": sorted(filters.brand),
        "price_min": _to_price(filters.price_min_e4),
        "price_max": _to_price(filters.price_max_e4),
        "currency": filters.currency,
        "in_stock": filters.in_stock,
        "attributes": {name: sorted(values) for name, values in filters.attributes},
    }
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _to_price(price_e4: int | None) -> float | int | None:
    if price_e4 is None:
        return None
    whole, rest = divmod(price_e4, PRICE_SCALE)
    return price_e4 / PRICE_SCALE if rest else whole


def to_document(understood: Understood) -> dict[str, Any]:
    """The values as JSON, for a cursor."""
    return {
        "text": understood.text,
        "phrase": understood.phrase,
        "translations": understood.translations,
        "filters": _to_fields(understood.filters),
        "without": _to_fields(understood.without),
        "sort": understood.sort,
    }


def from_document(document: dict[str, Any]) -> Understood:
    """The inverse of `to_document`."""
    return Understood(
        document["text"],
        document["phrase"],
        tuple((word, english) for word, english in document["translations"]),
        _from_fields(document["filters"]),
        _from_fields(document["without"]),
        document["sort"],
    )


def _to_fields(filters: Filters) -> dict[str, Any]:
    return {
        "category": sorted(filters.category),
        "brand": sorted(filters.brand),
        "price_min_e4": filters.price_min_e4,
        "price_max_e4": filters.price_max_e4,
        "in_stock": filters.in_stock,
        "currency": filters.currency,
        "attributes": [[name, sorted(values)] for name, values in filters.attributes],
    }


def _from_fields(fields: dict[str, Any]) -> Filters:
    return Filters(
        category=frozenset(fields["category"]),
        brand=frozenset(fields["brand"]),
        price_min_e4=fields["price_min_e4"],
        price_max_e4=fields["price_max_e4"],
        in_stock=fields["in_stock"],
        currency=fields["currency"],
        attributes=tuple((name, frozenset(values)) for name, values in fields["attributes"]),
    )
