"""Try-on's steps: splines that don't fold, repaint that changes nothing else, what is refused."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drawing.draw import Garment, draw_with_cover
from drawing.people.people import DrawnPerson, draw_person
from errors import CancelRequested, Invalid
from models.segmenter.parsing import Parsing
from models.tryon.anatomy import ARMS, FACE, LEFT_ARM, PANTS, UPPER
from models.tryon.body import find_body
from models.tryon.fill import skin_colour
from models.tryon.garment import CATEGORIES, Category
from models.tryon.inpaint import Plain
from models.tryon.joints import find_shoulders
from models.tryon.landmarks import Piece
from models.tryon.loading import check_pipeline, square_shirt, stick_figure
from models.tryon.pipeline import Asked, Dressed, Quality, TryOnPipeline, fit_category
from models.tryon.repaint import changed_area, repaint
from models.tryon.warp import FOLDED, Layer, Move, Picture, fit_piece, fit_spline, warp_piece

SIZE = (256, 192)
WORN = {"upper": "shirt", "lower": "trousers", "dress": "dress"}
NEW = {"upper": "t-shirt", "lower": "skirt", "dress": "dress"}


@dataclass
class GivenParser:
    """Knows the maps of the pictures it is shown; everything else is background."""

    labels: NDArray[np.uint8]
    version: str = "given"

    def parse(self, image: NDArray[np.uint8]) -> Parsing:
        height, width = image.shape[:2]
        there = (height > width) == (self.labels.shape[0] > self.labels.shape[1])
        labels = self.labels if there else np.zeros((8, 8), np.uint8)
        planes = np.stack([labels == number for number in range(18)]).astype(np.float32)
        return Parsing(planes, height, width)

    def check(self) -> None:
        """Nothing can break."""


def dressed_in(category: str, seed: int = 3) -> DrawnPerson:
    return draw_person(seed, [Garment(WORN[category], "red", "plain", 5)], SIZE, full_figure=True)


def try_on(
    person: DrawnPerson, category: Category, quality: Quality = "fast", scale: float = 1.0
) -> tuple[Image.Image, Dressed, TryOnPipeline]:
    picture, cover = draw_with_cover(Garment(NEW[category], "blue", "striped", 8), 160, 1)
    size = (round(person.image.width * scale), round(person.image.height * scale))
    shown = person.image.resize(size, Image.Resampling.BICUBIC)
    pipeline = TryOnPipeline(GivenParser(person.parse), Plain())
    asked = Asked(category, quality, seed=7)
    mask = np.asarray(cover) > 127
    return shown, pipeline.dress(shown, picture, mask, asked), pipeline


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize(("quality", "scale"), [("fast", 1.0), ("balanced", 2.37), ("quality", 1)])
def test_nothing_but_the_mask_changes(category: Category, quality: Quality, scale: float) -> None:
    person = dressed_in(category)
    shown, made, pipeline = try_on(person, category, quality, scale)
    before, after = np.asarray(shown), np.asarray(made.picture)
    assert made.picture.size == shown.size
    area = changed_area(shown.size, made.composite.share, made.composite.kept)
    np.testing.assert_array_equal(before[~area], after[~area])
    face = pipeline.parser.parse(before).labels == FACE
    np.testing.assert_array_equal(before[face], after[face])
    assert (before != after).any(-1).mean() > 0.02
    again = try_on(person, category, quality, scale)[1]
    np.testing.assert_array_equal(after, np.asarray(again.picture))


def test_a_person_may_be_parsed_before_the_garment_is_there() -> None:
    person = dressed_in("upper")
    picture, cover = draw_with_cover(Garment("t-shirt", "blue", "striped", 8), 160, 1)
    pipeline, asked = TryOnPipeline(GivenParser(person.parse), Plain()), Asked("upper", "fast")
    told: list[tuple[int, int, str]] = []
    args = (person.image, picture, np.asarray(cover) > 127, asked)
    at_once = pipeline.dress(*args, lambda *step: told.append(step))
    steps, told = told, []
    seen = pipeline.see(person.image, asked, lambda *step: told.append(step))
    made = pipeline.dress(*args, lambda *step: told.append(step), seen)
    np.testing.assert_array_equal(np.asarray(made.picture), np.asarray(at_once.picture))
    assert told == steps
    assert made.timings_ms["parseMs"] >= seen.parse_ms


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


def _warped(cloth: Picture, piece: Piece, shift: Move | None = None) -> Layer:
    return warp_piece(cloth, piece, fit_piece(piece, (80, 80)), (80, 80), shift)


def test_repaint_keeps_what_is_kept_at_another_size() -> None:
    rng = np.random.default_rng(0)
    person = Image.fromarray(rng.integers(0, 255, (301, 199, 3), np.uint8))
    share, kept = np.zeros((90, 60), np.float32), np.zeros((30, 20), bool)
    share[20:70, 10:50] = 0.6
    kept[10:14] = True
    result = np.asarray(repaint(person, np.zeros((90, 60, 3), np.uint8), share, kept))
    area = changed_area(person.size, share, kept)
    assert 0.2 < area.mean() < 0.5 and not area[102:138].any()
    np.testing.assert_array_equal(result[~area], np.asarray(person)[~area])
    unchanged = repaint(person, np.zeros((90, 60, 3), np.uint8), share * 0, kept)
    np.testing.assert_array_equal(np.asarray(unchanged), np.asarray(person))


def test_landmarks_of_a_drawn_person_are_near_the_true_ones() -> None:
    far = []
    for seed in range(12):
        person = dressed_in("upper", seed)
        found = find_body(person.parse)
        tips = [person.landmarks["right_shoulder"], person.landmarks["left_shoulder"]]
        unit = abs(tips[0][0] - tips[1][0])
        off = np.abs(np.array(tips) - found.shoulders) / unit
        far.append(off.max())
    assert np.median(far) < 0.3, far


def test_what_cannot_be_used_is_named() -> None:
    person, labels = stick_figure()
    cloth, mask = square_shirt()
    shown, garment = Image.fromarray(person), Image.fromarray(cloth)

    def refusal(
        picture: Image.Image = shown, parse: NDArray[np.uint8] = labels,
        cut: NDArray[np.bool_] = mask,
    ) -> str:  # fmt: skip
        pipeline = TryOnPipeline(GivenParser(parse), Plain())
        with pytest.raises(Invalid) as refused:
            pipeline.dress(picture, garment, cut, Asked("upper", "fast"))
        return refused.value.detail

    assert "personUrl: no person" in refusal(parse=np.zeros_like(labels))
    assert "personUrl: the picture shows two" in refusal(
        Image.fromarray(np.tile(person, (1, 2, 1))), np.tile(labels, (1, 2))
    )
    assert "personUrl" in refusal(shown.resize((40, 60)))
    assert refusal(cut=mask[:-1]).startswith("maskUrl: the mask has 96 x 95 pixels")
    assert "maskUrl: the mask is empty" in refusal(cut=np.zeros_like(mask))
    assert "garmentUrl" in refusal(cut=np.ones_like(mask))


def test_a_category_is_guessed_and_an_impossible_one_refused() -> None:
    cut = np.ones((20, 10), bool)
    trousers, shirt = (np.full((20, 10), kind, np.uint8) for kind in (PANTS, UPPER))
    assert fit_category(None, trousers, cut) == "lower"
    assert fit_category(None, shirt, cut) == "upper"
    assert fit_category("dress", shirt, cut) == "dress"
    with pytest.raises(Invalid, match="category"):
        fit_category("upper", trousers, cut)


def test_a_try_on_ends_at_the_step_where_it_is_cancelled() -> None:
    person, labels = stick_figure()
    cloth, mask = square_shirt()
    told: list[str] = []

    def stop(_done: int, _total: int, message: str) -> None:
        told.append(message)
        if message == "inpaint":
            raise CancelRequested("enough")

    pipeline = TryOnPipeline(GivenParser(labels), Plain())
    with pytest.raises(CancelRequested):
        pipeline.dress(Image.fromarray(person), Image.fromarray(cloth), mask, Asked("upper"), stop)
    assert told == ["parse", "warp", "inpaint"]
    check_pipeline(pipeline)


def test_red_arms_beside_a_pale_face_are_sleeves() -> None:
    labels = np.zeros((60, 60), np.uint8)
    labels[5:25, 20:40] = FACE
    labels[30:55, 5:20] = LEFT_ARM
    person = np.zeros((60, 60, 3), np.uint8)
    person[labels == FACE] = (220, 180, 150)
    person[labels == LEFT_ARM] = (200, 30, 30)
    assert skin_colour(person, labels, ARMS) == pytest.approx((220, 180, 150))
    person[labels == LEFT_ARM] = (176, 144, 120)
    assert skin_colour(person, labels, ARMS) == pytest.approx((176, 144, 120))


def test_shoulders_of_someone_turned_aside_are_below_the_head() -> None:
    labels = np.zeros((300, 160), np.uint8)
    labels[20:50, 68:92] = FACE
    labels[54:120, 66:94] = UPPER
    labels[96:110, 40:120] = UPPER  # elbows
    labels[120:200, 64:96] = PANTS
    shoulders, _ = find_shoulders(labels)
    assert shoulders[:, 1].max() < 75
