"""The products of the demo catalogue: titles, prices and pictures."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import product as combinations
from random import Random

from drawing.draw import CATEGORIES, COLOURS, PATTERNS, Garment

BRANDS = ("Aldersea", "Bramble & Co", "Cinder Lane", "Dovetail", "Ember Row", "Fennick", "Galloway")
PRICES = {
    "t-shirt": 19, "shirt": 39, "dress": 69, "skirt": 45, "trousers": 59,
    "shorts": 29, "jacket": 119, "shoes": 89, "bag": 79,
}  # fmt: skip


@dataclass(frozen=True)
class DemoProduct:
    """One drawn product; its place in the list determines all its properties."""

    id: str
    garment: Garment
    title: str
    brand: str
    price: Decimal
    in_stock: bool

    @property
    def sku(self) -> str:
        """The shop's own number of it, such as `DRE-1011`."""
        return f"{self.garment.category.replace('-', '')[:3].upper()}-{self.garment.style_seed}"

    @property
    def group_id(self) -> str:
        """What the colours of one brand's garment share."""
        turn = self.id.rpartition("-")[2]
        brand = self.brand.replace(" & ", "-").replace(" ", "-").lower()
        return f"{brand}-{self.garment.category}-{self.garment.pattern}-{turn}"


def demo_products(count: int) -> list[DemoProduct]:
    """The first `count` products: all categories and colours in turn, with alternating patterns."""
    kinds = list(combinations(CATEGORIES, COLOURS))
    products = []
    for place in range(count):
        turn, kind = divmod(place, len(kinds))
        category, colour = kinds[kind]
        pattern = PATTERNS[turn % len(PATTERNS)]
        random = Random(place)
        products.append(
            DemoProduct(
                id=f"demo-{category}-{colour}-{pattern}-{turn + 1}",
                garment=Garment(category, colour, pattern, style_seed=1000 + place),
                title=f"{pattern.capitalize()} {colour} {category}",
                brand=random.choice(BRANDS),
                price=Decimal(PRICES[category] + random.randrange(-8, 25)) + Decimal("0.99"),
                in_stock=random.random() < 0.9,
            )
        )
    return products
