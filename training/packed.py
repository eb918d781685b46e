"""Pictures and codes as arrays in a folder, so that one machine draws and another learns.

`NAME_pixels*.npy` (n, h, w, 3) uint8 RGB and `NAME_codes*.npy` (n, h, w) uint8 (`street.SETS`), in
one part or, in the order of their names, in several; or both in `*.npz` files as `NAME_pixels` and
`NAME_codes`. Names: street, validation, people, drawn, lying.

Run: python -m training.packed --out FOLDER --street ../shared/data/people --people 1000
     --drawings 1000 --workers 2
"""

import argparse
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.lying import draw_lying
from training.people import draw_people
from training.street import load_street
from training.workers import spread

HEIGHT, WIDTH = 256, 184
LYING = 256  # a side: edges that SAM is to follow must be sharp
PARTS = {"street": "train", "validation": "validation"}
Source = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Pixels (n, h, w, 3) uint8 RGB and codes (n, h, w) uint8."""


def pack(folder: Path, name: str, source: Source, part: str = "") -> None:
    """Write one source, or a part of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in zip(("pixels", "codes"), source, strict=True):
        np.save(folder / f"{name}_{kind}{part}.npy", array)


def load_packed(folder: Path) -> dict[str, Source]:
    """Every source of a folder by its name.

    Raises:
        ValueError: a source's pixels and codes do not belong together, or there is none.
    """
    parts: dict[tuple[str, str], list[NDArray[np.uint8]]] = defaultdict(list)
    for path in sorted(folder.glob("*.np[yz]")):
        arrays = np.load(path) if path.suffix == ".npz" else {path.stem: np.load(path)}
        for label in arrays:
            name, _, rest = label.partition("_")
            kind = next((each for each in ("pixels", "codes") if rest.startswith(each)), None)
            if kind:
                parts[name, kind].append(arrays[label])
    joined = {key: found[0] if len(found) == 1 else np.concatenate(found)
              for key, found in parts.items()}  # fmt: skip
    names = sorted({name for name, _ in joined})
    if not names:
        raise ValueError(f"{folder} holds no packed pictures")
    sources = {}
    for name in names:
        pixels, codes = joined.get((name, "pixels")), joined.get((name, "codes"))
        if pixels is None or codes is None or pixels.shape[:3] != codes.shape:
            raise ValueError(f"{name}: pixels and codes in {folder} do not belong together")
        sources[name] = pixels, codes
    return sources


def gather(
    street: Path | None, people: int, drawings: int, seed: int, workers: int
) -> dict[str, Source]:
    """Street photographs of two parts, and so many drawn people and lying garments."""
    sources: dict[str, Source] = {}
    if street:
        for name, split in PARTS.items():
            photographs = load_street(street, {split}, HEIGHT, WIDTH)
            sources[name] = photographs.pixels, photographs.codes
    draw = partial(draw_people, height=HEIGHT, width=WIDTH)
    lay = partial(draw_lying, height=LYING, width=LYING)
    if people:
        pixels, codes = spread(draw, people, seed * 1_000_000, workers)
        sources["people"] = pixels, codes
    if drawings:
        pixels, codes = spread(lay, drawings, seed * 1_000_000, workers)
        sources["drawn"] = pixels, codes
    return sources


def main() -> None:
    """Load and draw, and write the arrays; drawn ones as a part that is named after the seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--street", type=Path, help="also pack street and validation from here")
    parser.add_argument("--people", type=int, default=0)
    parser.add_argument("--drawings", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0, help="another one for each process")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    args = parser.parse_args()
    sources = gather(args.street, args.people, args.drawings, args.seed, args.workers)
    for name, source in sources.items():
        drawn = name in ("people", "drawn")
        pack(args.out, name, source, f"_{args.seed:03d}" if drawn else "")


if __name__ == "__main__":
    main()
