"""Words against brute force, live changes against a rebuilt index, and what a shop's users type."""

from pathlib import Path
from random import Random

import numpy as np
import pytest

from models.index.shapes import ProductText
from models.index.words import documents
from models.index.words.analysis import terms_of
from models.index.words.build import WordWriter
from models.index.words.files import WORD_FILES, empty_words, open_words
from models.index.words.word_index import WordIndex, WordMatch

NOUNS = ("dress", "skirt", "zax", "quorl", "t-shirt", "shirt", "blouse")
ADJECTIVES = ("red", "green", "blik", "vump", "striped", "dotted")
BRANDS = ("Ember Row", "Aldersea", "Galloway")


def draw_text(number: int, random: Random) -> ProductText:
    noun, adjective = random.choice(NOUNS), random.choice(ADJECTIVES)
    return ProductText(
        f"id-{number:04}",
        f"{adjective} {noun}",
        noun,
        random.choice((*BRANDS, None)),
        f"SK/{number * 7919 % 10_000:04}-{random.choice('SML')}",
        " ".join(random.choices((*NOUNS, *ADJECTIVES, "cotton", "wear"), k=12)),
        (adjective,),
    )


def built(texts: list[ProductText], folder: Path, run: int = 500) -> WordIndex:
    folder.mkdir()
    writer = WordWriter(folder, run)
    for text in texts:
        writer.add(text)
    writer.finish()
    writer.close()
    return WordIndex(open_words(folder))


def rows(match: WordMatch) -> list[int]:
    return np.flatnonzero(match.is_complete).tolist()


def has_all(text: ProductText, words: list[str]) -> bool:
    fields = [text.title, text.category, text.brand or "", text.description or "", *text.values]
    terms = {term for field in fields for term in terms_of(field)}
    return all(word in terms for word in words)


@pytest.mark.parametrize("run", [1, 97, 10**6])
def test_rows_that_have_all_words_are_those_of_brute_force(tmp_path: Path, run: int) -> None:
    random = Random(run)
    texts = [draw_text(number, random) for number in range(120)]
    index = built(texts, tmp_path / "v", run)
    for words in (["zax"], ["vump", "quorl"], ["blik", "zax", "galloway"], ["cotton", "vump"]):
        expected = [row for row, text in enumerate(texts) if has_all(text, words)]
        match = index.match(" ".join(words), len(texts))
        assert rows(match) == expected
        assert (match.scores[expected] > 0).all()
        assert ((match.scores >= 0) & (match.scores < 1)).all()


def test_live_changes_match_as_if_built_and_score_as_if_replayed(tmp_path: Path) -> None:
    random = Random(1)
    texts = {number: draw_text(number, random) for number in range(80)}
    index = built(list(texts.values()), tmp_path / "v")
    for _ in range(300):
        row = random.randrange(120)
        if random.random() < 0.3:
            texts.pop(row, None)
            index.remove(row)
        else:
            texts[row] = draw_text(random.randrange(500), random)
            index.put(row, texts[row])
    again = WordIndex(open_words(tmp_path / "v"))
    for row in range(120):
        if row in texts:
            again.put(row, texts[row])
        else:
            again.remove(row)
    for words in (["zax"], ["vump", "quorl"], ["red", "galloway"], ["green", "zax", "cotton"]):
        match, replayed = (each.match(" ".join(words), 120) for each in (index, again))
        if words[0] in ("zax", "vump"):
            assert rows(match) == [row for row in sorted(texts) if has_all(texts[row], words)]
        assert rows(match) == rows(replayed)
        np.testing.assert_array_equal(match.scores, replayed.scores)


def test_compactions_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "COMPACT_DOCUMENTS", 10)
    random = Random(2)
    texts = [draw_text(number, random) for number in range(30)]
    index = built(texts, tmp_path / "v")
    for turn in range(200):
        row = random.randrange(40)
        text = draw_text(500 + turn, random)
        texts += [text] * (row + 1 - len(texts))
        texts[row] = text
        index.put(row, text)
    for row in range(30, len(texts)):
        index.put(row, texts[row])
    assert index._documents.count < 150
    survivors = np.array(range(0, len(texts), 2))
    index.renumber(survivors)
    texts = texts[::2]
    assert rows(index.match("vump", len(texts))) == [
        row for row, text in enumerate(texts) if has_all(text, ["vump"])
    ]
    assert index.match(texts[-1].id, len(texts)).exact.tolist() == [len(texts) - 1]


@pytest.mark.parametrize("empty", [True, False])
def test_an_empty_index_answers_and_takes_products(tmp_path: Path, empty: bool) -> None:
    index = WordIndex(empty_words()) if empty else built([], tmp_path / "v")
    assert rows(index.match("red dress", 0)) == []
    index.put(0, ProductText("a", "Red dress"))
    index.put(9, ProductText("b", "Blue dress"))
    assert rows(index.match("dresses", 10)) == [0, 9]
    assert rows(index.match("blue dress", 10)) == [9]


def test_files_are_complete(tmp_path: Path) -> None:
    built([ProductText("a", "Red dress")], tmp_path / "v")
    assert {path.name for path in (tmp_path / "v").iterdir()} == WORD_FILES
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


SHOP = [
    ProductText("p1", "Plain red dress", "dress", "Ember Row", "ER/100-S", "A frock for summer"),
    ProductText("p2", "Striped t-shirt", "t-shirt", "Aldersea", "AL/200-M", None, ("green",)),
    ProductText("p3", "White shirt", "shirt", "Galloway", "GA/300-L", "goes with a red dress"),
    ProductText("p4", "Orange bag", "bag", "Ember Row", "ER/400", None, ("leather",)),
    ProductText("p5", "Dotted green skirt", "skirt", "Aldersea", None, "For 2 to 3 seasons"),
    ProductText("p6", "Sommerkleid", "Kleider", "Galloway", None, "Leichtes Kleid, grün"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> WordIndex:
    return built(SHOP, tmp_path_factory.mktemp("shop") / "v")


@pytest.mark.parametrize(
    ("query", "ids", "suggestion"),
    [
        ("RED dresses", ["p1", "p3"], None),
        ("REDDRESS", ["p1", "p3"], "red dress"),
        ("tshirt", ["p2"], None),
        ("t shirt", ["p2"], None),
        ("T-Shirts", ["p2"], None),
        ("green t shirts", ["p2"], None),
        ("t-shrt", ["p2"], "tshirt"),
        ("T-ihirt striped", ["p2"], "tshirt striped"),
        ("whte shirt", ["p3"], "white shirt"),
        ("tee", ["p2"], None),
        ("shirt", ["p3"], None),
        ("whiteshirt", ["p3"], None),  # as its title
        ("greenskirt", ["p5"], "green skirt"),
        ("greem dotted skrt", ["p5"], "green dotted skirt"),
        ("grean skrt", ["p5"], "grean skirt"),  # "an" is a Spanish ending,
        ("orenge handbag", ["p4"], "orange handbag"),
        ("ember row bag", ["p4"], None),
        ("bag by Ember Row", ["p4"], None),
        ("aldersea", ["p2", "p5"], None),
        ("aldrsea", ["p2", "p5"], "aldersea"),
        ("spotted skirt", ["p5"], None),
        ("polka dot skirt", ["p5"], None),
        ("jupe verte", ["p5"], None),
        ("grünes Kleid", ["p6"], None),
        ("er100s", ["p1"], None),
        ("ER/100-S", ["p1"], None),
        ("ER/10-S", ["p1"], "er100s"),
        ("washing machine", [], None),
        ("purple dress", [], "dress"),
        ("!!!", [], None),
        ("", [text.id for text in SHOP], None),
    ],
)
def test_what_is_typed_finds_what_is_meant(
    shop: WordIndex, query: str, ids: list[str], suggestion: str | None
) -> None:
    match = shop.match(query, len(SHOP))
    assert [SHOP[row].id for row in rows(match)] == ids
    assert match.suggestion == suggestion


def test_fields_weigh_and_exact_names_are_named(shop: WordIndex) -> None:
    scores = shop.match("red dress", len(SHOP)).scores
    assert scores[0] > scores[2] > 0
    assert shop.match("plain RED dress", len(SHOP)).exact.tolist() == [0]
    assert shop.match("p4", len(SHOP)).exact.tolist() == [3]
    assert shop.match("red dress", len(SHOP)).exact.size == 0


def test_the_shops_own_synonyms_count(shop: WordIndex) -> None:
    assert rows(shop.match("satchel", len(SHOP))) == []
    assert rows(shop.match("satchels", len(SHOP), [["satchel", "bag"]])) == [3]
