"""The values of a search that all packages share: filters, query, answer, product."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PRICE_SCALE = 10_000
"""Prices are stored as whole ten-thousandths (`price_e4`), so comparisons are exact."""

Hit = tuple[str, float]
"""A product id and its score."""


@dataclass(frozen=True)
class ProductAttributes:
    """The fields of a product that filters, facets, sorts and groups look at.

    Attributes:
        created_us: microseconds since 1970.
        facts: (name, value) of the shop's own attributes; lists are flattened, numbers and
            booleans are texts.
    """

    category: str
    brand: str | None
    price_e4: int
    in_stock: bool
    currency: str = ""
    group_id: str | None = None
    created_us: int = 0
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ProductText:
    """The texts of a product that words are matched with. `values`: of its attributes."""

    id: str
    title: str
    category: str = ""
    brand: str | None = None
    sku: str | None = None
    description: str | None = None
    values: tuple[str, ...] = ()


def plain_text(product_id: str, attributes: ProductAttributes) -> ProductText:
    """The texts of a product of which only the attributes are known."""
    return ProductText(product_id, "", attributes.category, attributes.brand)


@dataclass(frozen=True)
class Filters:
    """Which products a search may return; None or empty means all. Texts compare without case.

    Attributes:
        price_min_e4, price_max_e4: inclusive bounds in ten-thousandths.
        attributes: (name, values): the product has one of the values for each of the names.
        without: a product that matches ANY field of these is left out.
    """

    category: frozenset[str] = frozenset()
    brand: frozenset[str] = frozenset()
    price_min_e4: int | None = None
    price_max_e4: int | None = None
    in_stock: bool | None = None
    group_id: frozenset[str] = frozenset()
    currency: str | None = None
    attributes: tuple[tuple[str, frozenset[str]], ...] = ()
    without: "Filters | None" = None

    @property
    def is_open(self) -> bool:
        """Whether every product passes."""
        return self == NO_FILTERS


NO_FILTERS = Filters()

Sort = Literal["relevance", "priceAsc", "priceDesc", "newest"]


@dataclass(frozen=True)
class Position:
    """The end of a page, after which the next one starts.

    Attributes:
        key: what the order compares of the last product; None: before the first product.
        id: of the last product; orders those of the same key.
        ceiling, floor: bounds of the similarities that the page's last products have; searches by
            relevance go through the catalogue in such windows. None: no bound.
        change_seq: the last catalogue change that the index had applied.
        listed: hashes of products that the first page has shown although they may come after the
            position: in a large catalogue that page is an approximate one.
    """

    key: float | None = None
    id: str = ""
    ceiling: float | None = None
    floor: float | None = None
    change_seq: int = 0
    listed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class SearchQuery:
    """One search by an image, a text, or both blended by alpha: 1 is the image alone, 0 the text.

    `image` and `text` are unit vectors, float32 (dim,), of `embedder_version`. Inputs that are not
    embedded yet are in `picture` (an encoded image) and `words`; the Embedder replaces them by
    vectors before it calls the Index.

    Attributes:
        exclude: ids of products that the answer leaves out.
        facets: names of the fields to count: `category`, `brand`, `inStock`, `price`,
            `attributes.NAME`.
        is_grouped: whether the answer has the best product of each group.
        after: the end of the previous page.
        version: the index version of the previous page.
        phrase: the words that are matched with the catalogue's texts.
        words_weight: the weight of those matches, 0 to 1; 0 is the vector alone.
        synonyms: the shop's own groups of synonyms that may concern the phrase.
        pins: ids of products that belong to the answer and, by relevance, come first in it.
        explicit: the filters that the caller has set; `filters` has also those of the words. Pinned
            products, and those with the name, have to pass only these. None: they are the same.
        name: the whole query as it was written, where it may be an id, a SKU or a title.
        buried: ids of products that come last by relevance.
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
    sort: Sort = "relevance"
    facets: tuple[str, ...] = ()
    is_grouped: bool = False
    after: Position | None = None
    version: str | None = None
    phrase: str | None = None
    words_weight: float = 0.0
    synonyms: tuple[tuple[str, ...], ...] = ()
    pins: tuple[str, ...] = ()
    explicit: Filters | None = None
    name: str | None = None
    buried: frozenset[str] = frozenset()

    @property
    def is_merchandised(self) -> bool:
        """Whether products are pinned or buried."""
        return bool(self.pins or self.buried)

    @property
    def is_by_catalogue(self) -> bool:
        """Whether the catalogue's texts are matched, too."""
        has_text = self.text is not None or self.words is not None
        is_picture_alone = (self.image is not None or self.picture is not None) and self.alpha >= 1
        has_weight = self.words_weight > 0.0 and has_text and not is_picture_alone
        return self.phrase is not None and has_weight

    @property
    def is_by_text(self) -> bool:
        """Whether words alone are searched for, so that products must be relevant to them."""
        return (self.text is not None or self.words is not None) and (
            (self.image is None and self.picture is None) or self.alpha <= 0.0
        )

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
class ValueFacet:
    """Values and their numbers of products (or groups), the largest first."""

    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class PriceFacet:
    """The lowest and the highest price, and (from, to, count) of each range that has products.

    Prices are in ten-thousandths, None where there are no products. `to` does not belong to its
    range.
    """

    min_e4: int | None
    max_e4: int | None
    ranges: tuple[tuple[int, int, int], ...]


Facet = ValueFacet | PriceFacet


@dataclass(frozen=True)
class SearchAnswer:
    """The nearest products, best first, equal scores by id, and which versions answered.

    Attributes:
        text: the vector of the query's words where the embedder had to embed them.
        image: the vector of the query's picture where there is a next page.
        total: how many products (or groups) there are on all pages.
        facets: the counts, by the names that the query has.
        end: the end of this page; None where it is the last one.
        change_seq: the last catalogue change that the index had applied.
        variants: of a grouped search: id of a hit -> the others of its group, best first.
        suggestion: the phrase as it was probably meant, where it is not in the catalogue as it
            stands.
    """

    index_version: str
    hits: list[Hit]
    embedder_version: str
    text: NDArray[np.float32] | None = None
    image: NDArray[np.float32] | None = None
    total: int = 0
    facets: dict[str, Facet] = field(default_factory=dict)
    end: Position | None = None
    change_seq: int = 0
    variants: dict[str, list[Hit]] = field(default_factory=dict)
    suggestion: str | None = None
