"""The files of a version's words, mapped into memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.index.text_table import TextTable
from models.index.words.hash_table import HashTable
from models.index.words.identifiers import IdentifierFiles
from models.index.words.postings import PostingFiles
from models.index.words.vocabulary import TermFiles

TERM_TEXT = "terms.utf8.npy"
TERM_ENDS = "terms.i64.npy"
TERM_LETTERS = "terms.letters.u64.npy"
STEM_HASHES = "stems.u64.npy"
STEM_CODES = "stems.i32.npy"
POSTING_ENDS = "postings.i64.npy"
POSTING_DOCUMENTS = "postings.i32.npy"
POSTING_IMPACTS = "postings.u8.npy"
KEY_HASHES = "keys.u64.npy"
KEY_DOCUMENTS = "keys.i32.npy"
CODE_TEXT = "codes.utf8.npy"
CODE_ENDS = "codes.i64.npy"
CODE_DOCUMENTS = "codes.i32.npy"
CODE_LETTERS = "codes.letters.u64.npy"
FINGERPRINTS = "texts.u64.npy"
WORD_FILES = frozenset(
    {
        TERM_TEXT, TERM_ENDS, TERM_LETTERS, STEM_HASHES, STEM_CODES, POSTING_ENDS,
        POSTING_DOCUMENTS, POSTING_IMPACTS, KEY_HASHES, KEY_DOCUMENTS, CODE_TEXT, CODE_ENDS,
        CODE_DOCUMENTS, CODE_LETTERS, FINGERPRINTS,
    }
)  # fmt: skip


@dataclass(frozen=True)
class WordFiles:
    """The words of a version; `fingerprints`: uint64 (n,), of the texts of its rows."""

    vocabulary: TermFiles
    postings: PostingFiles
    identifiers: IdentifierFiles
    fingerprints: NDArray[np.uint64]


def open_words(folder: Path) -> WordFiles:
    """Maps what `WordWriter` wrote."""
    terms = TextTable(_mapped(folder / TERM_TEXT), _mapped(folder / TERM_ENDS))
    stems = HashTable(_mapped(folder / STEM_HASHES), _mapped(folder / STEM_CODES))
    return WordFiles(
        TermFiles(terms, _mapped(folder / TERM_LETTERS), stems),
        PostingFiles(
            _mapped(folder / POSTING_ENDS),
            _mapped(folder / POSTING_DOCUMENTS),
            _mapped(folder / POSTING_IMPACTS),
        ),
        IdentifierFiles(
            HashTable(_mapped(folder / KEY_HASHES), _mapped(folder / KEY_DOCUMENTS)),
            TextTable(_mapped(folder / CODE_TEXT), _mapped(folder / CODE_ENDS)),
            _mapped(folder / CODE_DOCUMENTS),
            _mapped(folder / CODE_LETTERS),
        ),
        _mapped(folder / FINGERPRINTS),
    )


def empty_words() -> WordFiles:
    """The words of a version without products."""
    nothing = HashTable.of([], [])
    longs, ints = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
    hashes, bytes_ = np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint8)
    return WordFiles(
        TermFiles(TextTable.of([]), hashes, nothing),
        PostingFiles(longs, ints, bytes_),
        IdentifierFiles(nothing, TextTable.of([]), ints, hashes),
        hashes,
    )


def _mapped(path: Path) -> Any:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
