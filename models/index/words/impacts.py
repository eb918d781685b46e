"""How much a term says of a product: weighted frequencies of its fields, saturated (BM25F).

Robertson, Zaragoza, Taylor: "Simple BM25 extension to multiple weighted fields" (2004). Lengths are
normalised by typical lengths of a shop's fields, not by the catalogue's own averages: so a product
has the same impacts in every version and after every live change.
"""

from dataclasses import dataclass

import numpy as np

from models.index.shapes import ProductText
from models.index.words.analysis import terms_of

K1 = 1.2
IMPACTS = 255
"""Impacts are stored in a byte: 1 to 255."""


@dataclass(frozen=True)
class Field:
    """Its weight, its typical length in terms, and how much a longer one counts less (b)."""

    weight: float
    length: float
    b: float


# Ids and SKUs are compared as a whole (identifiers.py): as terms, they would be most of all terms.
FIELDS: dict[str, Field] = {
    "title": Field(5.0, 5, 0.5),
    "brand": Field(4.0, 2, 0.0),
    "category": Field(4.0, 2, 0.0),
    "values": Field(2.5, 10, 0.3),
    "description": Field(1.0, 40, 0.7),
}
VALUES = (np.arange(IMPACTS + 1) / IMPACTS).astype(np.float32)
"""Impact -> its value, float32 (256,)."""


def impacts_of(text: ProductText) -> dict[str, int]:
    """Term -> impact, 1 to 255, of a product's words."""
    frequencies: dict[str, float] = {}
    for name, field in FIELDS.items():
        value = getattr(text, name)
        if not value:
            continue
        terms = terms_of(value if isinstance(value, str) else " \n ".join(value))
        share = field.weight / (1 - field.b + field.b * max(1.0, len(terms) / field.length))
        for term in terms:
            frequencies[term] = frequencies.get(term, 0.0) + share
    return {
        term: max(1, round(IMPACTS * frequency / (K1 + frequency)))
        for term, frequency in frequencies.items()
    }
