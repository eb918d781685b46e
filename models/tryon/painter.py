"""What a painter gets and gives: the last step of a try-on that a network may do."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from errors import JobStopped, StudioError
from models.segmenter.shapes import Category, Mask, Pixels
from models.tryon.composite import Composite
from models.tryon.person.pose import Labels
from models.tryon.warping.splines import Cover

OnStep = Callable[[int, int], None]
"""Called with the steps done and in total; a `StudioError` or `JobStopped` ends the painting."""


@dataclass(frozen=True)
class Scene:
    """A try-on as a painter sees it.

    person, labels: the person's own picture in the working frame, (h, w, 3), and its parse map at
    any size of the same proportions. garment, mask: the garment's picture and its mask, cropped.
    composite: None for a painter that does not need it. steps: how many run, at least 1.
    """

    person: Pixels
    labels: Labels
    garment: Pixels
    mask: Mask
    category: Category
    composite: Composite | None
    seed: int
    steps: int
    on_step: OnStep

    def required_composite(self) -> Composite:
        """The composite, for a painter that needs it.

        Raises:
            ValueError: the scene has none.
        """
        if self.composite is None:
            raise ValueError("this painter needs a composite")
        return self.composite


@dataclass(frozen=True)
class Painting:
    """A painted scene.

    picture: (h, w, 3), of the person's size. share: (h, w), how much of it shows in the result; the
    photograph stays as it is where it is 0, and where `Composite.protected` is True. steps: the
    names of the steps that ran.
    """

    picture: Pixels
    share: Cover
    steps: tuple[str, ...]


class Painter(Protocol):
    """Finishes try-ons; `models.tryon.inpaint.load_painter` chooses the class."""

    version: str
    """Changes with the weights and how they are used."""
    needs_composite: bool
    """Whether the garment must be laid on the person first, which fails without landmarks."""
    max_batch: int
    """How many scenes it should get in one call; 1 where it gains nothing from more."""

    def kind(self, scene: Scene) -> Hashable:
        """Scenes of one kind may be painted in one call."""
        ...

    def paint(self, scenes: Sequence[Scene]) -> list[Painting | Exception]:
        """The paintings of scenes of one kind; an error of a scene's `on_step` in place of its own.

        A scene gives the same painting alone and among others, up to the last bits of sums.
        """
        ...


class CompositePainter:
    """Returns the composites without painting anything, regardless of seed and steps."""

    version = "composite-1"
    needs_composite = True
    max_batch = 1

    def kind(self, _scene: Scene) -> Hashable:
        """All scenes are of one kind."""
        return None

    def paint(self, scenes: Sequence[Scene]) -> list[Painting | Exception]:
        """The composites' pictures and shares."""
        return [self._paint(scene) for scene in scenes]

    def _paint(self, scene: Scene) -> Painting | Exception:
        composite = scene.required_composite()
        try:
            scene.on_step(0, 1)
        except (StudioError, JobStopped) as error:
            return error
        return Painting(composite.picture, composite.share, ())
