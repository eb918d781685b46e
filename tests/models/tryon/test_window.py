"""The part of a frame that is painted: around the change, within the frame, of few sizes."""

import numpy as np
import pytest

from models.tryon.window import PROPORTIONS, find_window


@pytest.mark.parametrize("seed", range(20))
def test_a_window_holds_the_change_and_has_one_of_a_few_sizes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(length) for length in rng.integers(60, 400, 2))
    change = np.zeros((height, width), bool)
    top, left = int(rng.integers(0, height - 20)), int(rng.integers(0, width - 20))
    change[top : int(rng.integers(top + 1, height)), left : int(rng.integers(left + 1, width))] = (
        True
    )
    window = find_window(change, 1024)
    x0, y0, x1, y1 = window.box
    inside = np.zeros_like(change)
    inside[max(y0, 0) : y1, max(x0, 0) : x1] = True
    assert inside[change].all()
    assert (x0 >= 0 and x1 <= width) or (x0 <= 0 and x1 >= width)
    assert (y0 >= 0 and y1 <= height) or (y0 <= 0 and y1 >= height)
    assert max(window.size) == 1024
    assert (window.size[0] / window.size[1]) in PROPORTIONS
    ratio = window.size[0] / window.size[1]
    assert x1 - x0 == pytest.approx((y1 - y0) * ratio, abs=max(ratio, 1.0))


def test_what_is_put_back_changes_nothing_outside_of_the_window() -> None:
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 255, (200, 40, 3), np.uint8)
    change = np.zeros((200, 40), bool)
    change[30:100, 2:38] = True  # the window is wider than the frame
    window = find_window(change, 128)
    x0, y0, x1, y1 = window.box
    assert x0 < 0 and x1 > 40
    assert window.cut(frame).size == window.cut_mask(change).size == window.size
    result = window.put_back(window.cut(frame).point(lambda level: 255 - level), frame)
    outside = np.ones((200, 40), bool)
    outside[y0:y1] = False
    np.testing.assert_array_equal(result[outside], frame[outside])
    assert (result[~outside] != frame[~outside]).any()
