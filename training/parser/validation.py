"""Validation of a parser: IoU on photographs with ground truth."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.segmenter.atr import NAMES, PERSON, UPPER, Atr
from training.parser.augment import normalise
from training.photos.street import Street, ground_truth


def predict(
    network: Any, pixels: NDArray[np.uint8], size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """(n, h, w, 3) uint8 RGB -> the likeliest class of each pixel (n, h, w) uint8."""
    answers = []
    device = next(network.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(pixels), 8):
            pictures = torch.from_numpy(pixels[start : start + 8]).to(device)
            pictures = pictures.permute(0, 3, 1, 2) / 255
            if size is not None:
                pictures = torch.nn.functional.interpolate(pictures, size, mode="bilinear")
            logits = network(pixel_values=normalise(pictures)).logits
            large = torch.nn.functional.interpolate(logits, pixels.shape[1:3], mode="bilinear")
            answers.append(large.argmax(1).to(torch.uint8).cpu().numpy())
    return np.concatenate(answers)


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks of one shape; NaN where both are empty."""
    union = int((first | second).sum())
    return float((first & second).sum()) / union if union else float("nan")


def report(network: Any, street: Street, size: tuple[int, int]) -> str:
    """IoU of person and upper body (over all pixels; mean of pictures), and of each class."""
    classes = predict(network, street.pixels, size)
    parts = []
    for name, group in (("person", PERSON), ("upper", UPPER)):
        truth, certain = ground_truth(street.codes, group)
        mask = np.isin(classes, sorted(group)) & certain
        means = [iou(a, b) for a, b in zip(mask, truth, strict=True) if b.any()]
        parts.append(f"{name} {iou(mask, truth):.3f} (mean {np.mean(means):.3f})")
    single = []
    for label in Atr:
        truth, certain = ground_truth(street.codes, {label})
        single.append(f"{NAMES[label]} {iou((classes == label) & certain, truth):.2f}")
    return ", ".join(parts) + "\n  " + ", ".join(single)
