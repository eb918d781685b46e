"""Splits a query into words, numbers and ids, folded so that case and accents don't matter."""

import re
import unicodedata
from typing import NamedTuple

_TOKEN = re.compile(
    r"(?<!\S)(?=\S*\d)[^\W\d_]\w*(?:[-/.]\w+)+(?!\S)"  # an id or a SKU: `demo-bag-4`
    r"|\d+(?:[.,]\d+)*"
    r"|[^\W\d_]+(?:['’`´][^\W\d_]+)*"
)
_APOSTROPHES = re.compile("['’`´]")
_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "ð": "d", "þ": "th"}
)
_ELISIONS = frozenset({"l", "d", "qu", "jusqu", "c", "dell", "all", "un", "nell", "sull", "dall"})
"""Words that an apostrophe joins to the next one: `l'été`, `jusqu'à`."""
_BREAKS = frozenset(",;:!?()€$£¥₹%<>≤≥|")
"""Signs that no phrase goes across."""


class Token(NamedTuple):
    """A word, a number or an id of a query, folded.

    Attributes:
        start, end: its place in the query.
        gap: what stands between the token before, or the start of the query, and this one.
    """

    text: str
    start: int
    end: int
    gap: str

    @property
    def is_number(self) -> bool:
        """Whether it consists of digits, perhaps with separators."""
        return self.text[0].isdigit()

    @property
    def is_after_break(self) -> bool:
        """Whether a comma, a currency or another sign separates it from the token before."""
        return not _BREAKS.isdisjoint(self.gap)


def fold(text: str) -> str:
    """The text without case and accents: `Grün` is `grun`, `Größe` is `grosse`."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(letter for letter in parts if not unicodedata.combining(letter)).casefold()


def tokenize(text: str) -> list[Token]:
    """The words, numbers and ids of a text in their order."""
    tokens: list[Token] = []
    last = 0
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        first, *others = _APOSTROPHES.split(match[0])
        if others and fold(first) in _ELISIONS:
            tokens.append(Token(fold(first), start, start + len(first), text[last:start]))
            last, start = start + len(first), start + len(first) + 1
            first = ""
        tokens.append(Token(fold(first + "".join(others)), start, end, text[last:start]))
        last = end
    return tokens


def phrase_of(text: str) -> tuple[str, ...]:
    """A phrase as it is looked up."""
    return tuple(token.text for token in tokenize(text))
