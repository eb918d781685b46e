"""Writes the words of a version; postings are sorted in runs, so that memory stays bounded."""

import tempfile
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.index.shapes import ProductText
from models.index.text_table import TextTable
from models.index.words import files as names
from models.index.words.hash_table import HashTable, hash_of
from models.index.words.identifiers import codes_of, keys_of
from models.index.words.impacts import impacts_of
from models.index.words.spelling import letters_of
from models.index.words.stems import stems_of
from models.index.words.word_index import fingerprint_of

RUN_POSTINGS = 4_000_000
"""Postings that are held in memory and sorted at a time: 40 MB."""


class WordWriter:
    """Takes the texts of products, in the order of their rows."""

    def __init__(self, folder: Path, run_postings: int = RUN_POSTINGS) -> None:
        self._folder = folder
        self._run_postings = run_postings
        self._codes: dict[str, int] = {}
        self._run = _empty_run()
        self._runs = tempfile.TemporaryDirectory(dir=folder.parent, prefix=".postings-")
        self._run_files: list[Path] = []
        self._counts = np.zeros(0, dtype=np.int64)
        self._keys, self._key_documents = array("Q"), array("i")
        self._code_text = bytearray()
        self._code_ends, self._code_documents = array("q"), array("i")
        self._code_letters = array("Q")
        self._fingerprints = array("Q")

    def add(self, text: ProductText) -> None:
        """Appends the words of the next row."""
        document = len(self._fingerprints)
        codes, documents, impacts = self._run
        for term, impact in impacts_of(text).items():
            codes.append(self._codes.setdefault(term, len(self._codes)))
            documents.append(document)
            impacts.append(impact)
        self._add_identifiers(text, document)
        self._fingerprints.append(fingerprint_of(text))
        if len(codes) >= self._run_postings:
            self._end_run()

    def finish(self) -> None:
        """Merges the runs and writes the files."""
        self._end_run()
        terms = sorted(self._codes, key=str.encode)
        places = np.array([self._codes[term] for term in terms], dtype=np.int64)
        ranks = np.zeros(len(terms), dtype=np.int64)
        ranks[places] = np.arange(len(terms))
        counts = np.zeros(len(terms), dtype=np.int64)
        counts[: len(self._counts)] = self._counts
        self._merge(np.cumsum(counts[places]), ranks)
        self._write_terms(terms)
        self._write_identifiers()
        self._save(names.FINGERPRINTS, np.frombuffer(self._fingerprints, dtype=np.uint64))

    def close(self) -> None:
        """Deletes the runs."""
        self._runs.cleanup()

    def _add_identifiers(self, text: ProductText, document: int) -> None:
        codes = codes_of(text)
        for key in keys_of(text):
            self._keys.append(hash_of(key))
            self._key_documents.append(document)
        for code in codes:
            self._code_text += code.encode()
            self._code_ends.append(len(self._code_text))
            self._code_documents.append(document)
            self._code_letters.append(int(letters_of(code)))

    def _end_run(self) -> None:
        """Sorts the postings in memory by term and writes them to a file."""
        codes = np.frombuffer(self._run[0], dtype=np.int32)
        if not codes.size:
            return
        order = np.argsort(codes, kind="stable")
        path = Path(self._runs.name) / f"{len(self._run_files)}.npz"
        np.savez(
            path,
            codes=codes[order],
            documents=np.frombuffer(self._run[1], dtype=np.int32)[order],
            impacts=np.frombuffer(self._run[2], dtype=np.uint8)[order],
        )
        counts = np.bincount(codes, minlength=len(self._codes)).astype(np.int64)
        counts[: len(self._counts)] += self._counts
        self._counts = counts
        self._run_files.append(path)
        self._run = _empty_run()

    def _merge(self, ends: NDArray[np.int64], ranks: NDArray[np.int64]) -> None:
        """Places the postings of all runs by the rank of their term, then by document."""
        total = int(ends[-1]) if ends.size else 0
        self._save(names.POSTING_ENDS, ends)
        documents = self._new(names.POSTING_DOCUMENTS, np.int32, total)
        impacts = self._new(names.POSTING_IMPACTS, np.uint8, total)
        free = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]]) if ends.size else ends
        for path in self._run_files:
            with np.load(path) as run:
                terms, firsts, counts = np.unique(
                    run["codes"], return_index=True, return_counts=True
                )
                starts = free[ranks[terms]]
                places = np.repeat(starts - firsts, counts) + np.arange(len(run["codes"]))
                documents[places] = run["documents"]
                impacts[places] = run["impacts"]
                free[ranks[terms]] += counts
            path.unlink()

    def _write_terms(self, terms: list[str]) -> None:
        table = TextTable.of(terms)
        self._save(names.TERM_TEXT, table.text)
        self._save(names.TERM_ENDS, table.ends)
        letters = np.fromiter((letters_of(term) for term in terms), np.uint64, len(terms))
        self._save(names.TERM_LETTERS, letters)
        hashes, codes = array("Q"), array("i")
        for code, term in enumerate(terms):
            for stem in stems_of(term):
                hashes.append(hash_of(stem))
                codes.append(code)
        stems = HashTable.of(np.frombuffer(hashes, np.uint64), np.frombuffer(codes, np.int32))
        self._save(names.STEM_HASHES, stems.hashes)
        self._save(names.STEM_CODES, stems.values)

    def _write_identifiers(self) -> None:
        keys = HashTable.of(
            np.frombuffer(self._keys, np.uint64), np.frombuffer(self._key_documents, np.int32)
        )
        self._save(names.KEY_HASHES, keys.hashes)
        self._save(names.KEY_DOCUMENTS, keys.values)
        self._save(names.CODE_TEXT, np.frombuffer(self._code_text, np.uint8))
        self._save(names.CODE_ENDS, np.frombuffer(self._code_ends, np.int64))
        self._save(names.CODE_DOCUMENTS, np.frombuffer(self._code_documents, np.int32))
        self._save(names.CODE_LETTERS, np.frombuffer(self._code_letters, np.uint64))

    def _save(self, name: str, values: NDArray[Any]) -> None:
        np.save(self._folder / name, values, allow_pickle=False)

    def _new(self, name: str, dtype: Any, size: int) -> NDArray[Any]:
        """A mapped file to write into; numpy can't map an empty one."""
        if not size:
            self._save(name, np.zeros(0, dtype=dtype))
            return np.zeros(0, dtype=dtype)
        return np.lib.format.open_memmap(self._folder / name, "w+", dtype, (size,))


def _empty_run() -> tuple["array[int]", "array[int]", "array[int]"]:
    return array("i"), array("i"), array("B")
