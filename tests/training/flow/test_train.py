"""The flow's recipe: ground truth of worn cloth, pairs and their mirror images, and training."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from drawing.draw import Garment, draw_garment
from drawing.people.correspondence import trace_garment
from drawing.people.people import draw_person
from models.tryon.warping.flow import FLAT, GRID, STRIDE
from models.tryon.warping.flow_network import FlowNetwork
from training.flow.pairs import NO, YES, FlowPairs, draw_pairs
from training.flow.train import FlowSchedule, FlowTrainer, measure, mirror, move, predict


@pytest.fixture(scope="module")
def pairs() -> FlowPairs:
    """Three drawn pairs."""
    return draw_pairs(count=3, seed=60_000_000)


def _tensors(pairs: FlowPairs) -> FlowPairs:
    return FlowPairs(*(torch.from_numpy(array) for array in pairs))


@pytest.mark.parametrize(("category", "pattern"), [("t-shirt", "dotted"), ("skirt", "striped")])
def test_traced_cloth_has_the_flat_picture_s_colours(category: str, pattern: str) -> None:
    garment = Garment(category, "yellow", pattern, 4)
    worn = draw_person(31, [garment], (384, 288))
    traced, parse = trace_garment(31, [garment], garment, (384, 288), 256, 9)
    assert np.array_equal(parse, worn.parse)
    visible = ndimage.binary_erosion(~np.isnan(traced[..., 0]), iterations=3)
    flat = np.asarray(draw_garment(garment, 256, 9), np.float32).mean(-1)
    x, y = traced[visible].T
    expected = ndimage.map_coordinates(flat, (y, x), order=1)
    actual = np.asarray(worn.image, np.float32).mean(-1)[visible]
    assert np.corrcoef(expected, actual)[0, 1] > 0.75
    assert abs(np.corrcoef(expected[::-1], actual)[0, 1]) < 0.3


def test_pairs_are_the_same_for_a_seed(pairs: FlowPairs) -> None:
    again = draw_pairs(count=1, seed=60_000_001)
    for once, twice in zip(pairs, again, strict=True):
        assert np.array_equal(once[1], twice[0])


def test_pairs_have_their_shapes(pairs: FlowPairs) -> None:
    assert pairs.labels.shape == pairs.cover.shape == pairs.visible.shape == (3, *GRID)
    assert pairs.place.shape == pairs.source.shape == pairs.target.shape == (3, 2, *GRID)
    assert pairs.flat.shape == (3, FLAT, FLAT)
    assert (pairs.visible == YES).any((1, 2)).all() and (pairs.visible == NO).any((1, 2)).all()


def test_a_mirror_image_s_mirror_image_is_the_pair(pairs: FlowPairs) -> None:
    tensors = _tensors(pairs)
    for once, twice in zip(tensors, mirror(mirror(tensors)), strict=True):
        assert torch.equal(once, twice) or (once.int() - twice.int()).abs().max() <= 1


def test_the_truth_measures_nothing(pairs: FlowPairs) -> None:
    tensors = _tensors(pairs)
    cover = torch.where(tensors.visible == YES, 255, 0).to(torch.uint8)
    perfect = tensors._replace(cover=cover, source=tensors.target)
    still = torch.zeros(3, 2, GRID[0] // STRIDE, GRID[1] // STRIDE)
    losses = measure(still, perfect)
    assert float(losses["cover"]) == pytest.approx(0, abs=1e-5) and float(losses["bend"]) == 0
    assert float(losses["place"]) == pytest.approx(0, abs=1e-2)
    assert float(measure(still + 4, perfect)["cover"]) > 0.1


def test_move_looks_aside() -> None:
    planes = torch.zeros(1, 1, *GRID)
    planes[0, 0, 50, 60] = 1.0
    flow = torch.zeros(1, 2, GRID[0] // STRIDE, GRID[1] // STRIDE)
    flow[:, 0], flow[:, 1] = 3.0, -2.0
    assert float(move(planes, flow)[0, 0, 52, 57]) == pytest.approx(1.0, abs=1e-3)


# Slow: 40 steps of training on a CPU.
def test_a_run_learns_its_pairs(pairs: FlowPairs) -> None:
    torch.manual_seed(0)
    trainer = FlowTrainer(
        FlowNetwork(),
        pairs,
        FlowSchedule(minutes=1.0, batch=4, learning_rate=2e-3, warm_up=0.01),
        seed=0,
    )

    def loss() -> float:
        with torch.no_grad():
            losses = measure(predict(trainer.network.train(), _tensors(pairs)), _tensors(pairs))
        return float(losses["place"] + losses["cover"])

    first = loss()
    for _ in range(40):
        trainer.step()
    assert loss() < 0.9 * first
