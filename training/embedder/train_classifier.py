"""The recipe of the starter embedder's second network, a classifier of kinds of garments.

It is trained on the same photographs as the first network (`training.embedder.train`), but on no
texts, colours or patterns, so that its whole capacity serves the kinds, the hardest part.

Run: python -m training.embedder.train_classifier --photos ../shared/data/clothing
     --people ../shared/data/people --out /tmp/kinds.safetensors
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from drawing.captions import NOUN_OF_KIND, NOUNS
from models.checkpoints.weights import write_tensors
from models.embedder.backbone import kinds_resnet
from training.augment import DRAWING, GENTLE, PHOTO, augment
from training.embedder.drawings import DRAWING_SIZE, PHOTO_SIZE, draw_pool
from training.embedder.retrieval import image_precision
from training.embedder.validation import resize
from training.mixup import mix_pairs
from training.photos.photos import join, load_photos, sample_photos
from training.photos.street_garments import load_street_garments
from training.trainer import Schedule, Trainer

PHOTOS, DRAWINGS = 104, 24  # pictures of a batch
DRAWN = 0.5  # weight of the drawings' loss, beside 1 for the photographs
MIXED = 0.75  # the share of steps whose photographs are mixed in pairs
WORN_ODDS = 0.5  # the sampling weight of worn garments, 1 for others
SMOOTHING, DROPPED_PATHS = 0.1, 0.05
GENTLE_FROM = 0.85  # of the run: photographs are augmented less
SIZES = ((0.0, 80), (0.25, 96), (0.55, 112), (0.8, 128))  # from this share of the run on


class ClassifierTrainer(Trainer):
    """Trains the classifier on photographs and drawings."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        super().__init__(
            kinds_resnet(drop_path_rate=DROPPED_PATHS),
            Schedule(
                minutes=args.minutes,
                learning_rate=args.learning_rate,
                ema_decay=0.999,
                beta2=0.999,
                warm_up=0.03,
            ),
        )
        self._rng, self._generator = default_rng(args.seed), torch.Generator()
        self._generator.manual_seed(args.seed)
        worn = load_street_garments(args.people, PHOTO_SIZE)
        train = load_photos(args.photos, {"train"}, PHOTO_SIZE)
        self.validation = load_photos(args.photos, {"validation"}, PHOTO_SIZE)
        photos = join([worn, train, self.validation])
        self._pixels, self._kinds = photos.pixels, number(photos.labels)
        self._weights = np.array([photos.labels.count(label) ** -0.2 for label in photos.labels])
        self._weights[: len(worn.files)] *= WORN_ODDS
        self._fold_in: float = args.fold_in
        drawings = draw_pool(args.instances, DRAWING_SIZE, args.seed * 1_000_000 + 500_000)
        shape = drawings.pixels.shape
        self._drawn = drawings.pixels.reshape(-1, *shape[3:])
        of_combination = number([traits.kind for traits in drawings.traits])
        self._drawn_kinds = np.repeat(of_combination, shape[1] * shape[2])

    @property
    def size(self) -> int:
        """The pictures' side at the current share of the run."""
        return [pixels for start, pixels in SIZES if self.share >= start][-1]

    def losses(self) -> dict[str, torch.Tensor]:
        """The losses of photographs, most of them mixed in pairs, and of drawings."""
        rest = 0 if self.share >= self._fold_in else len(self.validation.files)
        rows = sample_photos(self._weights, PHOTOS, self._rng, without_last=rest)
        strength = PHOTO if self.share < GENTLE_FROM else GENTLE
        photographs = augment(self._pixels[rows], self.size, strength, self._generator)
        kinds, other, share = torch.from_numpy(self._kinds[rows]), torch.arange(PHOTOS), 1.0
        if self._rng.random() < MIXED:
            photographs, other, share = mix_pairs(photographs, self._rng)
        drawn = self._rng.choice(len(self._drawn), DRAWINGS, replace=False)
        drawings = augment(self._drawn[drawn], self.size, DRAWING, self._generator)
        pictures = torch.cat([photographs, drawings]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.network.train()(pictures)
        first, second, exact = (
            cross_entropy(predicted.float(), truth, label_smoothing=SMOOTHING)
            for predicted, truth in (
                (logits[:PHOTOS], kinds), (logits[:PHOTOS], kinds[other]),
                (logits[PHOTOS:], torch.from_numpy(self._drawn_kinds[drawn])),
            )
        )  # fmt: skip
        return {"photographs": share * first + (1.0 - share) * second, "drawings": DRAWN * exact}

    def report(self) -> str:
        """Accuracy and precision at 10 on the validation photographs."""
        odds = torch.cat([
            self.ema(part).softmax(1)
            for part in resize(self.validation.pixels, self.size)
        ]).numpy()  # fmt: skip
        right = float((odds.argmax(1) == number(self.validation.labels)).mean())
        units = odds / np.linalg.norm(odds, axis=1, keepdims=True)
        near = image_precision(units, np.array(self.validation.labels))
        return f"  validation photographs: right {right:.3f}, P@10 {near:.3f}"


def number(labels: list[str]) -> NDArray[np.int64]:
    """Each label's place among NOUNS."""
    return np.array([NOUNS.index(NOUN_OF_KIND[label]) for label in labels])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "kinds")
    parser.add_argument("--minutes", type=float, default=60.0, help="of CPU time")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--fold-in",
        type=float,
        default=0.7,
        help="the share of the run after which the validation photographs join the training",
    )
    parser.add_argument("--instances", type=int, default=8, help="drawn garments a combination")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Trains, reports on the validation split, and writes the averaged weights."""
    args = _parse()
    torch.set_num_threads(args.threads)
    trainer = ClassifierTrainer(args)

    def save_and_report() -> str:
        write_tensors(args.out, trainer.ema.state_dict())
        with torch.inference_mode():
            return trainer.report()

    trainer.train(args.work, save_and_report)


if __name__ == "__main__":
    main()
