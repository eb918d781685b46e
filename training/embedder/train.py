"""Trains the starter embedder's first network: a small open_clip model of drawings and photographs.

Run: python -m training.embedder.train --photos ../shared/data/clothing
     --people ../shared/data/people --out /tmp/looks
Then `training.embedder.train_classifier` trains the second network, and
`training.embedder.assemble` puts both together.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import torch

import models.embedder.backbone  # noqa: F401 - registers the image network
from models.checkpoints.weights import LOCAL_PREFIX, write_tensors
from models.embedder.embedder import build_tokenizer
from training.embedder.drawings import DRAWING_SIZE, PHOTO_SIZE, draw_pool
from training.embedder.trainer import EmbedderSchedule, EmbedderTrainer
from training.embedder.validation import report
from training.photos.photos import Photos, join, load_photos
from training.photos.street_garments import load_street_garments

ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 256,
    "vision_cfg": {
        "timm_model_name": "studio_resnet", "timm_model_pretrained": False,
        "timm_pool": "avg", "timm_proj": "", "image_size": 128,
    },
    "text_cfg": {
        "context_length": 20, "vocab_size": 3000, "width": 128, "heads": 4, "layers": 2,
        "tokenizer_kwargs": {"clean": "canonicalize"},
    },
}  # fmt: skip
PREPROCESSING: dict[str, Any] = {
    "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic",
    "resize_mode": "squash",
}  # fmt: skip


def save(network: Any, folder: Path, architecture: dict[str, Any] = ARCHITECTURE) -> None:
    """Writes the network in open_clip's published format: config and float16 safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_config(folder, architecture)
    write_tensors(folder / "open_clip_model.safetensors", network.state_dict())


def _write_config(folder: Path, architecture: dict[str, Any] = ARCHITECTURE) -> None:
    config = {"model_cfg": architecture, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def _tokenizer() -> Callable[[list[str]], torch.Tensor]:
    """The tokenizer that loading the finished folder builds."""
    with tempfile.TemporaryDirectory() as folder:
        _write_config(Path(folder))
        return build_tokenizer(f"{LOCAL_PREFIX}{folder}", ARCHITECTURE)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "embedder")
    parser.add_argument("--start", type=Path, help="a checkpoint (state.pt) to start from")
    parser.add_argument("--minutes", type=float, default=60.0, help="of CPU time")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--fold-in",
        type=float,
        default=0.7,
        help="the share of the run after which the validation photographs join the training",
    )
    parser.add_argument("--instances", type=int, default=24, help="drawn garments a combination")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _prepare(args: argparse.Namespace, train: Photos, validation: Photos) -> EmbedderTrainer:
    worn = load_street_garments(args.people, PHOTO_SIZE)
    photos = join([worn, train, validation])
    drawings = draw_pool(args.instances, DRAWING_SIZE, args.seed * 1_000_000)
    print(f"{len(train.files)} + {len(validation.files)} photographs, {len(worn.files)} worn "
          f"garments, {drawings.pixels[..., 0, 0, 0].size} drawings", flush=True)  # fmt: skip
    torch.manual_seed(args.seed)
    network = open_clip.CLIP(**deepcopy(ARCHITECTURE))
    if args.start:
        network.load_state_dict(torch.load(args.start, weights_only=True)["average"])
    schedule = EmbedderSchedule(
        minutes=args.minutes, learning_rate=args.learning_rate, fold_in=args.fold_in
    )
    if args.start:  # it has learnt from small pictures already
        schedule = replace(schedule, sizes=((0.0, 96), (0.3, 112), (0.7, 128)))
    return EmbedderTrainer(
        network, _tokenizer(), photos, len(worn.files), len(validation.files), drawings, schedule,
        args.seed,
    )  # fmt: skip


def main() -> None:
    """Trains, reports on the validation split, and writes the averaged weights."""
    args = _parse()
    torch.set_num_threads(args.threads)
    train = load_photos(args.photos, {"train"}, PHOTO_SIZE)
    validation = load_photos(args.photos, {"validation"}, PHOTO_SIZE)
    trainer, tokenize = _prepare(args, train, validation), _tokenizer()

    def save_and_report() -> str:
        save(trainer.ema, args.out)
        return report(trainer.ema, tokenize, validation, trainer.schedule.size_at(trainer.share))

    trainer.train(args.work, save_and_report)


if __name__ == "__main__":
    main()
