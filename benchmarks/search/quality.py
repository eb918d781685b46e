"""How well the starter embedder searches: held-out photographs and drawings, beside baselines.

Run: python -m benchmarks.search.quality --photos ../shared/data/clothing
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import RESULTS, today
from drawing.captions import combinations
from drawing.draw import Garment, caption, draw_garment
from models.embedder.embedder import Embedder, EmbedderConfig, load
from training.embedder.retrieval import (
    caption_hits,
    histogram_vector,
    image_chance,
    image_precision,
    pixel_vector,
    same_first,
    text_precision,
)
from training.photos.photos import list_photos

Vectors = NDArray[np.float32]
GALLERY, FIRST_SEED = 1000, 700_000_000  # style seeds that training never uses
LEAST_PHOTOGRAPHS, DRAWN_SIZE = 20, 160
SYNONYMS: dict[str, tuple[str, ...]] = {
    "T-Shirt": ("t-shirt", "tee", "t shirt"), "Longsleeve": ("longsleeve", "long sleeve top"),
    "Pants": ("pants", "trousers", "jeans"), "Shoes": ("shoes", "pair of shoes"),
    "Shirt": ("shirt", "button-up shirt"), "Dress": ("dress",), "Shorts": ("shorts",),
    "Outwear": ("outwear", "jacket", "coat"), "Hat": ("hat", "cap"), "Skirt": ("skirt",),
    "Polo": ("polo", "polo shirt"), "Undershirt": ("undershirt", "tank top"),
    "Hoodie": ("hoodie",), "Blazer": ("blazer", "suit jacket"), "Body": ("body", "bodysuit"),
    "Top": ("top",), "Blouse": ("blouse",),
}  # fmt: skip


def embed_all(embedder: Embedder, images: Sequence[Image.Image]) -> Vectors:
    """All images through the product's own path: (n, dim)."""
    return embedder.embed_images([embedder.preprocess(image) for image in images])


def measure_photographs(embedder: Embedder, folder: Path) -> list[str]:
    """Rows for the photographs that training never saw."""
    rows = list_photos(folder, {"test"})
    images = [Image.open(folder / file).convert("RGB") for file, _ in rows]
    labels = np.array([label for _, label in rows])
    vectors = embed_all(embedder, images)
    counts = {label: int((labels == label).sum()) for label in SYNONYMS}
    frequent = [label for label, count in counts.items() if count >= LEAST_PHOTOGRAPHS]
    lines = [
        f"\n## Photographs: {len(rows)} held out, by label\n",
        "| measure | value |",
        "|---|---|",
    ]
    lines.append(f"| image → image precision@10 | **{image_precision(vectors, labels):.3f}** |")
    for name, vector in (
        ("raw pixels, 32 x 32", pixel_vector),
        ("colour histogram", histogram_vector),
    ):
        value = image_precision(np.stack([vector(image) for image in images]), labels)
        lines.append(f"| … by {name} | {value:.3f} |")
    lines.append(f"| … by chance | {image_chance(labels):.3f} |")
    chance = float(np.mean([counts[label] / len(rows) for label in frequent]))
    per_label = {label: _ask(embedder, label, vectors, labels) for label in frequent}
    first = float(np.mean([values[0] for values in per_label.values()]))
    every = float(np.mean([values.mean() for values in per_label.values()]))
    lines.append(
        f"| text → image precision@10, label words, {len(frequent)} labels | **{first:.3f}** |"
    )
    lines.append(f"| … all synonyms | **{every:.3f}** |")
    lines.append(f"| … by chance | {chance:.3f} |")
    lines += ["\n| text → image | photographs | precision@10 |", "|---|---|---|"]
    for label, values in per_label.items():
        said = ", ".join(
            f"{word} {value:.1f}" for word, value in zip(SYNONYMS[label], values, strict=True)
        )
        lines.append(f"| {label} | {counts[label]} | {said} |")
    return lines


def _ask(
    embedder: Embedder, label: str, vectors: Vectors, labels: NDArray[np.str_]
) -> NDArray[np.float64]:
    texts = embedder.embed_texts([f"a photo of a {word}" for word in SYNONYMS[label]])
    return text_precision(texts, np.array([label] * len(texts)), vectors, labels)


def measure_drawings(embedder: Embedder, seed: int) -> list[str]:
    """Rows for drawn garments, of held-out combinations alone and of all."""
    held_out = combinations(held_out=True)
    lines = [
        f"\n## Drawings: galleries of {GALLERY:,}; {len(held_out)} of 432 combinations held out\n",
        "| measure | held-out gallery | gallery of all combinations |", "|---|---|---|",
    ]  # fmt: skip
    captions = [caption(Garment(*each)) for each in held_out]
    texts = embedder.embed_texts(captions)
    columns = []
    for kinds in (held_out, held_out + combinations(held_out=False)):
        garments = _choose(kinds, seed)
        first = [draw_garment(garment, DRAWN_SIZE, view_seed=1) for garment in garments]
        second = [draw_garment(garment, DRAWN_SIZE, view_seed=2) for garment in garments]
        vectors = embed_all(embedder, first)
        hits = caption_hits(texts, captions, vectors, [caption(garment) for garment in garments])
        again = same_first(embed_all(embedder, second), vectors)
        plain = [
            same_first(np.stack([vector(i) for i in second]), np.stack([vector(i) for i in first]))
            for vector in (pixel_vector, histogram_vector)
        ]
        columns.append([*hits, again, *plain])
    names = (
        "held-out captions → image: right category, colour and pattern first",
        "… a right one among the first ten", "… share of right ones among the first ten",
        "image → the same garment in another view, first", "… by raw pixels, 32 x 32",
        "… by colour histogram",
    )  # fmt: skip
    for name, ours, all_ in zip(names, *columns, strict=True):
        lines.append(f"| {name} | {ours:.3f} | {all_:.3f} |")
    return lines


def _choose(kinds: list[tuple[str, str, str]], seed: int) -> list[Garment]:
    """GALLERY garments that take the combinations in turn."""
    start = FIRST_SEED + seed * GALLERY
    return [Garment(*kinds[i % len(kinds)], style_seed=start + i) for i in range(GALLERY)]


def measure_speed(embedder: Embedder) -> list[str]:
    """Milliseconds of processor time on one thread."""
    image = draw_garment(Garment("dress", "red", "striped"))
    pixels = embedder.preprocess(image)
    rows = (
        ("one image", lambda: embedder.embed_images([pixels])),
        ("sixteen images", lambda: embedder.embed_images([pixels] * 16)),
        ("one text", lambda: embedder.embed_texts(["red striped dress"])),
        ("preprocessing, 256 px", lambda: embedder.preprocess(image)),
    )
    lines = ["\n## Time on one thread\n", "| | ms |", "|---|---|"]
    return lines + [f"| {name} | {_milliseconds(work):.1f} |" for name, work in rows]


def _milliseconds(work: Callable[[], object], repeats: int = 20) -> float:
    work()
    started = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - started) / repeats * 1e3


def main() -> None:
    """Measure, print, and write the same to the results folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/clothing"))
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "search_quality.md")
    args = parser.parse_args()
    embedder = load(EmbedderConfig(checkpoint=args.checkpoint))
    lines = [
        "# Search quality", "",
        f"`python -m benchmarks.search.quality {' '.join(sys.argv[1:])}` on {today()}, "
        f"embedder `{embedder.version}`, drawing seed {args.seed}.",
        *measure_photographs(embedder, args.photos),
        *measure_drawings(embedder, args.seed), *measure_speed(embedder),
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)


if __name__ == "__main__":
    main()
