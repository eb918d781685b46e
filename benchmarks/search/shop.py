"""A generated shop of any size: titles, brands, SKUs, attributes and descriptions of 40 words.

The same number gives the same product. Descriptions are drawn from a vocabulary whose words are as
frequent as Zipf's law says, as in real text; titles, colours and kinds are those of fashion.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.index.shapes import ProductText

KINDS = (
    "t-shirt", "shirt", "blouse", "dress", "skirt", "trousers", "jeans", "shorts", "jacket",
    "coat", "blazer", "hoodie", "cardigan", "sweater", "sneakers", "boots", "sandals", "bag",
    "backpack", "belt", "hat", "scarf", "gloves", "socks",
)  # fmt: skip
COLOURS = (
    "black", "white", "red", "blue", "navy", "green", "yellow", "orange", "pink", "purple",
    "brown", "grey", "beige", "khaki", "turquoise", "burgundy",
)  # fmt: skip
PATTERNS = ("plain", "striped", "dotted", "checked", "floral", "printed")
MATERIALS = ("cotton", "linen", "wool", "leather", "denim", "silk", "viscose", "polyester")
STYLES = ("casual", "elegant", "oversized", "slim", "relaxed", "cropped", "vintage", "sporty")
SIZES = ("XS", "S", "M", "L", "XL")
BRAND_FIRST = (
    "Alder", "Bram", "Cinder", "Dove", "Ember", "Fenn", "Gallo", "Hazel", "Iris", "Juniper",
    "Kestrel", "Linden", "Marlow", "North", "Orchard", "Pine", "Quill", "Rowan", "Sable", "Thorn",
)  # fmt: skip
BRAND_LAST = (
    "sea", "ble & Co", " Lane", "tail", " Row", "ick", "way", " Mills", " Studio", "wood",
    " Yard", "field", " House", "by", "more", " Works", "ton", " Supply", "ham", "worth",
)  # fmt: skip
DESCRIPTION_WORDS, RARE_WORDS = 40, 20_000
LETTERS = (("b c d f g l m n p r s t v br cl fr gr pl st tr").split(), list("aeiou"))


@dataclass(frozen=True)
class ShopProduct:
    """A generated product: its texts, and the properties that they name."""

    text: ProductText
    kind: str
    colour: str
    pattern: str
    material: str
    style: str
    size: str


def shop(count: int) -> Iterator[ShopProduct]:
    """The first `count` products, in ascending order of id."""
    for number in range(count):
        yield shop_product(number)


def shop_product(number: int, version: int = 0) -> ShopProduct:
    """A product; another `version` of it has another description."""
    random = np.random.default_rng((number, 19))
    kind, colour, pattern = (_pick(random, values) for values in (KINDS, COLOURS, PATTERNS))
    material, style, size = (_pick(random, values) for values in (MATERIALS, STYLES, SIZES))
    brand = _pick(random, BRAND_FIRST) + _pick(random, BRAND_LAST)
    model = _pick(random, invented_words()[:2000]).capitalize()
    text = ProductText(
        id=f"p{number:08}",
        title=f"{model} {style} {pattern} {colour} {kind}",
        category=kind,
        brand=brand,
        sku=f"{brand[:2].upper()}-{random.integers(10**7):07}-{size}",
        description=description(np.random.default_rng((number, version, 7))),
        values=(colour, pattern, material, size, style),
    )
    return ShopProduct(text, kind, colour, pattern, material, style, size)


def description(random: np.random.Generator) -> str:
    """Words by Zipf's law."""
    places = np.searchsorted(_shares(), random.random(DESCRIPTION_WORDS))
    words = _vocabulary()
    return " ".join(words[place] for place in places)


@lru_cache(maxsize=1)
def invented_words() -> list[str]:
    """Words that no language has, all different."""
    random = np.random.default_rng(3)
    words: dict[str, None] = {}
    while len(words) < RARE_WORDS:
        syllables = random.integers(2, 5)
        words["".join(_pick(random, part) for _ in range(syllables) for part in LETTERS)] = None
    return list(words)


@lru_cache(maxsize=1)
def _vocabulary() -> list[str]:
    common = "the a and with of for in this is our soft fit wear made from quality design".split()  # noqa: SIM905
    return [*common, *MATERIALS, *STYLES, *COLOURS, *KINDS, *invented_words()]


@lru_cache(maxsize=1)
def _shares() -> NDArray[np.float64]:
    weights = 1 / (np.arange(len(_vocabulary())) + 3.0)
    shares: NDArray[np.float64] = np.cumsum(weights / weights.sum())
    return shares


def _pick(random: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(random.integers(len(values)))]
