"""The appearance flow: what it sees, what it answers, and that cloth comes to lie better by it."""

from functools import cache

import numpy as np
import pytest

from drawing.draw import Garment, draw_with_cover
from drawing.people.people import draw_person
from models.segmenter.shapes import Category, Mask, Pixels
from models.tryon.composite import Composite, compose, lay_out
from models.tryon.person.pose import Labels
from models.tryon.warping.flow import (
    FLAT,
    GRID,
    OUTSIDE,
    STRIDE,
    GridCrop,
    Shift,
    frame_person,
    make_flow_inputs,
    mirror,
)
from models.tryon.warping.flow_network import FlowNetwork, FlowPredictor, load_flow
from models.tryon.warping.splines import FOLDED

SIZE = (256, 192)
NEW_CLOTHES: dict[Category, Garment] = {
    "upper": Garment("jacket", "red", "striped", 5),
    "lower": Garment("shorts", "green", "dotted", 8),
    "dress": Garment("dress", "blue", "checked", 3),
}
KINDS: dict[Category, tuple[int, ...]] = {"upper": (4,), "lower": (5, 6), "dress": (7,)}
SEEDS = range(880_000_000, 880_000_004)


@cache
def _starter() -> FlowPredictor:
    return load_flow()


def _pair(kind: Category, seed: int) -> tuple[Pixels, Labels, Pixels, Mask]:
    person = draw_person(seed, size=SIZE)
    picture, cover = draw_with_cover(NEW_CLOTHES[kind], 160, seed)
    return np.asarray(person.image), person.parse, np.asarray(picture), np.asarray(cover) > 127


def _dressed(kind: Category, seed: int, flow: FlowPredictor | None) -> Composite:
    return compose(*_pair(kind, seed), kind, flow)


@pytest.mark.parametrize("kind", ["upper", "lower", "dress"])
def test_cloth_lies_more_like_worn_cloth(kind: Category) -> None:
    without: list[float] = []
    by_flow: list[float] = []
    for seed in SEEDS:
        beside = [Garment("trousers", "navy", "plain", seed)] if kind == "upper" else []
        worn = draw_person(seed, [NEW_CLOTHES[kind], *beside], SIZE).parse
        truth = np.isin(worn, KINDS[kind])
        for ious, flow in ((without, None), (by_flow, _starter())):
            composite = _dressed(kind, seed, flow)
            cloth = (composite.garment.cover > 0.5) & ~composite.protected
            ious.append(float((cloth & truth).sum() / (cloth | truth).sum()))
            assert composite.garment.torn <= FOLDED
    assert np.mean(by_flow) > np.mean(without) + 0.02


def test_same_picture_every_time() -> None:
    first, second = (_dressed("upper", SEEDS[0], load_flow()) for _ in range(2))
    assert np.array_equal(first.picture, second.picture)
    assert np.array_equal(first.share, second.share)


def test_an_untrained_network_moves_nothing() -> None:
    plain, moved = (
        _dressed("dress", SEEDS[1], flow) for flow in (None, FlowPredictor(FlowNetwork()))
    )
    assert np.array_equal(plain.picture, moved.picture)


def test_weights_name_the_version() -> None:
    assert load_flow().version == _starter().version != FlowPredictor(FlowNetwork()).version


def test_flow_inputs_show_the_first_warp_in_the_window() -> None:
    _, labels, _, mask = _pair("upper", SEEDS[0])
    lay = lay_out(labels, SIZE, mask, "upper")
    inputs = make_flow_inputs(lay.labels, lay.crop, mask, lay.pieces, lay.fits)
    assert inputs.labels.shape == inputs.cover.shape == GRID and inputs.flat.shape == (FLAT, FLAT)
    assert inputs.place.shape == (2, *GRID)
    assert inputs.cover.min() >= 0 and inputs.cover.max() <= 1 and (inputs.cover > 0.9).any()
    inside = inputs.cover > 0.9
    assert (inputs.place[:, inside] > -0.05).all() and (inputs.place[:, inside] < 1.05).all()
    assert set(np.unique(inputs.labels)) <= set(range(OUTSIDE + 1))


def test_a_person_in_the_mirror_is_dressed_in_the_mirror() -> None:
    _, labels, _, mask = _pair("upper", SEEDS[0])
    lay = lay_out(labels, SIZE, mask, "upper")
    inputs = make_flow_inputs(lay.labels, lay.crop, mask, lay.pieces, lay.fits)
    plain, turned = _starter().flow(inputs), _starter().flow(mirror(inputs))
    assert np.abs(plain).max() > 1
    np.testing.assert_allclose(turned[0], -plain[0, :, ::-1], atol=1e-4)
    np.testing.assert_allclose(turned[1], plain[1, :, ::-1], atol=1e-4)


def test_window_holds_the_person_and_goes_both_ways() -> None:
    person = np.zeros((100, 80), bool)
    person[10:90, 30:50] = True
    crop = frame_person(person, (400, 320))
    corners = crop.in_grid(np.array([[120.0, 40.0], [200.0, 360.0]]))
    assert (corners >= 0).all() and (corners < (GRID[1], GRID[0])).all()
    np.testing.assert_allclose(crop.in_frame(corners), [[120, 40], [200, 360]])


def test_shift_is_the_flow_at_a_point_in_pixels() -> None:
    flow = np.zeros((2, GRID[0] // STRIDE, GRID[1] // STRIDE), np.float32)
    flow[0], flow[1] = 2.0, -1.0
    shift = Shift(flow, GridCrop(5.0, 7.0, 1.5))
    np.testing.assert_allclose(shift(np.array([[50.0, 60.0], [-90.0, 900.0]])), [[3, -1.5]] * 2)
