"""Drawn people in their own clothes and, known exactly, where another garment would lie on them."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from scipy import ndimage

from drawing.draw import COLOURS, Garment, draw_with_cover
from drawing.people.body import choose_body
from drawing.people.people import DrawnPerson, draw_person
from drawing.people.traced import trace_garment
from errors import Invalid
from models.segmenter.atr import HEAD, HEADWEAR, Atr
from models.segmenter.parser import Parser, ParserConfig, load
from models.segmenter.shapes import Category
from models.tryon.composite import lay_out
from models.tryon.garment.upright import upright
from models.tryon.person.pose import Labels
from models.tryon.warping.flow import GRID, GridCrop, sketch

SIZE, FLAT_SIZE = (384, 288), 256
KINDS: dict[Category, tuple[str, ...]] = {
    "upper": ("t-shirt", "shirt", "jacket"), "lower": ("trousers", "shorts", "skirt"),
    "dress": ("dress",),
}  # fmt: skip
KINDS_DRAWN: tuple[Category, ...] = ("upper", "lower", "lower", "dress")
"""Skirts, shorts and trousers have the least in common, and what they replace even less."""
GIVEN = 0.15
"""So many pairs have the drawn parse map, the others what the starter parser predicts."""
NO, YES, UNKNOWN = 0, 1, 2


class Pairs(NamedTuple):
    """Arrays of uint8, or tensors of them in training, the first axis the pairs'.

    labels, cover, place, flat: `models.tryon.warping.flow.Sketch`, shares as 0..255. source: (n, 2,
    *GRID), where on the flat picture the first warp comes from; wanted: the same for the truth,
    both in pixels of a picture of FLAT_SIZE. seen: (n, *GRID), NO, YES or UNKNOWN: the worn
    garment.
    """

    labels: Any
    cover: Any
    place: Any
    flat: Any
    source: Any
    wanted: Any
    seen: Any


def draw_pairs(count: int, seed: int) -> Pairs:
    """Pairs of people from `seed` on; one whose person is refused is replaced by the next seed's
    of a far-off range.
    """
    drawn = []
    for at in range(count):
        for attempt in range(20):
            pair = _draw_pair(seed + at + attempt * 10_000_019)
            if pair is not None:
                break
        else:
            raise RuntimeError("twenty people in a row were refused")
        drawn.append(pair)
    return Pairs(*(np.stack(each) for each in zip(*drawn, strict=True)))


def _draw_pair(seed: int) -> tuple[NDArray[np.uint8], ...] | None:
    rng = default_rng([seed, 11])
    kind: Category = KINDS_DRAWN[int(rng.integers(len(KINDS_DRAWN)))]
    wanted, beside = _garment(kind, rng), []
    own = [_garment(kind, rng)]
    if kind != "dress" and rng.random() < 0.85:
        beside = [_garment("lower" if kind == "upper" else "upper", rng)]
    elif kind != "upper" and rng.random() < 0.4:
        own = [_garment("upper", rng), _garment("lower", rng)]
    person = draw_person(seed, [*own, *beside], SIZE)
    labels = person.parse if rng.random() < GIVEN else _parse(person)
    picture, cut = draw_with_cover(wanted, FLAT_SIZE, seed)
    columns, rows = np.meshgrid(np.arange(FLAT_SIZE), np.arange(FLAT_SIZE))
    places = np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    places, mask = upright(places, np.asarray(cut.resize(picture.size)) > 127)
    try:
        lay = lay_out(labels, SIZE, mask, kind)
    except Invalid:
        return None
    shown = sketch(lay.labels, lay.crop, mask, lay.pieces, lay.fits)
    traced, truth = trace_garment(seed, [wanted, *beside], wanted, SIZE, FLAT_SIZE, seed)
    place, seen = _in_crop(traced, truth, lay.crop, seed)
    return (
        shown.labels, _bytes(shown.cover), _bytes(shown.place), _bytes(shown.flat),
        _sampled(places, shown.source, shown.cover), place, seen,
    )  # fmt: skip


def _garment(kind: Category, rng: Generator) -> Garment:
    colour, category = str(rng.choice(COLOURS)), str(rng.choice(KINDS[kind]))
    return Garment(category, colour, "plain", int(rng.integers(1 << 30)))


def _parse(person: DrawnPerson) -> Labels:
    return _parser().parse(np.asarray(person.image)).labels


@cache
def _parser() -> Parser:
    return load(ParserConfig(max_batch=1, device="cpu"))


def _bytes(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.round(shares * 255), 0, 255).astype(np.uint8)


def _sampled(
    places: NDArray[np.uint8], source: NDArray[np.float32], cover: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """The upright picture's places in the flat one at the first warp's source, (2, *GRID)."""
    at = source / np.maximum(cover, 1e-3)
    found = [
        ndimage.map_coordinates(places[..., axis].astype(np.float32), at[::-1], order=1)
        for axis in (0, 1)
    ]
    return np.clip(np.round(np.stack(found)), 0, 255).astype(np.uint8)


def _in_crop(
    traced: NDArray[np.float32], truth: NDArray[np.uint8], crop: GridCrop, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The truth in the crop: places (2, *GRID) and what is seen (*GRID).

    What hair, a bag or an arm before the torso hides is unknown, and what the frame cuts off.
    """
    columns, rows = np.meshgrid(np.arange(GRID[1], dtype=float), np.arange(GRID[0], dtype=float))
    points = crop.in_frame(np.stack([columns, rows], axis=-1).reshape(-1, 2))
    x, y = points.round().astype(int).T
    within = (x >= 0) & (x < SIZE[1]) & (y >= 0) & (y < SIZE[0])
    x, y = np.clip(x, 0, SIZE[1] - 1), np.clip(y, 0, SIZE[0] - 1)
    there = traced[y, x]
    cloth = ~np.isnan(there[:, 0])
    hiding = [int(each) for each in HEAD | HEADWEAR | {Atr.BAG, Atr.SCARF, Atr.BELT}]
    body = choose_body(default_rng([seed, 1]))
    for arm, front in zip((Atr.RIGHT_ARM, Atr.LEFT_ARM), body.in_front, strict=True):
        hiding += [int(arm)] if front else []
    hidden = np.isin(truth[y, x], hiding) | ~within
    seen = np.where(cloth, YES, np.where(hidden, UNKNOWN, NO)).astype(np.uint8).reshape(GRID)
    place = np.nan_to_num(there).T.reshape(2, *GRID)
    return np.clip(np.round(place), 0, 255).astype(np.uint8), seen
