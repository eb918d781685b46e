"""The recipe of the starter parser: a small network from drawings and photographs.

Run: python -m training.parser.train --street ../shared/data/people
     --flat-lays ../shared/data/clothing --out models/starter/parser
On a machine with a GPU: --device cuda --workers 12 --batch 4
"""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drawing.people.people import draw_people
from models.checkpoints.weights import STARTER_FOLDER, read_tensors, write_tensors
from models.segmenter.atr import NAMES
from models.segmenter.parser_network import ConvParser, ConvParserConfig
from training.parser.trainer import LARGE, SIZES, ParserSchedule, ParserTrainer
from training.parser.validation import report
from training.photos.flat_lay import draw_flat_lays, load_flat_lays
from training.photos.no_garment import beside_people, draw_without_garment, squash
from training.photos.pseudo_labels import load_unlabelled
from training.photos.street import Source, load_street
from training.workers import draw_in_processes

HEIGHT, WIDTH = 256, 184  # pixels in memory
FLAT_LAY_HEIGHT, FLAT_LAY_WIDTH = 208, 150
INPUT = (288, 208)  # training pictures are enlarged on average, so the input in use is larger
BATCH = {"street": 8, "people": 3, "drawn": 1, "flat-lay": 2, "empty": 1}
CONTEXT = 1  # layers
EMPTY = 500  # drawn pictures without a garment
PSEUDO_LABELLED = 4  # pseudo-labelled street photographs of a step, in a run with them


def build(embedder: Path) -> ConvParser:
    """The network with the embedder's trained encoder and an untrained decoder."""
    network = ConvParser(
        ConvParserConfig(
            num_labels=len(NAMES), id2label=dict(enumerate(NAMES)),
            label2id={name: at for at, name in enumerate(NAMES)}, context=CONTEXT,
        )
    )  # fmt: skip
    prefix = "visual.trunk.looks."
    tensors = read_tensors(embedder / "open_clip_model.safetensors")
    trunk = {name.removeprefix(prefix): tensor.float() if tensor.is_floating_point() else tensor
             for name, tensor in tensors.items()
             if name.startswith(prefix) and ".fc." not in name}  # fmt: skip
    network.encoder.load_state_dict(trunk)
    network.context.settle()
    return network


def save(network: Any, folder: Path) -> None:
    """Writes the network in transformers' format: config, processor, float16 safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    network.config.architectures = [type(network).__name__]
    network.config.save_pretrained(folder)
    processor = {
        "image_processor_type": "SegformerImageProcessor", "do_resize": True, "do_rescale": True,
        "do_normalize": True, "do_reduce_labels": False, "rescale_factor": 1 / 255, "resample": 2,
        "size": {"height": INPUT[0], "width": INPUT[1]},
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")
    write_tensors(folder / "model.safetensors", network.state_dict())


def _sources(args: argparse.Namespace, splits: set[str]) -> dict[str, Source]:
    street = load_street(args.street, splits, HEIGHT, WIDTH)
    flat_lays = load_flat_lays(
        args.flat_lays, {"train", "validation"}, FLAT_LAY_HEIGHT, FLAT_LAY_WIDTH
    )
    seed = args.seed * 1_000_000
    draw = partial(draw_people, height=HEIGHT, width=WIDTH)
    lay = partial(draw_flat_lays, height=FLAT_LAY_HEIGHT, width=FLAT_LAY_WIDTH)
    people, people_codes = draw_in_processes(draw, args.people, seed, args.workers)
    drawn, drawn_codes = draw_in_processes(lay, args.drawings, seed, args.workers)
    bare = draw_in_processes(
        partial(draw_without_garment, height=HEIGHT, width=WIDTH), EMPTY, seed, args.workers
    )
    beside = squash(list(beside_people(args.street, splits)), HEIGHT, WIDTH)
    empty, none = (np.concatenate(each) for each in zip(bare, beside, strict=True))
    return {
        "street": (street.pixels, street.codes), "people": (people, people_codes),
        "flat-lay": flat_lays, "drawn": (drawn, drawn_codes), "empty": (empty, none),
    }  # fmt: skip


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--street", type=Path, required=True)
    parser.add_argument("--flat-lays", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "parser")
    parser.add_argument("--start", type=Path, help="a folder of weights to start from")
    parser.add_argument(
        "--pseudo-labels", action="store_true", help="train on all photographs: those without "
        "a map get pseudo-labels, and the validation split is included"
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=45.0, help="of CPU time")
    parser.add_argument("--learning-rate", type=float, default=1.2e-3)
    parser.add_argument("--drawings", type=int, default=1200)
    parser.add_argument("--people", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--strength", type=float, default=1.0, help="of the augmentation")
    parser.add_argument("--batch", type=int, default=1, help="a factor on the pictures of a step")
    return parser.parse_args()


def main() -> None:
    """Trains, reports on the validation split, and writes the averaged weights."""
    args = _parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    network = build(STARTER_FOLDER / "embedder")
    if args.start:
        mismatch = network.load_state_dict(
            read_tensors(args.start / "model.safetensors"), strict=False
        )
        missing = {key for key in mismatch.missing_keys if not key.startswith("context.")}
        if unlike := missing | set(mismatch.unexpected_keys):
            raise SystemExit(f"{args.start} is of another network: {', '.join(sorted(unlike))}")
    splits = {"train", "validation"} if args.pseudo_labels else {"train"}
    sources = _sources(args, splits)
    network.to(args.device)
    unlabelled = load_unlabelled(args.street, splits, HEIGHT, WIDTH) if args.pseudo_labels else None
    validation = load_street(args.street, {"validation"}, HEIGHT, WIDTH)
    batch = BATCH | {"pseudo-labelled": PSEUDO_LABELLED} if args.pseudo_labels else BATCH
    large = args.start or args.device != "cpu"
    schedule = ParserSchedule(
        minutes=args.minutes, learning_rate=args.learning_rate, sizes=LARGE if large else SIZES,
        batch={name: count * args.batch for name, count in batch.items()}, strength=args.strength,
    )  # fmt: skip
    trainer = ParserTrainer(network, sources, schedule, args.seed, unlabelled)
    sizes = {name: len(pixels) for name, (pixels, _) in sources.items()}
    print(f"{sizes}, {sum(p.numel() for p in network.parameters()):,} weights", flush=True)

    def save_and_report() -> str:
        save(trainer.ema, args.out)
        size = trainer.schedule.size_at(trainer.share)
        return f"validation: {report(trainer.ema, validation, size)}"

    trainer.train(args.work, save_and_report)


if __name__ == "__main__":
    main()
