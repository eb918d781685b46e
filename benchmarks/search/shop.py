"""A generated shop of any size: titles, brands, SKUs, attributes and descriptions of 40 words.

The same number gives the same product. Descriptions are drawn from a vocabulary whose words are as
frequent as Zipf's law says, as in real text; titles, colours and kinds are those of fashion.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random

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
DESCRIPTION_WORDS, RARE_WORDS, MODELS = 40, 20_000, 2000
LETTERS = (
    ("b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "v", "br", "cl", "fr", "gr", "pl"),
    ("a", "e", "i", "o", "u"),
)
COMMON_WORDS = (
    "the", "a", "and", "with", "of", "for", "in", "this", "is", "our", "soft", "fit", "wear",
    "made", "from", "quality", "design",
)  # fmt: skip


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
    random = Random(number)
    kind, colour, pattern = (random.choice(values) for values in (KINDS, COLOURS, PATTERNS))
    material, style, size = (random.choice(values) for values in (MATERIALS, STYLES, SIZES))
    brand = random.choice(BRAND_FIRST) + random.choice(BRAND_LAST)
    model = random.choice(invented_words()[:MODELS]).capitalize()
    sku = f"{brand[:2].upper()}-{random.randrange(10**7):07}-{size}"
    if version:
        random = Random(-number - 10**9 * version)
    words = random.choices(_vocabulary(), cum_weights=_weights(), k=DESCRIPTION_WORDS)
    text = ProductText(
        id=f"p{number:08}",
        title=f"{model} {style} {pattern} {colour} {kind}",
        category=kind,
        brand=brand,
        sku=sku,
        description=" ".join(words),
        values=(colour, pattern, material, size, style),
    )
    return ShopProduct(text, kind, colour, pattern, material, style, size)


@lru_cache(maxsize=1)
def invented_words() -> list[str]:
    """Words that no language has, all different."""
    random = Random(3)
    words: dict[str, None] = {}
    while len(words) < RARE_WORDS:
        syllables = random.randint(2, 4)
        words["".join(random.choice(part) for _ in range(syllables) for part in LETTERS)] = None
    return list(words)


@lru_cache(maxsize=1)
def _vocabulary() -> list[str]:
    return [*COMMON_WORDS, *MATERIALS, *STYLES, *COLOURS, *KINDS, *invented_words()]


@lru_cache(maxsize=1)
def _weights() -> list[float]:
    return list(accumulate(1 / (place + 3) for place in range(len(_vocabulary()))))
