"""Columns read back from their files, and versions of older studios, which have fewer of them."""

import json
from pathlib import Path

import numpy as np

from models.index.answers.answer import answer_many
from models.index.build import IndexWriter
from models.index.columns.column_files import (
    FACT_ENDS,
    FACT_ROWS,
    GROUPS,
    NEWER_COLUMNS,
    VOCABULARY,
    open_columns,
)
from models.index.files import is_readable, manifest_of, open_files
from models.index.product_index import ProductIndex
from models.index.shapes import Filters, ProductAttributes, SearchQuery, ValueFacet
from tests.models.index.answers.shop import DIM, unit

FACTS = (("size", "S"), ("Colour", "Red"), ("size", "M"))


def write(folder: Path) -> None:
    random = np.random.default_rng(0)
    with IndexWriter(folder) as writer:
        for place in range(6):
            one = ProductAttributes(
                "Dress",
                "Ärmel",
                10_000 * place,
                True,
                "EUR",
                f"G{place // 2}",
                place,
                FACTS[place % 2 :],
            )
            writer.add(f"p{place}", unit(random), one)
        writer.finish()


def make_old(folder: Path) -> None:
    """Removes what an older studio did not write."""
    for file in (*NEWER_COLUMNS.values(), GROUPS, FACT_ENDS, FACT_ROWS):
        (folder / file).unlink()
    vocabulary = json.loads((folder / VOCABULARY).read_text())
    old = {name: vocabulary[name] for name in ("categories", "brands")}
    (folder / VOCABULARY).write_text(json.dumps(old))


def test_columns_are_those_that_were_written(tmp_path: Path) -> None:
    write(tmp_path)
    columns = open_columns(tmp_path)
    names = columns.dictionaries
    assert names.brands.spellings == ["Ärmel"] and names.currencies.spellings == ["EUR"]
    assert columns.group_code.tolist() == [0, 0, 1, 1, 2, 2]
    assert columns.created_us.tolist() == list(range(6))
    values = [names.facts.values[code] for code in names.facts.codes_of("SIZE")]
    assert values == ["S", "M"] and np.diff(names.facts.codes_of("size")).tolist() == [1]
    assert np.diff(columns.facts.ends, prepend=0).tolist() == [3, 6, 6]


def test_an_older_version_answers_until_it_is_rebuilt(tmp_path: Path) -> None:
    write(tmp_path)
    make_old(tmp_path)
    assert is_readable(manifest_of(tmp_path))
    index = ProductIndex(open_files(tmp_path))
    assert index.is_rebuild_due
    query = SearchQuery(3, image=np.ones(DIM, np.float32), facets=("category", "attributes.size"))
    (answer,) = answer_many(index, [query])
    assert (answer.total, len(answer.hits)) == (6, 3)
    assert answer.facets["category"] == ValueFacet((("dress", 6),))
    assert answer.facets["attributes.size"] == ValueFacet(())
    index.put("p0", index.rows.vector(0), ProductAttributes("Dress", None, 1, True, facts=FACTS))
    filters = Filters(attributes=(("SIZE", frozenset({"m"})),))
    (answer,) = answer_many(index, [SearchQuery(3, image=query.image, filters=filters)])
    assert [product_id for product_id, _ in answer.hits] == ["p0"]
