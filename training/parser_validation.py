"""What a parser reaches on pictures with known codes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.atr import NAMES, PERSON, UPPER
from training.parse_views import normalise
from training.street import ANYTHING, SETS, Street

_ALLOWED = np.zeros((len(SETS), 18), np.bool_)
for _code, _classes in enumerate(SETS):
    _ALLOWED[_code, sorted(_classes)] = True


def predict(
    network: Any, pixels: NDArray[np.uint8], size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """(n, h, w, 3) uint8 RGB -> the likeliest class of each pixel (n, h, w) uint8."""
    answers = []
    with torch.inference_mode():
        for start in range(0, len(pixels), 8):
            pictures = torch.from_numpy(pixels[start : start + 8]).permute(0, 3, 1, 2) / 255
            if size is not None:
                pictures = torch.nn.functional.interpolate(pictures, size, mode="bilinear")
            logits = network(pixel_values=normalise(pictures)).logits
            large = torch.nn.functional.interpolate(logits, pixels.shape[1:3], mode="bilinear")
            answers.append(large.argmax(1).to(torch.uint8).numpy())
    return np.concatenate(answers)


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks of one shape; NaN where both are empty."""
    union = int((first | second).sum())
    return float((first & second).sum()) / union if union else float("nan")


def report(network: Any, street: Street, size: tuple[int, int]) -> str:
    """Person and upper-body IoU (all pixels together; mean over pictures), per class IoU."""
    classes = predict(network, street.pixels, size)
    known = street.codes != ANYTHING
    worn = (street.codes != 0) & known
    person, upper = np.isin(classes, sorted(PERSON)) & known, np.isin(classes, sorted(UPPER))
    truth = street.codes == min(UPPER)
    parts = []
    for name, found, said in (("person", person, worn), ("upper", upper, truth)):
        means = [iou(a, b) for a, b in zip(found, said, strict=True) if b.any()]
        parts.append(f"{name} {iou(found, said):.3f} (mean {np.mean(means):.3f})")
    single = [f"{NAMES[c]} {iou(classes == c, street.codes == c):.2f}" for c in range(18)]
    return "validation: " + ", ".join(parts) + "\n  " + ", ".join(single)
