"""Drawn people: exact maps, the same person in other clothes, landmarks where the body is."""

import numpy as np
import pytest

from drawing.draw import Garment
from drawing.people.people import complete_outfit, draw_person, kind_of
from models.segmenter.atr import BODY, CATEGORIES, CLOTHES, NAMES, PERSON, Atr
from models.segmenter.shapes import Category
from training.photos.street import MIRRORED_CODES, SETS

SIZE = (192, 136)
TOP = Garment("t-shirt", "red", "striped", 3)


def test_the_same_arguments_draw_the_same_person() -> None:
    first, second = (draw_person(5, [TOP], SIZE) for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()
    assert np.array_equal(first.parse, second.parse)
    assert np.asarray(first.image).shape == (*SIZE, 3)
    assert first.parse.shape == SIZE


@pytest.mark.parametrize("seed", range(6))
def test_another_garment_changes_nothing_but_where_one_of_them_is(seed: int) -> None:
    other = Garment("shirt", "blue", "plain", 8)
    one, two = (draw_person(seed, [garment], SIZE, full_figure=True) for garment in (TOP, other))
    changed = np.abs(np.asarray(one.image, int) - np.asarray(two.image, int)).max(-1) > 0
    about = np.zeros(SIZE, bool)
    for person in (one, two):
        about |= np.isin(person.parse, [Atr.UPPER_CLOTHES, Atr.LEFT_ARM, Atr.RIGHT_ARM, Atr.FACE])
    grown = np.zeros_like(about)
    for dy in (-2, -1, 0, 1, 2):
        for dx in (-2, -1, 0, 1, 2):
            grown |= np.roll(about, (dy, dx), (0, 1))
    # a belt or a waistband is hidden by one top and not by the other
    assert (changed & ~grown).sum() < 0.01 * changed.sum()
    assert changed.any()
    assert one.landmarks == two.landmarks


@pytest.mark.parametrize(
    ("garment", "kind"),
    [(TOP, "upper"), (Garment("dress", "green"), "dress"), (Garment("skirt", "pink"), "lower"),
     (Garment("trousers", "navy"), "lower"), (Garment("shorts", "grey"), "lower"),
     (Garment("jacket", "black"), "upper")],
)  # fmt: skip
def test_a_garment_is_where_its_kind_belongs(garment: Garment, kind: Category) -> None:
    assert kind_of(garment) == kind
    for seed in range(4):
        person = draw_person(seed, [garment], SIZE, full_figure=True)
        worn = np.isin(person.parse, sorted(CATEGORIES[kind]))
        assert worn.sum() > 150
        others: dict[Category, Category] = {"upper": "dress", "dress": "upper", "lower": "dress"}
        other = others[kind]
        assert not np.isin(person.parse, sorted(CATEGORIES[other])).any()


def test_many_people_show_every_class() -> None:
    classes = {int(c) for seed in range(40) for c in np.unique(draw_person(seed, (), SIZE).parse)}
    assert classes == set(range(len(NAMES)))


def test_the_wearers_left_is_on_the_pictures_right() -> None:
    for seed in range(8):
        person = draw_person(seed, (), SIZE, full_figure=True)
        middle = [np.nonzero(person.parse == c)[1].mean()
                  for c in (Atr.LEFT_SHOE, Atr.RIGHT_SHOE)]  # fmt: skip
        assert middle[0] > middle[1]
        assert person.landmarks["left_shoulder"][0] > person.landmarks["right_shoulder"][0]


def test_landmarks_lie_on_the_person() -> None:
    for seed in range(8):
        person = draw_person(seed, (), SIZE, full_figure=True)
        for name in ("neck", "left_knee", "right_knee", "left_elbow", "right_shoulder"):
            x, y = (round(at) for at in person.landmarks[name])
            near = person.parse[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4]
            assert near.size == 0 or (near > 0).any(), (seed, name)


def test_an_outfit_is_completed_and_never_doubled() -> None:
    for seed in range(20):
        for garments in ([], [TOP], [Garment("dress", "red")], [Garment("skirt", "red")]):
            kinds = [kind_of(garment) for garment in complete_outfit(seed, garments)]
            assert kinds in (["dress"], ["lower", "upper"])


def test_groups_and_codes_are_whole() -> None:
    assert sorted(PERSON) == list(range(1, 18))
    assert not BODY & CLOTHES
    assert [SETS[code] for code in range(18)] == [frozenset({c}) for c in Atr]
    assert np.array_equal(MIRRORED_CODES[MIRRORED_CODES], np.arange(len(SETS)))
