"""Four ways to match the words of a catalogue: build, search, typing errors, one write.

Run: python -m benchmarks.index.words [--count 1000000 --engines ours]

Needs `tantivy` and `bm25s` beside the studio's own packages; what is missing is left out. Times are
CPU time of this process on a machine that may be shared; PostgreSQL works outside of it: wall time.
Every engine searches the same queries: all words must match, in any field.
"""

import argparse
import resource
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.index.word_engines import ENGINES, Engine, PostgresText
from benchmarks.report import head, keep
from benchmarks.search.shop import shop, shop_product
from models.index.shapes import ProductText

QUERIES, WRITES = 100, 20


@dataclass(frozen=True)
class EngineTimes:
    """Times in milliseconds, p50 and p95; None: it can't."""

    best: tuple[float, float]
    mask: tuple[float, float] | None
    fuzzy: tuple[float, float] | None
    write: tuple[float, float] | None


def peak_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def queries_of(count: int) -> tuple[list[str], list[str]]:
    """Queries about products of the catalogue, and the same with a typing error."""
    random = np.random.default_rng(11)
    plain, wrong = [], []
    for number in random.integers(0, count, QUERIES):
        product = shop_product(int(number))
        words = (
            [product.colour, product.kind],
            [str(product.text.brand), product.kind],
            product.text.title.split(),
            [product.style, product.material, product.kind],
        )[len(plain) % 4]
        plain.append(" ".join(words))
        place = int(random.integers(1, len(product.kind) - 1))
        typo = product.kind[:place] + product.kind[place + 1 :]
        wrong.append(f"{product.colour} {typo}")
    return plain, wrong


def timed(
    engine: Engine, work: Callable[[Any], object], args: Sequence[Any]
) -> tuple[float, float]:
    """p50 and p95 of a call, in milliseconds; the first calls warm up."""
    for arg in args[:5]:
        work(arg)
    took = []
    for arg in args:
        started = engine.clock()
        work(arg)
        took.append(engine.clock() - started)
    return float(np.percentile(took, 50)) * 1e3, float(np.percentile(took, 95)) * 1e3


def measure(engine: Engine, count: int) -> EngineTimes:
    """All times of a built engine."""
    plain, wrong = queries_of(count)
    best = timed(engine, engine.best, plain)
    has_mask = engine.mask(plain[0], False) is not None
    has_fuzzy = engine.mask(wrong[0], True) is not None
    masks = timed(engine, lambda query: engine.mask(query, False), plain) if has_mask else None
    fuzzy = timed(engine, lambda query: engine.mask(query, True), wrong) if has_fuzzy else None
    return EngineTimes(best, masks, fuzzy, write_times(engine, count) if has_mask else None)


def write_times(engine: Engine, count: int) -> tuple[float, float]:
    """A new text or a removal, and a search that must see it."""
    numbers = np.random.default_rng(12).choice(count, WRITES, replace=False).tolist()

    def write(number: int) -> None:
        product = shop_product(number, version=1)
        word = f"zyxel{number}"
        text = replace(product.text, title=f"{product.text.title} {word}")
        engine.write(number, text)
        mask = engine.mask(word, False)
        if mask is None or not mask[number]:
            raise SystemExit(f"{engine} does not see its write")
        engine.write(number, None)

    return timed(engine, write, numbers)


def row_of(name: str, count: int, texts: Sequence[ProductText]) -> str:
    """Builds and measures an engine: a row of the table."""
    with tempfile.TemporaryDirectory(prefix="words-") as root:
        folder = Path(root) / "files"
        folder.mkdir()
        Path(root).chmod(0o711)
        try:
            engine = ENGINES[name](folder)
        except ImportError:
            return f"| {name} | not installed |"
        try:
            started = engine.clock()
            before = peak_mb()
            engine.build(texts)
            build_s, growth_mb = engine.clock() - started, peak_mb() - before
            measured = measure(engine, count)
            size = engine.size() / count
        finally:
            if isinstance(engine, PostgresText):
                engine.server.stop()
    times = [measured.best, measured.mask, measured.fuzzy, measured.write]
    cells = [f"{pair[0]:.2f} · {pair[1]:.2f}" if pair else "—" for pair in times]
    return f"| {name} | {build_s:.0f} | {growth_mb:.0f} | {size:.0f} | {' | '.join(cells)} |"


def main() -> None:
    """Builds every engine over the same catalogue and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--engines", default=",".join(ENGINES))
    args = parser.parse_args()
    texts = [product.text for product in shop(args.count)]
    command = f"python -m benchmarks.index.words --count {args.count} --engines {args.engines}"
    lines = [
        f"# Words of {args.count:,} products", "",
        f"{head(command)}. Title, brand, category, attributes, 40 words of description; {QUERIES}"
        " queries. Milliseconds, p50 · p95.", "",
        "| engine | build s | peak memory grows by, MB | bytes a product | best 200 |"
        " all matches as a mask | with a typing error | one product put, found, removed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for name in args.engines.split(","):
        lines.append(row_of(name, args.count, texts))
        print(lines[-1], flush=True)
    keep(f"words_{args.count}", lines)


if __name__ == "__main__":
    main()
