"""The values of a search that all packages share: filters, query, answer, product."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRICE_SCALE = 10_000
"""Prices are stored as whole ten-thousandths (`price_e4`), so comparisons are exact."""

Hit = tuple[str, float]
"""A product id and its score."""


@dataclass(frozen=True)
class ProductAttributes:
    """The fields of a product that filters look at."""

    category: str
    brand: str | None
    price_e4: int
    in_stock: bool


@dataclass(frozen=True)
class Filters:
    """Which products a search may return; None or empty means all. Texts compare without case.

    price_min_e4 and price_max_e4 are inclusive bounds in ten-thousandths.
    """

    category: frozenset[str] = frozenset()
    brand: frozenset[str] = frozenset()
    price_min_e4: int | None = None
    price_max_e4: int | None = None
    in_stock: bool | None = None

    @property
    def is_open(self) -> bool:
        """Whether every product passes."""
        return self == NO_FILTERS


NO_FILTERS = Filters()


@dataclass(frozen=True)
class SearchQuery:
    """One search by an image, a text, or both blended by alpha: 1 is the image alone, 0 the text.

    `image` and `text` are unit vectors, float32 (dim,), of `embedder_version`. Inputs that are not
    embedded yet are in `picture` (an encoded image) and `words`; the Embedder replaces them by
    vectors before it calls the Index. `exclude`: ids of products that the answer leaves out.
    """

    top_k: int
    embedder_version: str | None = None
    image: NDArray[np.float32] | None = None
    text: NDArray[np.float32] | None = None
    alpha: float = 0.5
    filters: Filters = NO_FILTERS
    exclude: frozenset[str] = frozenset()
    picture: bytes | None = None
    words: str | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether the index can answer it without the embedder."""
        return self.picture is None and self.words is None


@dataclass(frozen=True)
class Scan:
    """A search of an approximate index for candidates.

    Attributes:
        query: float32, shape (dim,).
        depth: how many candidates.
        lists: how many of the lists nearest to the query are probed.
        bits: which rows may be returned, one bit a row, lowest first; None: all.
    """

    query: NDArray[np.float32]
    depth: int
    lists: int
    bits: NDArray[np.uint8] | None


@dataclass(frozen=True)
class SearchAnswer:
    """The nearest products, best first, equal scores by id, and which versions answered.

    `text`: the vector of the query's words where the embedder had to embed them.
    """

    index_version: str
    hits: list[Hit]
    embedder_version: str
    text: NDArray[np.float32] | None = None
