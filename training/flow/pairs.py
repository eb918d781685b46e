"""Training pairs for the flow: drawn people, and the exact place of another garment on them."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from scipy import ndimage

from drawing.draw import COLOURS, Garment, draw_with_cover
from drawing.people.body import choose_body
from drawing.people.correspondence import trace_garment
from drawing.people.people import DrawnPerson, draw_person
from errors import Invalid
from models.segmenter.atr import HEAD, HEADWEAR, Atr
from models.segmenter.parser import Parser, ParserConfig, load
from models.segmenter.shapes import Category
from models.tryon.composite import lay_out
from models.tryon.garment.upright import upright
from models.tryon.person.pose import Labels
from models.tryon.warping.flow import GRID, GridCrop, make_flow_inputs

SIZE, FLAT_SIZE = (384, 288), 256
KINDS: dict[Category, tuple[str, ...]] = {
    "upper": ("t-shirt", "shirt", "jacket"), "lower": ("trousers", "shorts", "skirt"),
    "dress": ("dress",),
}  # fmt: skip
KINDS_DRAWN: tuple[Category, ...] = ("upper", "lower", "lower", "dress")
"""Lower garments are drawn more often: they differ the most from each other."""
DRAWN_PARSE_SHARE = 0.15
"""The share of pairs with the drawn parse map; the others have the starter parser's."""
NO, YES, UNKNOWN = 0, 1, 2


class FlowPairs(NamedTuple):
    """n pairs as uint8 arrays, or as tensors during training.

    labels, cover, place, flat: see `models.tryon.warping.flow.FlowInputs`, shares as 0..255.
    source: (n, 2, *GRID), the first warp's coordinates in the flat picture; target: the true ones,
    both in pixels of a picture of FLAT_SIZE. visible: (n, *GRID), whether the worn garment is
    visible: NO, YES or UNKNOWN.
    """

    labels: Any
    cover: Any
    place: Any
    flat: Any
    source: Any
    target: Any
    visible: Any


def draw_pairs(count: int, seed: int) -> FlowPairs:
    """Pairs of the people from `seed` on; a person that the try-on refuses is replaced by another,
    from a distant range of seeds.
    """
    pairs = []
    for at in range(count):
        for attempt in range(20):
            pair = _draw_pair(seed + at + attempt * 10_000_019)
            if pair is not None:
                break
        else:
            raise RuntimeError("twenty people in a row were refused")
        pairs.append(pair)
    return FlowPairs(*(np.stack(arrays) for arrays in zip(*pairs, strict=True)))


def _draw_pair(seed: int) -> tuple[NDArray[np.uint8], ...] | None:
    rng = default_rng([seed, 11])
    kind: Category = KINDS_DRAWN[int(rng.integers(len(KINDS_DRAWN)))]
    garment, beside = _garment(kind, rng), []
    own = [_garment(kind, rng)]
    if kind != "dress" and rng.random() < 0.85:
        beside = [_garment("lower" if kind == "upper" else "upper", rng)]
    elif kind != "upper" and rng.random() < 0.4:
        own = [_garment("upper", rng), _garment("lower", rng)]
    person = draw_person(seed, [*own, *beside], SIZE)
    labels = person.parse if rng.random() < DRAWN_PARSE_SHARE else _parse(person)
    picture, cut = draw_with_cover(garment, FLAT_SIZE, seed)
    columns, rows = np.meshgrid(np.arange(FLAT_SIZE), np.arange(FLAT_SIZE))
    places = np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    places, mask = upright(places, np.asarray(cut.resize(picture.size)) > 127)
    try:
        lay = lay_out(labels, SIZE, mask, kind)
    except Invalid:
        return None
    first = make_flow_inputs(lay.labels, lay.crop, mask, lay.pieces, lay.fits)
    traced, truth = trace_garment(seed, [garment, *beside], garment, SIZE, FLAT_SIZE, seed)
    place, visible = _in_crop(traced, truth, lay.crop, seed)
    return (
        first.labels, _bytes(first.cover), _bytes(first.place), _bytes(first.flat),
        _sampled(places, first.source, first.cover), place, visible,
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
    """The first warp's coordinates in the flat picture, (2, *GRID).

    places: the flat coordinates of the upright picture's pixels.
    """
    points = source / np.maximum(cover, 1e-3)
    sampled = [
        ndimage.map_coordinates(places[..., axis].astype(np.float32), points[::-1], order=1)
        for axis in (0, 1)
    ]
    return np.clip(np.round(np.stack(sampled)), 0, 255).astype(np.uint8)


def _in_crop(
    traced: NDArray[np.float32], truth: NDArray[np.uint8], crop: GridCrop, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The ground truth in the crop: coordinates (2, *GRID) and visibility (*GRID).

    Cloth that hair, a bag or an arm in front hides is UNKNOWN, and so is cloth outside the frame.
    """
    x, y = crop.points().round().astype(int).T
    within = (x >= 0) & (x < SIZE[1]) & (y >= 0) & (y < SIZE[0])
    x, y = np.clip(x, 0, SIZE[1] - 1), np.clip(y, 0, SIZE[0] - 1)
    there = traced[y, x]
    cloth = ~np.isnan(there[:, 0])
    hiding = [int(label) for label in HEAD | HEADWEAR | {Atr.BAG, Atr.SCARF, Atr.BELT}]
    body = choose_body(default_rng([seed, 1]))
    for arm, front in zip((Atr.RIGHT_ARM, Atr.LEFT_ARM), body.in_front, strict=True):
        hiding += [int(arm)] if front else []
    hidden = np.isin(truth[y, x], hiding) | ~within
    visible = np.where(cloth, YES, np.where(hidden, UNKNOWN, NO)).astype(np.uint8).reshape(GRID)
    place = np.nan_to_num(there).T.reshape(2, *GRID)
    return np.clip(np.round(place), 0, 255).astype(np.uint8), visible
