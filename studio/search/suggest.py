"""Suggestions while somebody types: what others searched for, categories, brands and products."""

import asyncio
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from db.catalog import get_products
from errors import DeadlinePassed, Unavailable
from models.index.catalogue_values import CatalogueValues
from studio.ports import Studio
from studio.search.understanding.tokens import fold

Kind = Literal["query", "category", "brand", "product"]
MOST_ENTRIES = 50_000
"""Queries, categories and brands of one Gateway."""
MOST_QUERY = 60
"""Characters of a query that is suggested to others."""
SHORTEST_CORRECTION, LONG_PHRASE = 4, 8
"""Phrases of at least this many letters may have one typing error, or two."""
SHARE_OF_WORDS = 0.5
"""At most this share of the suggestions are no products, if there are products."""
_PERSONAL = re.compile(r"@|https?:|www\.|\d{5,}|(?:\d[\s./()+-]*){7,}|[<>{}\\]")
_WORD_START = re.compile(r"(?<![^\W_])[^\W_]")


@dataclass(frozen=True)
class Suggestion:
    """A text to search for; `product_id` where it is the title of a product."""

    text: str
    kind: Kind
    product_id: str | None = None


class WeightedSuggestion(NamedTuple):
    """A suggestion and how many products or callers stand behind it."""

    suggestion: Suggestion
    weight: int


class Suggester:
    """Queries, categories and brands by the beginnings of their words, in memory."""

    def __init__(self, entries: Iterable[WeightedSuggestion] = ()) -> None:
        self._entries = sorted(entries, key=lambda entry: -entry.weight)[:MOST_ENTRIES]
        self._starts = sorted(
            (text[match.start() :], place)
            for place, entry in enumerate(self._entries)
            for text in [fold(entry.suggestion.text)]
            for match in _WORD_START.finditer(text)
        )

    def suggest(self, phrase: str, most: int) -> list[Suggestion]:
        """The weightiest entries in which the phrase begins at a word, else those similar to it."""
        start = fold(" ".join(phrase.split()))
        places = self._beginning(start) or self._similar(start)
        return [self._entries[place].suggestion for place in sorted(set(places))[:most]]

    def _beginning(self, start: str) -> list[int]:
        places = []
        for text, place in self._starts[bisect_left(self._starts, (start, -1)) :]:
            if not text.startswith(start):
                break
            places.append(place)
        return places

    def _similar(self, start: str) -> list[int]:
        """Entries that begin with the same letter, then as the phrase but for an error or two."""
        if len(start) < SHORTEST_CORRECTION:
            return []
        first = bisect_left(self._starts, (start[0], -1))
        end = bisect_left(self._starts, (chr(ord(start[0]) + 1), -1))
        near = self._starts[first:end]
        beginnings = [text[: len(start)] for text, _ in near]
        errors = 2 if len(start) >= LONG_PHRASE else 1
        matches = extract(start, beginnings, scorer=OSA.distance, score_cutoff=errors, limit=None)
        fewest = min((distance for _, distance, _ in matches), default=0)
        return [near[place][1] for _, distance, place in matches if distance == fewest]


def entries_of(values: CatalogueValues, queries: Mapping[str, int]) -> list[WeightedSuggestion]:
    """Everything that is suggested but products. `queries`: text -> how many searched for it."""
    return [
        *_entries("query", queries),
        *_entries("category", values.categories),
        *_entries("brand", values.brands),
    ]


def _entries(kind: Kind, counts: Mapping[str, int]) -> list[WeightedSuggestion]:
    return [WeightedSuggestion(Suggestion(text, kind), count) for text, count in counts.items()]


def is_fit_to_show(query: str) -> bool:
    """Whether a query may be suggested to others: short, without addresses and long numbers."""
    return 2 < len(query) <= MOST_QUERY and not _PERSONAL.search(query)


async def suggest(studio: Studio, suggester: Suggester, phrase: str, most: int) -> list[Suggestion]:
    """Suggestions for what somebody has typed so far; without an index, none of products.

    Raises:
        Unavailable: the database is down.
    """
    words = suggester.suggest(phrase, most)
    products: Sequence[Suggestion] = []
    with suppress(Unavailable, DeadlinePassed):
        products = await _products(studio, phrase, most)
    room = max(most - len(products), int(most * SHARE_OF_WORDS))
    texts = {fold(suggestion.text) for suggestion in words[:room]}
    others = [product for product in products if fold(product.text) not in texts]
    return [*words[:room], *others][:most]


async def _products(studio: Studio, phrase: str, most: int) -> list[Suggestion]:
    """The titles of products that have all words; equal titles once."""
    ids = await studio.index.complete(phrase, most)
    if not ids:
        return []
    async with studio.database.read() as session:
        products = await get_products(session, ids)
    titles = {
        fold(products[product_id].title): Suggestion(
            products[product_id].title, "product", product_id
        )
        for product_id in reversed(ids)
        if product_id in products
    }
    return list(titles.values())[::-1]


async def build_suggester(values: CatalogueValues, queries: Mapping[str, int]) -> Suggester:
    """A suggester, made in another thread: with many brands it takes a tenth of a second."""
    return await asyncio.to_thread(lambda: Suggester(entries_of(values, queries)))
