"""Ids, SKUs and full titles: the texts that find one product, exactly or with a typing error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.index.shapes import ProductText
from models.index.text_table import TextTable
from models.index.words.analysis import fold_key
from models.index.words.hash_table import HashTable, hash_of
from models.index.words.spelling import SpellingTable, allowed_edits, has_digits


@dataclass(frozen=True)
class IdentifierFiles:
    """The identifiers of a version.

    `keys`: id, SKU or title -> documents. `texts`: ids and SKUs, in order of their documents,
    int32 (n,); `letters`: uint64 (n,), a bit for each letter that the text has.
    """

    keys: HashTable
    texts: TextTable
    documents: NDArray[np.int32]
    letters: NDArray[np.uint64]


class Identifiers:
    """Identifier -> documents, including dead ones."""

    def __init__(self, files: IdentifierFiles) -> None:
        self._keys = files.keys
        self._documents = files.documents
        self._spelling = SpellingTable(files.texts, files.letters)
        self._added_keys: dict[int, list[int]] = {}
        self._added_documents: list[int] = []

    def add(self, text: ProductText, document: int) -> None:
        """Adds the identifiers of a product."""
        codes = codes_of(text)
        for key in keys_of(text):
            self._added_keys.setdefault(hash_of(key), []).append(document)
        for code in codes:
            self._spelling.add(code)
            self._added_documents.append(document)

    def find(self, phrase: str) -> list[int]:
        """The documents whose id, SKU or title is the phrase, but for case and punctuation."""
        key = fold_key(phrase)
        return [*self._keys.find(key), *self._added_keys.get(hash_of(key), ())]

    def similar(self, phrase: str) -> list[tuple[str, int]]:
        """(identifier, document) of ids and SKUs that the phrase may be meant for.

        Only a phrase with a digit can be meant for one, so that words are not compared with them.
        """
        key = fold_key(phrase)
        if not has_digits(key):
            return []
        places = [place for place, _ in self._spelling.similar(key, allowed_edits(key))]
        return [(self._spelling[place], self._document(place)) for place in places]

    def renumber(self, numbers: NDArray[np.int32]) -> None:
        """Gives added documents new numbers; -1: the document is dropped."""
        self._added_keys = {
            key: left
            for key, documents in self._added_keys.items()
            if (left := [int(numbers[old]) for old in documents if numbers[old] >= 0])
        }
        self._added_documents = [int(numbers[old]) for old in self._added_documents]

    def _document(self, place: int) -> int:
        count = len(self._documents)
        return (
            int(self._documents[place]) if place < count else self._added_documents[place - count]
        )


def keys_of(text: ProductText) -> list[str]:
    """The id, the SKU and the title of a product, as they are compared."""
    return sorted({*codes_of(text), fold_key(text.title)} - {""})


def codes_of(text: ProductText) -> list[str]:
    """The id and the SKU of a product, as they are compared."""
    return sorted({fold_key(code) for code in (text.id, text.sku) if code} - {""})
