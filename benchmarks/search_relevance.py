"""Relevance of text searches over the demo shop: words alone, pictures alone, and both fused.

Run: python -m benchmarks.search_relevance

Queries are generated from the shop's own products, with graded truth: 2 for a product that is all
that the query names, 0 for others. Constants of the fusion are chosen by one half of the queries;
the table shows the other half.
"""

import argparse
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import head, keep
from drawing.demo_shop import BRANDS, DemoProduct, demo_products
from drawing.draw import CATEGORIES, COLOURS, PATTERNS, draw_garment
from models.embedder.embedder import Embedder, EmbedderConfig, load
from models.index.answers.answer import answer_many
from models.index.build import IndexWriter
from models.index.check import OTHER_THINGS, check_index
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.shapes import ProductAttributes, ProductText, SearchQuery

COUNT, SIDE_PX, TOP, BATCH, TITLES = 648, 320, 10, 32, 256
WEIGHTS = (0.25, 0.5, 0.75)
KIND_WORDS = {
    "t-shirt": ("tshirt", "t shirt", "tee", "T-Shirts"), "shirt": ("shirts", "button-down"),
    "dress": ("dresses", "gown", "kleid", "robe"), "skirt": ("skirts", "jupe", "falda"),
    "trousers": ("pants", "slacks", "pantalon"), "shorts": ("short pants",),
    "jacket": ("jackets", "jacke"), "shoes": ("shoe", "footwear", "zapatos"),
    "bag": ("bags", "handbag", "borsa", "purse"),
}  # fmt: skip
NOTHING = (
    "washing machine", "garden hose", "laptop computer", "car tyres", "bicycle pump", "dog food",
    "coffee maker", "smartphone", "wooden table", "electric drill", "frying pan", "office chair",
    "lawn mower", "guitar strings", "baby milk", "toothpaste", "printer ink", "concert tickets",
    "fresh bread", "television", "paint brush", "fishing rod", "light bulb", "goat cheese",
    "hammer", "refrigerator", "vacuum cleaner", "keyboard", "sofa", "apple juice", "insurance",
    "mattress", "chess board", "usb cable", "motor oil", "microwave oven", "dishwasher tablets",
    "swimming pool", "camping tent", "telescope",
)  # fmt: skip

Gains = Callable[[DemoProduct], int]


@dataclass(frozen=True)
class Question:
    """A query, its class, and how well a product answers it, 0 to 2."""

    kind: str
    text: str
    gain: Gains


def gain_of(**names: str) -> Gains:
    """2 for a product with all of the properties."""

    def gain(product: DemoProduct) -> int:
        values = properties(product)
        return 2 * all(values[name] == value for name, value in names.items())

    return gain


def properties(product: DemoProduct) -> dict[str, str]:
    """What a query may name."""
    garment = product.garment
    return {
        "id": product.id, "brand": product.brand, "category": garment.category,
        "colour": garment.colour, "pattern": garment.pattern, "title": product.title,
    }  # fmt: skip


def misspell(text: str, random: Random) -> str:
    """One error in a word of at least four letters: a letter lost, doubled, swapped or wrong."""
    words = text.split()
    place = random.choice([place for place, word in enumerate(words) if len(word) >= 4])
    word = words[place]
    at = random.randrange(1, len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    words[place] = random.choice(
        [
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            swapped if swapped != word else word[:at] + word[at + 1 :],
            word[:at] + random.choice("aeioukx") + word[at + 1 :],
        ]
    )
    return " ".join(words)


def questions(products: Sequence[DemoProduct]) -> Iterator[Question]:
    """About a thousand queries, the same in every run."""
    random = Random(7)
    for product in random.sample(products, 120):
        yield Question("id", product.id, gain_of(id=product.id))
    for title in random.sample(sorted({product.title for product in products}), 200):
        colour, category = title.split()[-2:]
        truth = gain_of(title=title, colour=colour, category=category)
        yield Question("full title", title, truth)
        yield Question("full title, one typing error", misspell(title, random), truth)
    pairs = sorted({(product.brand, product.garment.category) for product in products})
    for brand, category in pairs:
        truth = gain_of(brand=brand, category=category)
        yield Question("brand + kind", f"{brand} {category}", truth)
        yield Question(
            "brand + kind, one typing error", misspell(f"{brand} {category}", random), truth
        )
    for brand in BRANDS:
        yield Question("brand", brand, gain_of(brand=brand))
    for category in CATEGORIES:
        for colour in COLOURS:
            truth = gain_of(category=category, colour=colour)
            yield Question("colour + kind", f"{colour} {category}", truth)
            word = random.choice(KIND_WORDS[category])
            yield Question("colour + another word for the kind", f"{colour} {word}", truth)
        for pattern in PATTERNS:
            truth = gain_of(category=category, pattern=pattern)
            yield Question("pattern + kind", f"{pattern} {category}", truth)
    for text in NOTHING:
        yield Question("nothing fits", text, lambda _: 0)


def text_of(product: DemoProduct) -> ProductText:
    """As `local/demo.py` writes it."""
    garment = product.garment
    description = f"{product.title} by {product.brand}, drawn for the demo."
    values = (garment.colour, garment.pattern)
    return ProductText(
        product.id, product.title, garment.category, product.brand, None, description, values
    )


def embed_shop(embedder: Embedder, products: Sequence[DemoProduct]) -> NDArray[np.float16]:
    """The pictures' vectors, through JPEG as in the product."""
    blocks = []
    for start in range(0, len(products), BATCH):
        pixels = []
        for product in products[start : start + BATCH]:
            buffer = io.BytesIO()
            draw_garment(product.garment, size=SIDE_PX).save(buffer, "JPEG", quality=88)
            pixels.append(embedder.preprocess(Image.open(buffer).convert("RGB")))
        blocks.append(embedder.embed_images(pixels))
    return np.concatenate(blocks).astype(np.float16)


def embed_texts(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors, float32 (n, dim)."""
    starts = range(0, len(texts), BATCH)
    return np.concatenate(
        [embedder.embed_texts(list(texts[start : start + BATCH])) for start in starts]
    )


def embed_all(
    products: Sequence[DemoProduct], texts: Sequence[str], cache: Path | None
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Vectors of the pictures and of the texts; read from the cache if it has these texts."""
    if cache is not None and cache.exists():
        with np.load(cache) as file:
            if file["names"].tolist() == list(texts):
                return file["pictures"], file["texts"]
    embedder = load(EmbedderConfig(checkpoint="starter"))
    pictures, vectors = embed_shop(embedder, products), embed_texts(embedder, texts)
    if cache is not None:
        np.savez(cache, pictures=pictures, texts=vectors, names=np.array(texts))
    return pictures, vectors


def build(
    folder: Path,
    products: Sequence[DemoProduct],
    vectors: NDArray[np.float16],
    titles: Sequence[NDArray[np.float32]],
    others: Sequence[NDArray[np.float32]],
) -> ProductIndex:
    """A version of the shop, with its stats."""
    with IndexWriter(folder) as writer:
        for product, vector in zip(products, vectors, strict=True):
            price_e4 = int(product.price * 10_000)
            attributes = ProductAttributes(
                product.garment.category, product.brand, price_e4, product.in_stock
            )
            writer.add(product.id, vector, attributes, text_of(product))
        writer.finish()
    checked = check_index(folder, titles, others)
    return ProductIndex(open_files(folder), checked.scores, checked.parameters)


Ranking = Callable[[str, NDArray[np.float32]], list[str]]
"""Words and their vector -> ids, best first, at most ten."""


def rankings(index: ProductIndex) -> dict[str, Ranking]:
    """The legs and their fusions, by name."""

    def search(weight: float) -> Ranking:
        def rank(words: str, vector: NDArray[np.float32]) -> list[str]:
            query = SearchQuery(TOP, text=vector, phrase=words, words_weight=weight)
            return [product_id for product_id, _ in answer_many(index, [query])[0].hits]

        return rank

    def words_alone(words: str, _: NDArray[np.float32]) -> list[str]:
        match = index.words.match(words, index.rows.total)
        rows = np.flatnonzero(match.is_complete)
        keys = match.scores[rows] + np.isin(rows, match.exact)
        return [index.rows.id(int(row)) for row in rows[np.argsort(-keys, kind="stable")][:TOP]]

    fused = {f"fused, words {weight}": search(weight) for weight in WEIGHTS}
    return {"words alone": words_alone, "pictures alone": search(0.0), **fused}


@dataclass(frozen=True)
class Judgement:
    """Of one query: nDCG@10, whether the first is fully right, and whether it is empty."""

    ndcg: float
    is_first_right: bool
    is_empty: bool


def judge(ids: Sequence[str], question: Question, products: dict[str, DemoProduct]) -> Judgement:
    """Compares a ranking with the truth."""
    discounts = 1 / np.log2(np.arange(2, TOP + 2))
    gains = [question.gain(products[product_id]) for product_id in ids]
    best = sorted((question.gain(product) for product in products.values()), reverse=True)[:TOP]
    ideal = float((np.array(best) * discounts[: len(best)]).sum())
    ndcg = float((np.array(gains) * discounts[: len(gains)]).sum()) / ideal if ideal else 1.0
    return Judgement(ndcg if ideal or not ids else 0.0, gains[:1] == [2], not ids)


def rows_of(measured: dict[str, dict[str, list[Judgement]]]) -> Iterator[str]:
    """The table, a line a class and a column a ranking."""
    names = list(measured)
    yield "| queries | n | " + " | ".join(names) + " |"
    yield "| --- | --- |" + " --- |" * len(names)
    for kind, results in measured[names[0]].items():
        cells = []
        for name in names:
            own = measured[name][kind]
            empty = np.mean([one.is_empty for one in own])
            if kind == "nothing fits":
                cells.append(f"empty {empty:.2f}")
                continue
            ndcg, first = (
                np.mean([one.ndcg for one in own]), np.mean([one.is_first_right for one in own])
            )  # fmt: skip
            cells.append(f"{ndcg:.3f} · {first:.2f} · {empty:.2f}")
        yield f"| {kind} | {len(results)} | " + " | ".join(cells) + " |"


def main() -> None:
    """Embeds the shop, asks every query, tunes on one half and reports the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, help="an .npz file that keeps the vectors")
    args = parser.parse_args()
    products = sorted(demo_products(COUNT), key=lambda product: product.id.encode())
    queries = list(questions(products))
    Random(1).shuffle(queries)
    titles = sorted({product.title for product in products})[:TITLES]
    samples = [*titles, *OTHER_THINGS]
    texts = [*samples, *(question.text for question in queries)]
    pictures, vectors = embed_all(products, texts, args.cache)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "version"
        folder.mkdir()
        sample_vectors = list(vectors[: len(samples)])
        own, others = sample_vectors[: len(titles)], sample_vectors[len(titles) :]
        index = build(folder, products, pictures, own, others)
        vectors = vectors[len(samples) :]
        by_id = {product.id: product for product in products}
        halves: list[dict[str, dict[str, list[Judgement]]]] = [{}, {}]
        for name, rank in rankings(index).items():
            for place, (question, vector) in enumerate(zip(queries, vectors, strict=True)):
                result = judge(rank(question.text, vector), question, by_id)
                kinds = halves[place % 2].setdefault(name, {})
                kinds.setdefault(question.kind, []).append(result)
    tuning, report = halves
    means = {
        name: float(np.mean([one.ndcg for own in kinds.values() for one in own]))
        for name, kinds in tuning.items()
    }
    report = {name: dict(sorted(kinds.items())) for name, kinds in report.items()}
    keep(
        "search_relevance",
        [
            "# Relevance of text searches", "",
            f"{head('python -m benchmarks.search_relevance')}. The demo shop of {COUNT} products,"
            f" starter embedder; {len(queries):,} queries, one half for tuning, this half shown."
            " nDCG@10 · the first fully right · empty answers.", "",
            *rows_of(report), "",
            "Mean nDCG@10 on the tuning half: "
            + ", ".join(f"{name} {value:.3f}" for name, value in means.items()) + ".",
            f"Cut-offs {index.stats.text_cutoff:.3f} and {index.stats.fused_cutoff:.3f},"
            f" top {index.stats.text_top:.3f}.",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
