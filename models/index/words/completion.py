"""Products whose words begin as a query does, for suggestions while somebody types."""

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from models.index.words.analysis import words_of
from models.index.words.impacts import VALUES
from models.index.words.postings import TermPostings
from models.index.words.vocabulary import Vocabulary

MOST_TERMS = 20
"""Terms that the last word may begin; of more, those that most products have."""
MOST_COMPARED = 2_000
"""Terms whose products are counted for that; the rest of a very short beginning is left out."""
MOST_DOCUMENTS = 100_000
"""Documents of one word that are compared; the rest of a very common beginning is left out."""
MOST_WORDS = 6

Scores = tuple[NDArray[np.int64], NDArray[np.float32]]


def complete(vocabulary: Vocabulary, postings: TermPostings, phrase: str, most: int) -> list[int]:
    """The best documents that have all words of the phrase, of which the last may be unfinished.

    Where nothing has a word, terms with one or two typing errors stand for it. The list is longer
    than `most` where documents may be dead.
    """
    words = ["".join(parts) for parts in words_of(phrase)][:MOST_WORDS]
    if not words:
        return []
    parts = [_whole(vocabulary, postings, word) for word in words[:-1]]
    parts.append(_beginning(vocabulary, postings, words[-1]))
    documents, scores = reduce(_common, parts)
    order = np.lexsort((documents, -scores))[: 2 * most]
    return [int(document) for document in documents[order]]


def _whole(vocabulary: Vocabulary, postings: TermPostings, word: str) -> Scores:
    code, others = vocabulary.forms(word)
    codes = others if code is None else [code, *others]
    return _scores(postings, codes or [code for code, _ in vocabulary.similar(word)])


def _beginning(vocabulary: Vocabulary, postings: TermPostings, word: str) -> Scores:
    beginnings = vocabulary.beginning(word)[:MOST_COMPARED]
    codes = sorted(beginnings, key=lambda code: -postings.count(code))
    return _scores(postings, codes[:MOST_TERMS] or [code for code, _ in vocabulary.similar(word)])


def _scores(postings: TermPostings, codes: list[int]) -> Scores:
    """Documents that have any of the terms, ascending, and the highest value in each."""
    documents, values, count = [], [], 0
    for code in codes:
        own, impacts = postings.of(code)
        documents.append(own[: MOST_DOCUMENTS - count].astype(np.int64))
        values.append(VALUES[impacts[: MOST_DOCUMENTS - count]].astype(np.float32))
        count += len(documents[-1])
        if count >= MOST_DOCUMENTS:
            break
    if not documents:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    every, scores = np.concatenate(documents), np.concatenate(values)
    order = np.lexsort((-scores, every))
    every, scores = every[order], scores[order]
    is_first = np.diff(every, prepend=-1) != 0
    return every[is_first], scores[is_first]


def _common(first: Scores, second: Scores) -> Scores:
    documents, own, other = np.intersect1d(
        first[0], second[0], assume_unique=True, return_indices=True
    )
    return documents, first[1][own] + second[1][other]
