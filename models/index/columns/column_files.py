"""The columns of an index version as files, and the dictionaries of their numbers."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.index.columns.column_store import ProductColumns
from models.index.columns.dictionaries import Dictionaries, FactCodes, GroupCodes, TextCodes
from models.index.columns.facts import NO_POSTINGS, FactPostings

COLUMNS = {
    "category_code": "category.i32.npy",
    "brand_code": "brand.i32.npy",
    "price_e4": "price.i64.npy",
    "in_stock": "stock.bool.npy",
}
NEWER_COLUMNS = {
    "currency_code": "currency.i32.npy",
    "group_code": "group.i32.npy",
    "created_us": "created.i64.npy",
}
"""Columns that versions of older studios do not have."""
GROUPS = "groups.u64.npy"
FACT_ENDS = "facts.i64.npy"
FACT_ROWS = "facts.i32.npy"
VOCABULARY = "vocabulary.json"


def save_columns(columns: ProductColumns, folder: Path) -> None:
    """Writes all columns; the facts of a name come one after the other."""
    names = columns.dictionaries
    facts, postings = _by_name(names.facts, columns.facts)
    arrays: dict[str, NDArray[Any]] = {
        file: getattr(columns, name) for name, file in (COLUMNS | NEWER_COLUMNS).items()
    }
    arrays |= {
        GROUPS: names.groups.hashes(), FACT_ENDS: postings.ends, FACT_ROWS: postings.rows,
    }  # fmt: skip
    for file, array in arrays.items():
        np.save(folder / file, array, allow_pickle=False)
    vocabulary = {
        # Older studios read these two, which are without case.
        "categories": [text.casefold() for text in names.categories.spellings],
        "brands": [text.casefold() for text in names.brands.spellings],
        "spellings": {
            "categories": names.categories.spellings,
            "brands": names.brands.spellings,
            "currencies": names.currencies.spellings,
        },
        "facts": {
            "names": facts.names.spellings, "codes": facts.name_codes, "values": facts.values,
        },
    }  # fmt: skip
    text = json.dumps(vocabulary, ensure_ascii=False)
    (folder / VOCABULARY).write_text(text, encoding="utf-8")


def _by_name(facts: FactCodes, postings: FactPostings) -> tuple[FactCodes, FactPostings]:
    """The facts numbered anew, in order of their names' numbers."""
    name_codes = np.array(facts.name_codes, dtype=np.int64)
    order = np.argsort(name_codes, kind="stable")
    lengths = np.diff(postings.ends, prepend=0)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    entries = np.argsort(number[np.repeat(np.arange(len(lengths)), lengths)], kind="stable")
    values = [facts.values[code] for code in order]
    ordered = FactCodes(facts.names.spellings, name_codes[order].tolist(), values)
    return ordered, FactPostings(np.cumsum(lengths[order]), postings.rows[entries])


def open_columns(folder: Path) -> ProductColumns:
    """Maps the columns of a version; those that an older studio did not write are empty."""
    vocabulary = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
    spellings = {**vocabulary, **vocabulary.get("spellings", {})}
    facts = vocabulary.get("facts", {"names": [], "codes": [], "values": []})
    arrays = {name: load_array(folder / file, "c") for name, file in COLUMNS.items()}
    count = len(arrays["price_e4"])
    empty = {
        "currency_code": np.full(count, -1, dtype=np.int32),
        "group_code": np.full(count, -1, dtype=np.int32),
        "created_us": np.zeros(count, dtype=np.int64),
    }
    for name, file in NEWER_COLUMNS.items():
        path = folder / file
        arrays[name] = load_array(path, "c") if path.exists() else empty[name]
    has_facts = (folder / FACT_ENDS).exists()
    dictionaries = Dictionaries(
        TextCodes(spellings["categories"]),
        TextCodes(spellings["brands"]),
        TextCodes(spellings.get("currencies", ())),
        GroupCodes(load_array(folder / GROUPS, "r")) if has_facts else GroupCodes(),
        FactCodes(facts["names"], facts["codes"], facts["values"]),
    )
    postings = NO_POSTINGS
    if has_facts:
        postings = FactPostings(
            load_array(folder / FACT_ENDS, "r"), load_array(folder / FACT_ROWS, "r")
        )
    return ProductColumns(dictionaries, facts=postings, **arrays)


def load_array(path: Path, mode: Literal["r", "c"]) -> Any:
    """The mapped array without numpy's memmap class, which adds microseconds to every slice."""
    return np.asarray(np.load(path, mmap_mode=mode, allow_pickle=False))
