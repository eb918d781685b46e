"""Texts by similarity: which of many a text with a typing error may be meant for.

An edit inserts, deletes or replaces a letter, or swaps two neighbours (OSA distance). It changes at
most two of the letters that occur in a text; comparing those, a bit each, leaves few texts to
compare letter by letter.
"""

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import OSA

from models.index.columns.growing import GrowingArray
from models.index.text_table import TextTable

ONE_EDIT, TWO_EDITS = 4, 8
"""Words of at least so many letters may have one typing error, and two. A letter may be lost."""
MASK_BITS = 64


class SpellingTable:
    """The texts of a version, and behind them those that were added since.

    `letters`: uint64 (n,), a bit for each letter that a text of the version has.
    """

    def __init__(self, texts: TextTable, letters: NDArray[np.uint64]) -> None:
        self._texts = texts
        self._letters = letters
        self._added: list[str] = []
        self._added_letters = GrowingArray(np.zeros(0, dtype=np.uint64))

    def __len__(self) -> int:
        return len(self._texts) + len(self._added)

    def __getitem__(self, place: int) -> str:
        count = len(self._texts)
        return self._texts[place] if place < count else self._added[place - count]

    def add(self, text: str) -> None:
        """Appends a text."""
        self._added.append(text)
        self._added_letters.append(letters_of(text))

    def similar(self, text: str, edits: int) -> list[tuple[int, int]]:
        """(place, edits) of the texts that are the fewest edits away, at most `edits`.

        Texts that are too short to have a typing error are left out.
        """
        letters = letters_of(text)
        base = np.flatnonzero(np.bitwise_count(self._letters ^ letters) <= 2 * edits)
        added = np.flatnonzero(np.bitwise_count(self._added_letters.view ^ letters) <= 2 * edits)
        places = base.tolist() + (len(self._texts) + added).tolist()
        choices = {place: self[place] for place in places}
        results = process.extract(
            text, choices, scorer=OSA.distance, score_cutoff=edits, limit=None
        )
        fewest = min((distance for _, distance, _ in results), default=0)
        nearest = [place for _, distance, place in results if distance == fewest]
        return [(place, fewest) for place in nearest if len(self[place]) >= ONE_EDIT]


def allowed_edits(text: str) -> int:
    """How many typing errors a text may have; numbers may have none."""
    if len(text) < ONE_EDIT - 1 or text.isdigit():
        return 0
    return 1 if len(text) < TWO_EDITS or has_digits(text) else 2


def has_digits(text: str) -> bool:
    """Whether it is a number or a code, like `x200`."""
    return any(letter.isdigit() for letter in text)


def letters_of(text: str) -> np.uint64:
    """A bit for each letter of a text."""
    bits = 0
    for letter in set(text):
        bits |= 1 << (ord(letter) % MASK_BITS)
    return np.uint64(bits)
