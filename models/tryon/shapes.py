"""Shapes of try-on: the garment's picture, the order, its steps and its result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from models.segmenter.shapes import Category, Mask

Quality = Literal["fast", "balanced", "quality"]


@dataclass(frozen=True)
class GarmentPicture:
    """A garment's picture, RGB, and its mask: (height, width), True on the garment."""

    image: Image.Image
    mask: Mask


@dataclass(frozen=True)
class TryOnOptions:
    """How to dress a person.

    category: None lets the pipeline guess it. steps: of diffusion that run; None takes the
    quality's default. category_shares: how much of the garment is a top, trousers or a dress, where
    a Segmenter has cut it out; None lets the pipeline parse it.
    """

    category: Category | None = None
    quality: Quality = "balanced"
    seed: int = 0
    steps: int | None = None
    category_shares: Mapping[Category, float] | None = None


@dataclass(frozen=True, kw_only=True)
class TryOnOrder(TryOnOptions):
    """A try-on whose pictures are in the blob store; the payload of a queued one.

    mask_key: the garment's mask, of the garment's size. segment_ms: how long the pictures took
    before TryOn, segmentation included.
    """

    person_key: str
    garment_key: str
    mask_key: str
    segment_ms: float = 0.0


@dataclass(frozen=True)
class TryOnTicket:
    """Where a try-on's picture is written, and its place in the queue.

    accepted_s: seconds of the epoch; an owner's earliest try-on comes first. network: where the
    request came from; empty for a job.
    """

    output_key: str
    accepted_s: float
    owner: str = ""
    network: str = ""


@dataclass(frozen=True)
class TryOnStep:
    """Progress of a try-on: steps done, the total number of steps, and the step that begins."""

    done: int
    total: int
    message: str


@dataclass(frozen=True)
class TryOnResult:
    """A finished try-on: steps, milliseconds by step, the networks' version, the blob's size."""

    category: str
    width: int
    height: int
    steps: list[str]
    timings: dict[str, float]
    model_version: str
    size_bytes: int


@dataclass(frozen=True)
class TryOnLoad:
    """The number of try-ons that wait or run at the TryOn replica that answers, and the limits of
    direct try-ons.
    """

    waiting: int
    direct_waiting: int
    direct_pixels: int
    model_version: str
