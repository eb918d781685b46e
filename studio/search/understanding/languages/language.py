"""What a language's module contains: its words for looks, and the words of the grammar."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Look = Literal["garment", "colour", "pattern", "material", "person"]
"""What a word says about a product's look, or about who wears it."""
Role = Literal[
    "below", "above", "between", "from", "to", "about", "bound", "at most",  # of prices
    "and", "or", "not", "only", "in stock", "sold out", "size",
    "cheap", "cheapest", "dearest", "newest",
    "with", "for", "in", "but", "article", "unit", "idiom", "ordinary",
]  # fmt: skip
"""What a word does in a query.

`from` begins a range, `bound` (`max`) needs a currency, `at most` follows its number, `unit` makes
a number before it something else than a price, an `idiom` is never read, and an `ordinary` word is
never corrected.
"""


@dataclass(frozen=True)
class Language:
    """The words of one language; phrases are separated by commas.

    Attributes:
        looks: kind of word -> English term -> phrases.
        grammar: role -> phrases.
        shared: words that are common in other languages too with another meaning. They are read
            only beside other words of this language, or alone.
        compounds: garments that end longer words (`Sommerkleid`), with their English terms.
    """

    code: str
    looks: Mapping[Look, Mapping[str, str]]
    grammar: Mapping[Role, str]
    shared: str = ""
    compounds: Mapping[str, str] = field(default_factory=dict)


def adjectives(*rows: tuple[str, str], endings: str) -> dict[str, str]:
    """English term and stems (`rot`, `negr`) -> the term and every stem with every ending."""
    ends = ["", *endings.split()]
    return {
        term: ", ".join(stem + end for stem in stems.split() for end in ends)
        for term, stems in rows
    }


def merge(*tables: Mapping[str, str]) -> dict[str, str]:
    """Tables of the same terms, with the phrases of all of them."""
    terms = dict.fromkeys(term for table in tables for term in table)
    return {term: ", ".join(t[term] for t in tables if term in t) for term in terms}
