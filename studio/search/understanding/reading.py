"""Reads negation, kinds of garments, looks, sizes, stock and sorts; marks the spans in use."""

import re
from collections.abc import Iterator, Sequence

from models.index.shapes import Sort
from studio.search.understanding.catalogue import LONGEST_PHRASE, CatalogueWords, Field, Value
from studio.search.understanding.languages.language import Look, Role
from studio.search.understanding.spans import Query, Span

ROMANCE = frozenset({"fr", "es", "it"})
"""Languages in which a garment's name comes before the words that describe it."""
_MINUS = re.compile(r".*\s[-–−]", re.DOTALL)
_SIZE_SYSTEMS = frozenset({"eu", "uk", "us", "fr", "de", "it"})
_SORTS: tuple[tuple[Role, Sort], ...] = (
    ("cheapest", "priceAsc"), ("dearest", "priceDesc"), ("newest", "newest"),
)  # fmt: skip


def read_stock(query: Query) -> bool | None:
    """Whether products must be in stock, or sold out; None: either."""
    stock: bool | None = None
    for place, span in enumerate(query.spans):
        following = query.spans[place + 1] if place + 1 < len(query.spans) else None
        is_followed = following is not None and following.has("in")  # "available in red"
        if span.has("in stock", "sold out") and not is_followed:
            stock = span.has("in stock")
            span.use = "stock"
    return stock


def read_sort(query: Query) -> Sort | None:
    """The order of a superlative: `cheapest`, `newest`."""
    for role, sort in _SORTS:
        for span in query.spans:
            if span.has(role):
                span.use = "sort"
                return sort
    return None


def read_cheap(query: Query) -> Sort | None:
    """The order of the word `cheap`. It is for queries whose products are certain: the lowest
    price of everything that is a little similar would be something else than what was sought.
    """
    spans = [span for span in query.spans if span.has("cheap")]
    for span in spans:
        span.use = "sort"
    return "priceAsc" if spans else None


def read_sizes(query: Query, catalogue: CatalogueWords) -> list[Value]:
    """Sizes of the catalogue behind a word like `size`, with the system's name between or not."""
    values = []
    for place, span in enumerate(query.spans):
        if span.value is not None and span.value in catalogue.sizes.values():
            span.use = "size"
            values.append(span.value)
        if not span.has("size"):
            continue
        start = place + 1
        if start < len(query.spans) and query.spans[start].tokens[0].text in _SIZE_SYSTEMS:
            start += 1
        value, end = _size_at(query.spans, start, catalogue)
        if value is not None:
            values.append(value)
            for used in query.spans[place:end]:
                used.use = "size"
    return values


def _size_at(
    spans: Sequence[Span], start: int, catalogue: CatalogueWords
) -> tuple[Value | None, int]:
    """The longest size that begins at a span, and the place behind it."""
    for end in range(min(len(spans), start + LONGEST_PHRASE), start, -1):
        part = spans[start:end]
        phrase = tuple(token.text for span in part for token in span.tokens)
        value = catalogue.sizes.get(phrase)
        if value is not None and not any(span.use for span in part):
            return value, end
    return None, start


def read_negations(query: Query) -> list[Value]:
    """What must not be: values behind a negation or a minus. They leave the query's text."""
    spans, values = query.spans, []
    for place, span in enumerate(spans):
        negated: list[Span] = []
        if span.has("not"):
            negated = list(_scope(spans, place + 1))
        elif span.is_value and len(spans) > 1 and _MINUS.fullmatch(span.gap):
            negated = [span]
        if negated:
            last = spans.index(negated[-1])
            for part in spans[place : last + 1]:
                part.use = "not"
            values += [part.value for part in negated if part.value is not None]
    return values


def _scope(spans: Sequence[Span], place: int) -> Iterator[Span]:
    """The value behind a negation, and those that `or` (or `and`, if of its kind) adds to it."""
    place = _skip(spans, place)
    if place >= len(spans) or spans[place].is_after_break or not spans[place].is_value:
        return
    first = spans[place]
    yield first
    while place + 2 < len(spans):
        joint = spans[place + 1]
        place = _skip(spans, place + 2)
        if place >= len(spans) or joint.is_after_break or not spans[place].is_value:
            return
        is_same = kind_of(spans[place]) == kind_of(first)
        if not (joint.has("or") or (joint.has("and") and is_same)):
            return
        yield spans[place]


def _skip(spans: Sequence[Span], place: int) -> int:
    """Passes articles and second negations: `not a dress`, `neither … nor with dots`."""
    while (
        place < len(spans)
        and spans[place].has("article", "not", "with")
        and (not spans[place].is_value)
    ):
        place += 1
    return place


def kind_of(span: Span) -> str:
    """What a span describes: a look, or a field of the catalogue."""
    if span.term is not None:
        return span.term.look
    return "" if span.value is None else span.value.field


def mark_zones(query: Query) -> None:
    """Marks what doesn't describe the product itself: `shoes for a red dress`, `with red dots`.

    Behind `with`, a pattern still describes it. A comma ends the phrase.
    """
    zone = ""
    for span in query.spans:
        if span.is_after_break or span.use not in ("", "with", "for"):
            zone = ""
        if span.has("with"):
            zone = "with"
        elif span.has("for"):
            zone = "for"
        elif span.number:
            zone = ""
        elif zone and span.is_value and not (zone == "with" and kind_of(span) == "pattern"):
            span.use = zone


def heads_of(query: Query) -> list[Span]:
    """The garments that are sought: of `shirt dress` the dress, of `shirts and skirts` both."""
    garments = [
        place
        for place, span in enumerate(query.spans)
        if not span.use and span.term is not None and span.term.look == "garment"
    ]
    groups: list[list[int]] = []
    for place in garments:
        between = query.spans[groups[-1][-1] + 1 : place] if groups else []
        is_break = any(span.is_after_break for span in query.spans[place : place + 1] + between)
        is_new = is_break or any(span.has("and", "or") for span in between)
        if groups and not is_new:
            groups[-1].append(place)
        else:
            groups.append([place])
    return [_head(query, group) for group in groups]


def _head(query: Query, group: Sequence[int]) -> Span:
    spans = [query.spans[place] for place in group]
    languages = {span.term.language for span in spans if span.term is not None}
    return spans[0] if languages <= ROMANCE else spans[-1]


def spans_of(query: Query, *kinds: Look | Field) -> list[Span]:
    """Spans that describe the product itself, of these kinds."""
    return [span for span in query.spans if not span.use and kind_of(span) in kinds]
