"""The steps of a try-on: splines without folds, repainting, categories, and refusals."""

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drawing.draw import Garment, draw_with_cover
from drawing.people.people import DrawnPerson, draw_person
from errors import CancelRequested, Invalid
from models.segmenter.atr import ARMS, CATEGORIES, Atr, category_shares
from models.segmenter.shapes import Category, Pixels
from models.tryon.fill import skin_colour
from models.tryon.loading import check_pipeline, square_shirt, stick_figure
from models.tryon.painter import CompositePainter, Painting, Scene
from models.tryon.person.body import find_body
from models.tryon.person.joints import find_shoulders
from models.tryon.person.pose import resized
from models.tryon.pipeline import DressedPerson, TryOnPipeline, fit_category
from models.tryon.repaint import repaint
from models.tryon.shapes import GarmentPicture, Quality, TryOnOptions
from models.tryon.warping.placement import Piece
from models.tryon.warping.splines import (
    FOLDED,
    Move,
    WarpedLayer,
    fit_piece,
    fit_spline,
    warp_piece,
)
from tests.models.tryon.support import FixedParser, changed_area

SIZE = (256, 192)
WORN = {"upper": "shirt", "lower": "trousers", "dress": "dress"}
NEW = {"upper": "t-shirt", "lower": "skirt", "dress": "dress"}


def dressed_in(category: str, seed: int = 3) -> DrawnPerson:
    return draw_person(seed, [Garment(WORN[category], "red", "plain", 5)], SIZE, full_figure=True)


def try_on(
    person: DrawnPerson, category: Category, quality: Quality = "fast", scale: float = 1.0
) -> tuple[Image.Image, DressedPerson, TryOnPipeline]:
    picture, cover = draw_with_cover(Garment(NEW[category], "blue", "striped", 8), 160, 1)
    size = (round(person.image.width * scale), round(person.image.height * scale))
    photo = person.image.resize(size, Image.Resampling.BICUBIC)
    pipeline = TryOnPipeline(FixedParser(person.parse), CompositePainter())
    options = TryOnOptions(category, quality, seed=7)
    mask = np.asarray(cover) > 127
    return photo, pipeline.dress(photo, GarmentPicture(picture, mask), options), pipeline


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize(("quality", "scale"), [("fast", 1.0), ("balanced", 2.37), ("quality", 1)])
def test_nothing_but_the_mask_changes(category: Category, quality: Quality, scale: float) -> None:
    person = dressed_in(category)
    photo, result, pipeline = try_on(person, category, quality, scale)
    before, after = np.asarray(photo), np.asarray(result.picture)
    assert result.picture.size == photo.size
    area = changed_area(photo.size, result.share, result.protected)
    np.testing.assert_array_equal(before[~area], after[~area])
    face = pipeline.parser.parse(before).labels == Atr.FACE
    np.testing.assert_array_equal(before[face], after[face])
    assert (before != after).any(-1).mean() > 0.02
    again = try_on(person, category, quality, scale)[1]
    np.testing.assert_array_equal(after, np.asarray(again.picture))


def test_a_person_may_be_parsed_before_the_garment_is_there() -> None:
    person = dressed_in("upper")
    picture, cover = draw_with_cover(Garment("t-shirt", "blue", "striped", 8), 160, 1)
    pipeline = TryOnPipeline(FixedParser(person.parse), CompositePainter())
    options = TryOnOptions("upper", "fast")
    steps, later_steps = list[tuple[int, int, str]](), list[tuple[int, int, str]]()
    args = (person.image, GarmentPicture(picture, np.asarray(cover) > 127), options)
    at_once = pipeline.dress(*args, lambda *step: steps.append(step))
    parsed = pipeline.parse_person(person.image, options, lambda *step: later_steps.append(step))
    result = pipeline.dress(*args, lambda *step: later_steps.append(step), parsed)
    np.testing.assert_array_equal(np.asarray(result.picture), np.asarray(at_once.picture))
    assert later_steps == steps
    assert result.timings_ms["parseMs"] >= parsed.parse_ms


def test_a_garment_that_the_segmenter_has_parsed_is_not_parsed_again() -> None:
    person = dressed_in("upper")
    picture, cover = draw_with_cover(Garment("skirt", "blue", "striped", 8), 160, 1)
    garment = GarmentPicture(picture, np.asarray(cover) > 127)
    parser = FixedParser(person.parse)
    pipeline = TryOnPipeline(parser, CompositePainter())
    pipeline.dress(person.image, garment, TryOnOptions("lower", "fast"))
    assert parser.calls == 2
    shares: dict[Category, float] = {"upper": 0.1, "lower": 0.9, "dress": 0.0}
    options = TryOnOptions(None, "fast", category_shares=shares)
    assert pipeline.dress(person.image, garment, options).category == "lower"
    assert parser.calls == 3
    with pytest.raises(Invalid, match="looks like category lower") as refusal:
        pipeline.dress(person.image, garment, replace(options, category="upper"))
    assert refusal.value.subject == "category"


@pytest.mark.parametrize("seed", range(4))
def test_a_spline_goes_through_its_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = rng.uniform(0, 300, (9, 2)), rng.uniform(0, 300, (9, 2))
    np.testing.assert_allclose(fit_spline(source, target, 0.0)(source), target, atol=1e-6)
    turned = source @ np.array([[0.8, 0.3], [-0.2, 1.1]]) + [4.0, -7.0]
    np.testing.assert_allclose(fit_spline(source, turned, np.inf)(source), turned, atol=1e-6)
    np.testing.assert_allclose(fit_spline(source, turned, 0.1)(source), turned, atol=1e-6)


def test_a_map_that_folds_gives_way_to_a_stiffer_one() -> None:
    corners = np.array([[5, 5], [75, 5], [5, 75], [75, 75], [40, 20], [40, 60]], float)
    crossed = corners.copy()
    crossed[4], crossed[5] = [40, 70], [40, 10]
    mask = np.zeros((80, 80), bool)
    mask[4:77, 4:77] = True
    cloth = np.full((80, 80, 3), 90, np.uint8)
    layer = _warped(cloth, Piece(mask, corners, crossed))
    assert layer.folds > FOLDED and layer.affine
    straight = _warped(cloth, Piece(mask, corners, corners))
    assert straight.folds == 0 and not straight.affine
    assert (straight.cover > 0.5).sum() == pytest.approx(mask.sum(), rel=0.06)


def test_a_shift_moves_the_cloth_unless_it_would_fold_over() -> None:
    corners = np.array([[5, 5], [75, 5], [5, 75], [75, 75]], float)
    mask = np.zeros((80, 80), bool)
    mask[4:77, 4:77] = True
    piece = Piece(mask, corners, corners / 2 + 20)
    cloth = np.full((80, 80, 3), 90, np.uint8)
    still = _warped(cloth, piece)
    moved = _warped(cloth, piece, lambda points: np.tile([7.0, 0.0], (len(points), 1)))
    assert np.allclose(moved.cover[:, :-7], still.cover[:, 7:], atol=1e-3)
    folding = _warped(cloth, piece, lambda points: (points - 40) * (-9.0, 0.0))
    assert folding.torn <= FOLDED and np.allclose(folding.cover, still.cover)


def _warped(cloth: Pixels, piece: Piece, shift: Move | None = None) -> WarpedLayer:
    return warp_piece(cloth, piece, fit_piece(piece, (80, 80)), (80, 80), shift)


def test_repaint_keeps_what_is_kept_at_another_size() -> None:
    rng = np.random.default_rng(0)
    person = Image.fromarray(rng.integers(0, 255, (301, 199, 3), np.uint8))
    share, protected = np.zeros((90, 60), np.float32), np.zeros((30, 20), bool)
    share[20:70, 10:50] = 0.6
    protected[10:14] = True
    result = np.asarray(repaint(person, np.zeros((90, 60, 3), np.uint8), share, protected))
    area = changed_area(person.size, share, protected)
    assert 0.2 < area.mean() < 0.5 and not area[102:138].any()
    np.testing.assert_array_equal(result[~area], np.asarray(person)[~area])
    unchanged = repaint(person, np.zeros((90, 60, 3), np.uint8), share * 0, protected)
    np.testing.assert_array_equal(np.asarray(unchanged), np.asarray(person))


def test_landmarks_of_a_drawn_person_are_near_the_true_ones() -> None:
    far = []
    for seed in range(12):
        person = dressed_in("upper", seed)
        pose = find_body(person.parse)
        tips = [person.landmarks["right_shoulder"], person.landmarks["left_shoulder"]]
        unit = abs(tips[0][0] - tips[1][0])
        off = np.abs(np.array(tips) - pose.shoulders) / unit
        far.append(off.max())
    assert np.median(far) < 0.3, far


def test_what_cannot_be_used_is_named() -> None:
    person, labels = stick_figure()
    cloth, mask = square_shirt()
    photo, garment = Image.fromarray(person), Image.fromarray(cloth)

    def refusal(
        picture: Image.Image = photo, parse: NDArray[np.uint8] = labels,
        cut: NDArray[np.bool_] = mask,
    ) -> str:  # fmt: skip
        pipeline = TryOnPipeline(FixedParser(parse), CompositePainter())
        with pytest.raises(Invalid) as refused:
            pipeline.dress(picture, GarmentPicture(garment, cut), TryOnOptions("upper", "fast"))
        return f"{refused.value.subject}: {refused.value.detail}"

    assert "person: no person" in refusal(parse=np.zeros_like(labels))
    assert "person: the picture shows two" in refusal(
        Image.fromarray(np.tile(person, (1, 2, 1))), np.tile(labels, (1, 2))
    )
    assert "person" in refusal(photo.resize((40, 60)))
    assert refusal(cut=mask[:-1]).startswith("mask: the mask has 96 x 95 pixels")
    assert "mask: the mask is empty" in refusal(cut=np.zeros_like(mask))
    assert "garment" in refusal(cut=np.ones_like(mask))


def test_a_category_is_guessed_and_an_impossible_one_refused() -> None:
    cut = np.ones((20, 10), bool)
    trousers, shirt = (np.full((20, 10), kind, np.uint8) for kind in (Atr.PANTS, Atr.UPPER_CLOTHES))
    of_trousers, of_shirt = category_shares(trousers[cut]), category_shares(shirt[cut])
    assert fit_category(None, of_trousers, cut) == "lower"
    assert fit_category(None, of_shirt, cut) == "upper"
    assert fit_category("dress", of_shirt, cut) == "dress"
    with pytest.raises(Invalid, match="category") as refusal:
        fit_category("upper", of_trousers, cut)
    assert refusal.value.subject == "category"


def test_an_unknown_garment_is_judged_by_its_shape() -> None:
    wide, tall = np.ones((20, 20), bool), np.ones((40, 10), bool)
    for labels in (np.zeros(8, np.uint8), np.zeros(0, np.uint8)):
        shares = category_shares(labels)
        assert fit_category(None, shares, wide) == "upper"
        assert fit_category(None, shares, tall) == "dress"
        assert fit_category("upper", shares, tall) == "upper"


def test_a_try_on_ends_at_the_step_where_it_is_cancelled() -> None:
    person, labels = stick_figure()
    cloth, mask = square_shirt()
    messages: list[str] = []

    def stop(_done: int, _total: int, message: str) -> None:
        messages.append(message)
        if message == "inpaint":
            raise CancelRequested("enough")

    pipeline = TryOnPipeline(FixedParser(labels), CompositePainter())
    with pytest.raises(CancelRequested):
        garment = GarmentPicture(Image.fromarray(cloth), mask)
        pipeline.dress(Image.fromarray(person), garment, TryOnOptions("upper"), stop)
    assert messages == ["parse", "warp", "inpaint"]
    check_pipeline(pipeline)


def test_red_arms_beside_a_pale_face_are_sleeves() -> None:
    labels = np.zeros((60, 60), np.uint8)
    labels[5:25, 20:40] = Atr.FACE
    labels[30:55, 5:20] = Atr.LEFT_ARM
    person = np.zeros((60, 60, 3), np.uint8)
    person[labels == Atr.FACE] = (220, 180, 150)
    person[labels == Atr.LEFT_ARM] = (200, 30, 30)
    assert skin_colour(person, labels, ARMS) == pytest.approx((220, 180, 150))
    person[labels == Atr.LEFT_ARM] = (176, 144, 120)
    assert skin_colour(person, labels, ARMS) == pytest.approx((176, 144, 120))


def test_shoulders_of_someone_turned_aside_are_below_the_head() -> None:
    labels = np.zeros((300, 160), np.uint8)
    labels[20:50, 68:92] = Atr.FACE
    labels[54:120, 66:94] = Atr.UPPER_CLOTHES
    labels[96:110, 40:120] = Atr.UPPER_CLOTHES  # elbows
    labels[120:200, 64:96] = Atr.PANTS
    shoulders, _ = find_shoulders(labels)
    assert shoulders[:, 1].max() < 75


class DirectPainter:
    """Paints all but the top red from the photograph alone, as networks without a warp do."""

    version = "direct"
    needs_composite = False
    max_batch = 1

    def kind(self, _scene: Scene) -> Hashable:
        return None

    def paint(self, scenes: Sequence[Scene]) -> list[Painting | Exception]:
        return [self._paint(scene) for scene in scenes]

    def _paint(self, scene: Scene) -> Painting:
        assert scene.composite is None
        share = np.ones(scene.person.shape[:2], np.float32)
        share[:9] = 0.0
        red = np.full_like(scene.person, (200, 20, 20))
        return Painting(red, share, ("direct",))


def test_a_painter_may_need_no_composite_and_decide_what_shows() -> None:
    """Longer sleeves than the warp lays would be cut off; and where landmarks fail, it has none."""
    person = dressed_in("upper")
    picture, cover = draw_with_cover(Garment("t-shirt", "blue", "striped", 8), 160, 1)
    garment = GarmentPicture(picture, np.asarray(cover) > 127)
    head = np.where(np.isin(person.parse, [Atr.FACE, Atr.HAIR]), person.parse, 0)
    for labels in (person.parse, head.astype(np.uint8)):
        pipeline = TryOnPipeline(FixedParser(labels), DirectPainter())
        result = pipeline.dress(person.image, garment, TryOnOptions("upper", "balanced"))
        before, after = np.asarray(person.image), np.asarray(result.picture)
        face = resized(labels, before.shape[:2]) == Atr.FACE
        np.testing.assert_array_equal(before[face], after[face])
        area = changed_area(person.image.size, result.share, result.protected)
        np.testing.assert_array_equal(before[~area], after[~area])
        np.testing.assert_array_equal(before[:5], after[:5])
        assert (before != after).mean() > 0.5 and result.garment is None
        assert result.steps == ("parse", "direct", "repaint")
        assert result.timings_ms.keys() == {"parseMs", "inpaintMs", "repaintMs"}
    with pytest.raises(Invalid, match="no person"):  # the composite needs landmarks
        pipeline.dress(person.image, garment, TryOnOptions("upper", "fast"))
