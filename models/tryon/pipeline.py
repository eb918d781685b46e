"""A try-on from decoded pictures: parse, warp, inpaint, repaint, with a word after each step."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from PIL import Image

from errors import Invalid
from models.segmenter.parsing import Parsing
from models.tryon.anatomy import DRESS, LOWER, UPPER, Labels
from models.tryon.composite import Composite, compose
from models.tryon.flow import FlowModel
from models.tryon.garment import CATEGORIES, Category
from models.tryon.inpaint import Painter, Plain
from models.tryon.outline import Mask, bounds
from models.tryon.repaint import repaint
from models.tryon.warp import Picture

Quality = Literal["fast", "balanced", "quality"]
QUALITIES: tuple[Quality, ...] = ("fast", "balanced", "quality")
LEAST_PERSON, LEAST_GARMENT = 64, 32
SURE = 0.85
KINDS: dict[Category, tuple[int, ...]] = {"upper": (UPPER,), "lower": LOWER, "dress": (DRESS,)}


class Parser(Protocol):
    """What tells every pixel's class; `models.segmenter.parser.Parser` is one."""

    version: str
    """Changes with the weights."""

    def parse(self, image: Picture) -> Parsing:
        """An upright RGB picture (h, w, 3) -> its parsing."""
        ...

    def check(self) -> None:
        """Raises:
        RuntimeError: the network no longer does what it should.
        """
        ...


@dataclass(frozen=True)
class Sizes:
    """The longest side of the working frame, and diffusion steps, by quality."""

    fast: int = 768
    balanced: int = 1024
    quality: int = 1536
    balanced_steps: int = 20
    quality_steps: int = 30


@dataclass(frozen=True)
class Asked:
    """What to make of the pictures; category None is guessed from the garment, steps None is the
    quality's.
    """

    category: Category | None = None
    quality: Quality = "balanced"
    seed: int = 0
    steps: int | None = None


@dataclass(frozen=True)
class Dressed:
    """A finished try-on.

    picture: at the person's size. category: given or guessed. steps: what ran, in order.
    timings_ms: by step. composite: what was laid where, for whoever wants to look.
    """

    picture: Image.Image
    category: Category
    steps: tuple[str, ...]
    timings_ms: dict[str, float]
    composite: Composite = field(repr=False)


@dataclass(frozen=True)
class Seen:
    """A person in the working frame (h, w, 3), and what the parser sees there."""

    frame: Picture
    labels: Labels
    parse_ms: float


OnProgress = Callable[[int, int, str], None]
"""Steps done, steps in all, the step that begins; what it raises ends the try-on."""


def _untold(_done: int, _total: int, _message: str) -> None:
    """Nobody wants to know."""


class TryOnPipeline:
    """Holds the networks and nothing of a request; one call at a time."""

    def __init__(
        self, parser: Parser, painter: Painter, sizes: Sizes | None = None,
        flow: FlowModel | None = None,
    ) -> None:  # fmt: skip
        self.parser = parser
        self.painter = painter
        self.flow = flow
        self._plain = Plain()
        self._sizes = sizes or Sizes()
        parts = [painter.version, *([flow.version] if flow else []), parser.version]
        self.version = "+".join(parts)

    def dress(
        self,
        person: Image.Image,
        garment: Image.Image,
        mask: Mask,
        asked: Asked,
        on_progress: OnProgress = _untold,
        seen: Seen | None = None,
    ) -> Dressed:
        """The person in the garment; the same arguments give the same picture.

        Args:
            person, garment: upright RGB pictures of any size.
            mask: (height, width) of the garment picture, True on the garment.
            seen: what `see` made of this person for the same `asked`; else it is done here.

        Raises:
            Invalid: a picture can't be used; the message says which one and why.
        """
        check_sizes(person, garment, mask)
        seen = seen or self.see(person, asked, on_progress)
        clock = _Clock()
        painter = self._plain if asked.quality == "fast" else self.painter
        steps = self._steps_of(asked)
        total = steps + 3
        cloth, cut = _cut_out(garment, mask, max(seen.frame.shape))
        category = self._category_of(asked.category, cloth, cut)
        clock.lap("parseMs", seen.parse_ms)
        on_progress(1, total, "warp")
        composite = compose(seen.frame, seen.labels, cloth, cut, category, self.flow)
        clock.lap("warpMs")

        def on_step(done: int, _of: int) -> None:
            on_progress(2 + min(done, steps), total, "inpaint")

        painted, ran = painter.paint(
            composite, cloth, category, seed=asked.seed, steps=steps, on_step=on_step
        )
        clock.lap("inpaintMs")
        on_progress(2 + steps, total, "repaint")
        picture = repaint(person, painted, composite.share, composite.kept)
        clock.lap("repaintMs")
        how = "affine warp" if composite.garment.affine else "warp"
        names = ("parse", how, "blend", *ran, "repaint")
        return Dressed(picture, category, names, clock.laps_ms, composite)

    def see(self, person: Image.Image, asked: Asked, on_progress: OnProgress = _untold) -> Seen:
        """The part of `dress` that needs no garment: it can run while that is being decoded.

        Raises:
            Invalid: the person's picture is too small.
        """
        check_person(person)
        clock = _Clock()
        on_progress(0, self._steps_of(asked) + 3, "parse")
        frame = _framed(person, getattr(self._sizes, asked.quality))
        labels = self.parser.parse(frame).labels
        clock.lap("parseMs")
        return Seen(frame, labels, clock.laps_ms["parseMs"])

    def _steps_of(self, asked: Asked) -> int:
        """Steps of the network; the composite is one."""
        if asked.quality == "fast" or isinstance(self.painter, Plain):
            return 1
        usual = getattr(self._sizes, f"{asked.quality}_steps")
        return asked.steps or int(usual)

    def _category_of(self, given: Category | None, cloth: Picture, cut: Mask) -> Category:
        """Given or guessed.

        Raises:
            Invalid: the garment is surely of another kind.
        """
        labels = self.parser.parse(cloth).labels
        return fit_category(given, labels, cut)


def fit_category(given: Category | None, labels: Labels, cut: Mask) -> Category:
    """The category by what the parser sees inside the mask, by its shape where it sees nothing.

    Raises:
        Invalid: trousers or a skirt were called a top, or the other way round.
    """
    inside = labels[cut]
    shares = {
        name: float(np.isin(inside, KINDS[name]).mean()) if inside.size else 0.0
        for name in CATEGORIES
    }
    likeliest = max(CATEGORIES, key=lambda name: shares[name])
    if given is None:
        return likeliest if shares[likeliest] > 0.2 else _by_shape(cut)
    opposite = {given, likeliest} == {"upper", "lower"}
    if opposite and shares[likeliest] > SURE:
        raise Invalid(
            f"category: the garment is taken for one of {likeliest}, not {given}; "
            "leave category out, or show another garment"
        )
    return given


def _by_shape(cut: Mask) -> Category:
    """Long and narrow is a dress, anything else a top."""
    x0, y0, x1, y1 = bounds(cut)
    return "dress" if (y1 - y0) > 1.6 * (x1 - x0) else "upper"


def check_sizes(person: Image.Image, garment: Image.Image, mask: Mask) -> None:
    """Raises:
    Invalid: a picture is too small, or the mask is not the garment's.
    """
    check_person(person)
    if min(garment.size) < LEAST_GARMENT:
        raise Invalid(f"garmentUrl: the picture's sides must have at least {LEAST_GARMENT} pixels")
    if mask.shape != (garment.height, garment.width):
        raise Invalid(
            f"maskUrl: the mask has {mask.shape[1]} x {mask.shape[0]} pixels, "
            f"the garment {garment.width} x {garment.height}"
        )
    if not mask.any():
        raise Invalid("maskUrl: the mask is empty")


def check_person(person: Image.Image) -> None:
    """Raises:
    Invalid: the picture is too small.
    """
    if min(person.size) < LEAST_PERSON:
        raise Invalid(f"personUrl: the picture's sides must have at least {LEAST_PERSON} pixels")


def _framed(person: Image.Image, side: int) -> Picture:
    """The person at the working size; a small picture keeps its own."""
    scale = min(1.0, side / max(person.size))
    size = (max(1, round(person.width * scale)), max(1, round(person.height * scale)))
    shown = person if size == person.size else person.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(shown, dtype=np.uint8)


def _cut_out(garment: Image.Image, mask: Mask, side: int) -> tuple[Picture, Mask]:
    """The garment's part of its picture, about as large as it will lie on the person."""
    x0, y0, x1, y1 = bounds(mask)
    margin = max(2, round(0.03 * max(x1 - x0, y1 - y0)))
    box = (
        max(x0 - margin, 0), max(y0 - margin, 0),
        min(x1 + 1 + margin, garment.width), min(y1 + 1 + margin, garment.height),
    )  # fmt: skip
    cloth, cut = garment.crop(box), Image.fromarray(mask.astype(np.uint8) * 255).crop(box)
    scale = min(1.0, 0.7 * side / max(cloth.size))
    size = (max(8, round(cloth.width * scale)), max(8, round(cloth.height * scale)))
    cloth = cloth.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(cloth, np.uint8), np.asarray(cut.resize(size)) > 127


class _Clock:
    """Time between laps."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last_s = time.perf_counter()

    def lap(self, name: str, before_ms: float = 0.0) -> None:
        """What passed since the last one is this one's, with what it has taken before."""
        now_s = time.perf_counter()
        self.laps_ms[name] = round(before_ms + (now_s - self._last_s) * 1000, 2)
        self._last_s = now_s
