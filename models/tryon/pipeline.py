"""A try-on of decoded pictures in four steps: parse, warp, inpaint, repaint."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from PIL import Image

from errors import Invalid
from models.segmenter.atr import CATEGORIES, category_shares, mask_of
from models.segmenter.parsing import Parsing
from models.segmenter.shapes import Category, Mask, Pixels
from models.tryon.checks import check_garment, check_person
from models.tryon.composite import compose
from models.tryon.fill import NEVER_PAINTED
from models.tryon.outline import bounds
from models.tryon.painter import CompositePainter, Painter, Painting, Scene
from models.tryon.person.pose import Labels, resized
from models.tryon.pictures import crop_garment, scale_person
from models.tryon.repaint import repaint
from models.tryon.shapes import GarmentPicture, TryOnOptions
from models.tryon.warping.flow import FlowModel
from models.tryon.warping.splines import Cover, WarpedLayer

SURE = 0.85
"""If another category has more than this share, the caller's category may be refused."""
LEAST_LIKELY = 0.2
"""If the likeliest category has at most this share, the mask's shape decides the category."""


class HumanParser(Protocol):
    """Labels every pixel; `models.segmenter.parser.Parser` is one."""

    version: str
    """Changes with the weights."""

    def parse(self, image: Pixels) -> Parsing:
        """An upright RGB picture (h, w, 3) -> its parsing."""
        ...

    def check(self) -> None:
        """Checks the network with a trial run.

        Raises:
            RuntimeError: the network is broken.
        """
        ...


@dataclass(frozen=True)
class Sizes:
    """The longest side of the working frame, and the diffusion steps that run, by quality."""

    fast: int = 768
    balanced: int = 1024
    quality: int = 1536
    balanced_steps: int = 12
    quality_steps: int = 18


@dataclass(frozen=True)
class DressedPerson:
    """A finished try-on.

    picture: at the person's size. category: the caller's, or the guessed one. steps: the names of
    the steps in order. timings_ms: by step. share, protected: as in `Painting` and `Composite`.
    garment: the warped layer; None where the painter needed none.
    """

    picture: Image.Image
    category: Category
    steps: tuple[str, ...]
    timings_ms: dict[str, float]
    share: Cover = field(repr=False)
    protected: Mask = field(repr=False)
    garment: WarpedLayer | None = field(repr=False)


@dataclass(frozen=True)
class ParsedPerson:
    """A person in the working frame (h, w, 3), and the frame's parse map."""

    frame: Pixels
    labels: Labels
    parse_ms: float


OnProgress = Callable[[int, int, str], None]
"""Called with the steps done, the steps in total and the step that begins; a `StudioError` or
`JobStopped` ends the try-on."""


def _no_progress(_done: int, _total: int, _message: str) -> None:
    """Ignores the progress."""


@dataclass(frozen=True)
class PreparedTryOn:
    """A try-on that is ready to be painted."""

    person: Image.Image
    scene: Scene
    painter: Painter
    on_progress: OnProgress
    clock: "_Clock"


class TryOnPipeline:
    """The loaded networks; holds no state of a request.

    `paint` takes one call at a time, and so do the other methods; both may run side by side.
    """

    def __init__(
        self, parser: HumanParser, painter: Painter, sizes: Sizes | None = None,
        flow: FlowModel | None = None,
    ) -> None:  # fmt: skip
        self.parser = parser
        self.painter = painter
        self.flow = flow
        self._plain = CompositePainter()
        self._sizes = sizes or Sizes()
        parts = [painter.version, *([flow.version] if flow else []), parser.version]
        self.version = "+".join(parts)

    def dress(
        self,
        person: Image.Image,
        garment: GarmentPicture,
        options: TryOnOptions,
        on_progress: OnProgress = _no_progress,
        parsed: ParsedPerson | None = None,
    ) -> DressedPerson:
        """The person in the garment; the same arguments give the same picture.

        Args:
            person, garment: upright RGB pictures of any size.
            parsed: the result of `parse_person` for this person and the same options; None parses
                the person here.

        Raises:
            Invalid: a picture can't be used; the error has a subject.
        """
        prepared = self.prepare(person, garment, options, on_progress, parsed)
        return self.finish(prepared, self.paint([prepared])[0])

    def prepare(
        self, person: Image.Image, garment: GarmentPicture, options: TryOnOptions,
        on_progress: OnProgress = _no_progress, parsed: ParsedPerson | None = None,
    ) -> PreparedTryOn:  # fmt: skip
        """The part of `dress` before the painting; raises as `dress`."""
        check_person(person)
        check_garment(garment)
        parsed = parsed or self.parse_person(person, options, on_progress)
        clock = _Clock()
        painter = self._painter_of(options)
        steps = self._count_steps(options)
        total = steps + 3
        cloth, cut = crop_garment(garment, max(parsed.frame.shape))
        category = self._category_of(options, cloth, cut)
        clock.lap("parseMs", parsed.parse_ms)
        composite = None
        if painter.needs_composite:
            on_progress(1, total, "warp")
            composite = compose(parsed.frame, parsed.labels, cloth, cut, category, self.flow)
            clock.lap("warpMs")

        def on_step(done: int, _of: int) -> None:
            on_progress(2 + min(done, steps), total, "inpaint")

        scene = Scene(
            parsed.frame, parsed.labels, cloth, cut, category, composite, options.seed, steps,
            on_step,
        )  # fmt: skip
        return PreparedTryOn(person, scene, painter, on_progress, clock)

    def kind(self, prepared: PreparedTryOn) -> Hashable:
        """Try-ons of one kind may be painted in one call."""
        return prepared.painter.version, prepared.painter.kind(prepared.scene)

    def paint(self, prepared: Sequence[PreparedTryOn]) -> list[Painting | Exception]:
        """Paints try-ons of one kind; an error in place of a painting belongs to that try-on."""
        return prepared[0].painter.paint([one.scene for one in prepared])

    def finish(self, prepared: PreparedTryOn, painting: Painting | Exception) -> DressedPerson:
        """The part of `dress` after the painting, whose error it raises."""
        if isinstance(painting, Exception):
            raise painting
        scene, clock = prepared.scene, prepared.clock
        clock.lap("inpaintMs")
        prepared.on_progress(2 + scene.steps, scene.steps + 3, "repaint")
        protected = _protected(scene)
        picture = repaint(prepared.person, painting.picture, painting.share, protected)
        clock.lap("repaintMs")
        layer = scene.composite.garment if scene.composite else None
        warp = ("affine warp" if layer.affine else "warp", "blend") if layer else ()
        names = ("parse", *warp, *painting.steps, "repaint")
        return DressedPerson(
            picture, scene.category, names, clock.laps_ms, painting.share, protected, layer
        )

    def parse_person(
        self, person: Image.Image, options: TryOnOptions, on_progress: OnProgress = _no_progress
    ) -> ParsedPerson:
        """The part of `dress` that needs no garment: it can run while the garment is decoded.

        Raises:
            Invalid: the person's picture is too small.
        """
        check_person(person)
        clock = _Clock()
        on_progress(0, self._count_steps(options) + 3, "parse")
        frame = scale_person(person, getattr(self._sizes, options.quality))
        labels = self.parser.parse(frame).labels
        clock.lap("parseMs")
        return ParsedPerson(frame, labels, clock.laps_ms["parseMs"])

    def _painter_of(self, options: TryOnOptions) -> Painter:
        return self._plain if options.quality == "fast" else self.painter

    def _count_steps(self, options: TryOnOptions) -> int:
        """Steps of the painter; the composite counts as one."""
        if isinstance(self._painter_of(options), CompositePainter):
            return 1
        default = getattr(self._sizes, f"{options.quality}_steps")
        return options.steps or int(default)

    def _category_of(self, options: TryOnOptions, cloth: Pixels, cut: Mask) -> Category:
        """The caller's category or a guess, by the Segmenter's shares where it cut the garment out,
        else by parsing the garment.

        Raises:
            Invalid: about the category: the garment clearly belongs to another category.
        """
        shares = options.category_shares
        if shares is None:
            shares = category_shares(self.parser.parse(cloth).labels[cut])
        return fit_category(options.category, shares, cut)


def fit_category(
    category: Category | None, shares: Mapping[Category, float], cut: Mask
) -> Category:
    """The caller's category, else the likeliest category by the shares or by the mask's shape.

    Raises:
        Invalid: about the category: the caller calls clear trousers or a clear skirt a top, or the
            reverse.
    """
    likeliest = max(CATEGORIES, key=lambda name: shares.get(name, 0.0))
    share = shares.get(likeliest, 0.0)
    if category is None:
        return likeliest if share > LEAST_LIKELY else _by_shape(cut)
    if {category, likeliest} == {"upper", "lower"} and share > SURE:
        raise Invalid(
            f"the garment looks like category {likeliest}, not {category}; "
            "leave category out, or show another garment"
        ).about("category")
    return category


def _protected(scene: Scene) -> Mask:
    """The composite's protected pixels, or else those of classes that are never painted."""
    if scene.composite is not None:
        return scene.composite.protected
    height, width = scene.person.shape[:2]
    return mask_of(resized(scene.labels, (height, width)), NEVER_PAINTED)


def _by_shape(cut: Mask) -> Category:
    """A dress if the mask is long and narrow, else a top."""
    x0, y0, x1, y1 = bounds(cut)
    return "dress" if (y1 - y0) > 1.6 * (x1 - x0) else "upper"


class _Clock:
    """Measures the time of consecutive steps."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last_s = time.perf_counter()

    def lap(self, name: str, before_ms: float = 0.0) -> None:
        """Records the time since the last lap under a name, plus `before_ms`."""
        now_s = time.perf_counter()
        self.laps_ms[name] = round(before_ms + (now_s - self._last_s) * 1000, 2)
        self._last_s = now_s
