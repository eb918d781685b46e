"""The values that the products of an index carry, and how many products carry each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_VALUES = 20_000
"""Of categories, of brands, and of the values of all attributes: the most frequent are listed."""
MOST_NAMES = 100
"""Attribute names: the most frequent are listed."""


@dataclass(frozen=True)
class Vocabulary:
    """Counts of live products by value; values are as in the catalogue, without regard to case.

    Attributes:
        products: live products.
        facts: attribute name -> value -> products.
        carriers: attribute name -> products that have any value of it.
    """

    products: int = 0
    categories: Mapping[str, int] = field(default_factory=dict)
    brands: Mapping[str, int] = field(default_factory=dict)
    currencies: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    carriers: Mapping[str, int] = field(default_factory=dict)
