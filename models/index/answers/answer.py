"""The whole answer to a query from one index: hits, variants, total, facets, and the page's end."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.index.answers.facets import count_facet
from models.index.answers.pages import (
    SCORE_STEPS,
    Candidates,
    RowPage,
    id_hash,
    page_by_key,
    page_by_relevance,
    score_keys,
)
from models.index.answers.scores import RowScores
from models.index.answers.selection import AnswerSet, Mask
from models.index.product_index import ProductIndex
from models.index.search_plan import SearchPlan
from models.index.shapes import Facet, Hit, Position, SearchQuery

MOST_VARIANTS = 20
"""A group's best product has at most this many of the others beside it."""


@dataclass(frozen=True)
class IndexAnswer:
    """The answer of an index, with the fields that `SearchAnswer` has; `end` without a change."""

    hits: list[Hit]
    total: int
    end: Position | None = None
    facets: dict[str, Facet] = field(default_factory=dict)
    variants: dict[str, list[Hit]] = field(default_factory=dict)
    suggestion: str | None = None


def answer_many(index: ProductIndex, queries: Sequence[SearchQuery]) -> list[IndexAnswer]:
    """The answer to each query; on a GPU every vector is read once for all first pages.

    Raises:
        Invalid: a query has no vector.
    """
    nearest = [place for place, query in enumerate(queries) if _is_nearest(query)]
    hits = index.search_many([queries[place] for place in nearest]) if nearest else []
    hits_of = dict(zip(nearest, hits, strict=True))
    return [
        _first_page(index, query, hits_of[place])
        if place in hits_of
        else _page(index, query, index.plan(query))
        for place, query in enumerate(queries)
    ]


def _is_nearest(query: SearchQuery) -> bool:
    """Whether the hits are simply the nearest products that pass the filters."""
    is_first = query.after is None and query.sort == "relevance" and not query.is_grouped
    is_by_vector = not query.is_by_text and not query.is_by_catalogue
    return is_first and is_by_vector and not query.is_merchandised


def _first_page(index: ProductIndex, query: SearchQuery, hits: list[Hit]) -> IndexAnswer:
    """Completes the nearest products.

    In a large catalogue a few nearest ones are missed. So the next page starts at the beginning
    again, without those that this page shows.
    """
    facets: dict[str, Facet] = {}
    if query.facets:
        selection = AnswerSet(index.rows, query, None)
        total = selection.count(selection.mask())
        facets = _facets(index, query, selection)
    else:
        total = index.rows.count_passing(query.filters) - _count_excluded(index, query)
    if total <= len(hits):
        return IndexAnswer(hits, total, None, facets)
    listed = frozenset(id_hash(product_id) for product_id, _ in hits)
    return IndexAnswer(hits, total, Position(listed=listed), facets)


def _count_excluded(index: ProductIndex, query: SearchQuery) -> int:
    """How many excluded products pass the filters."""
    rows = [index.rows.find(product_id) for product_id in query.exclude]
    return sum(row is not None and index.rows.passes(row, query.filters) for row in rows)


def _page(index: ProductIndex, query: SearchQuery, plan: SearchPlan) -> IndexAnswer:
    """Answers by comparing every row."""
    is_ranked = query.sort == "relevance"
    scores = RowScores(index, query, plan)
    selection = AnswerSet(index.rows, query, scores.relevant, scores.named)
    mask = selection.mask()
    rows = np.flatnonzero(mask)
    candidates = Candidates(index.rows, rows, selection.items_of(rows), query.is_grouped)
    after = query.after or Position()
    keys = None if is_ranked else _sort_keys(selection, mask, query.sort)
    if keys is not None:
        page = page_by_key(candidates, keys, query.top_k, after)
    else:
        nearness = scores.approximate(rows)
        page = page_by_relevance(candidates, nearness, scores.exact, query.top_k, plan.depth, after)
    return IndexAnswer(
        _hits(scores, np.array(page.rows, dtype=np.int64)),
        selection.count(mask),
        page.end,
        _facets(index, query, selection),
        _variants(scores, candidates, keys, page) if query.is_grouped else {},
        scores.suggestion,
    )


def _facets(index: ProductIndex, query: SearchQuery, selection: AnswerSet) -> dict[str, Facet]:
    return {name: count_facet(name, selection, index.rows.dictionaries) for name in query.facets}


def _sort_keys(selection: AnswerSet, mask: Mask, sort: str) -> NDArray[np.float64]:
    """What the order compares, ascending, of the rows of the mask."""
    column, sign = {
        "priceAsc": ("price", 1), "priceDesc": ("price", -1), "newest": ("created", -1),
    }[sort]  # fmt: skip
    values = [getattr(part.columns, column)[part.own][mask[part.span]] for part in selection.parts]
    keys: NDArray[np.float64] = sign * np.concatenate(values).astype(np.float64)
    return keys


def _hits(scores: RowScores, rows: NDArray[np.int64]) -> list[Hit]:
    """Rows with their exact scores."""
    exact = -score_keys(scores.similarity(rows)) / SCORE_STEPS + 0.0
    id_of = scores.index.rows.id
    return [(id_of(row), score) for row, score in zip(rows.tolist(), exact.tolist(), strict=True)]


def _variants(
    scores: RowScores,
    candidates: Candidates,
    keys: NDArray[np.float64] | None,
    page: RowPage,
) -> dict[str, list[Hit]]:
    """The others of each group on the page, in the order of the page."""
    index_rows = scores.index.rows
    best = np.array(page.rows, dtype=np.int64)
    if not best.size:
        return {}
    items = candidates.items[np.searchsorted(candidates.rows, best)]
    is_shown = np.isin(candidates.items, items) & ~np.isin(candidates.rows, best)
    others = candidates.take(is_shown)
    own_keys = score_keys(scores.exact(others.rows)) if keys is None else keys[is_shown]
    order = np.lexsort((index_rows.ranks(others.rows), own_keys))
    hits = _hits(scores, others.rows[order])
    variants: dict[str, list[Hit]] = {}
    id_of = {item: index_rows.id(row) for item, row in zip(items.tolist(), page.rows, strict=True)}
    for item, hit in zip(others.items[order].tolist(), hits, strict=True):
        group = variants.setdefault(id_of[item], [])
        if len(group) < MOST_VARIANTS:
            group.append(hit)
    return variants
