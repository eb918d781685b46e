"""The recipe of the starter parser: a small network from drawings and photographs.

Run: python -m training.parser.train --street ../shared/data/people --lying ../shared/data/clothing
     --out models/starter/parser
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
from models.segmenter.atr import NAMES
from models.segmenter.parser_network import ConvParser, ConvParserConfig
from models.weights import STARTER_FOLDER, read_tensors, write_tensors
from training.parser.run import LARGE, SIZES, Run, Schedule, Source
from training.parser.validation import report
from training.photos.empty import beside_people, draw_empty, squash
from training.photos.flat_lay import draw_lying, load_lying
from training.photos.street import load_street
from training.photos.street_guesses import load_unknown
from training.workers import spread

HEIGHT, WIDTH = 256, 184  # pixels in memory
LYING_HEIGHT, LYING_WIDTH = 208, 150
INPUT = (288, 208)  # views in training are enlarged on average: at this size garments look alike
BATCH = {"street": 8, "people": 3, "drawn": 1, "lying": 2, "empty": 1}
CONTEXT = 1  # layers
EMPTY = 500  # drawn pictures without a garment
GUESSED = 4  # street photographs with guessed maps, in a run that has them


def build(embedder: Path) -> ConvParser:
    """The network: the embedder's encoder as it was trained, the decoder untrained."""
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
    """Write the network as transformers publishes it: config, processor, float16 safetensors."""
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
    lying = load_lying(args.lying, {"train", "validation"}, LYING_HEIGHT, LYING_WIDTH)
    seed = args.seed * 1_000_000
    draw = partial(draw_people, height=HEIGHT, width=WIDTH)
    lay = partial(draw_lying, height=LYING_HEIGHT, width=LYING_WIDTH)
    people, people_codes = spread(draw, args.people, seed, args.workers)
    drawn, drawn_codes = spread(lay, args.drawings, seed, args.workers)
    bare = spread(partial(draw_empty, height=HEIGHT, width=WIDTH), EMPTY, seed, args.workers)
    beside = squash(list(beside_people(args.street, splits)), HEIGHT, WIDTH)
    empty, none = (np.concatenate(each) for each in zip(bare, beside, strict=True))
    return {
        "street": (street.pixels, street.codes), "people": (people, people_codes),
        "lying": lying, "drawn": (drawn, drawn_codes), "empty": (empty, none),
    }  # fmt: skip


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--street", type=Path, required=True)
    parser.add_argument("--lying", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "parser")
    parser.add_argument("--start", type=Path, help="a folder of weights to start from")
    parser.add_argument(
        "--guess", action="store_true", help="a last run, with all photographs: those without "
        "a map get one from --start, and validation's join"
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=45.0, help="of CPU time")
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--drawings", type=int, default=1200)
    parser.add_argument("--people", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--strength", type=float, default=1.0, help="of what disturbs a picture")
    parser.add_argument("--batch", type=int, default=1, help="times the usual pictures a step")
    return parser.parse_args()


def main() -> None:
    """Train, reporting on the validation part, and write the running average's weights."""
    args = _parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    network = build(STARTER_FOLDER / "embedder")
    if args.start:
        learnt = network.load_state_dict(
            read_tensors(args.start / "model.safetensors"), strict=False
        )
        missing = {key for key in learnt.missing_keys if not key.startswith("context.")}
        if unlike := missing | set(learnt.unexpected_keys):
            raise SystemExit(f"{args.start} is of another network: {', '.join(sorted(unlike))}")
    splits = {"train", "validation"} if args.guess else {"train"}
    sources = _sources(args, splits)
    network.to(args.device)
    unknown = load_unknown(args.street, splits, HEIGHT, WIDTH) if args.guess else None
    validation = load_street(args.street, {"validation"}, HEIGHT, WIDTH)
    batch = BATCH | {"guessed": GUESSED} if args.guess else BATCH
    large = args.start or args.device != "cpu"
    schedule = Schedule(
        minutes=args.minutes, rate=args.rate, sizes=LARGE if large else SIZES,
        batch={name: count * args.batch for name, count in batch.items()}, strength=args.strength,
    )  # fmt: skip
    run = Run(network, sources, schedule, args.seed, unknown)
    sizes = {name: len(pixels) for name, (pixels, _) in sources.items()}
    print(f"{sizes}, {sum(p.numel() for p in network.parameters()):,} weights", flush=True)

    def told() -> str:
        save(run.average, args.out)
        size = run.schedule.size_at(run.share)
        return f"validation: {report(run.average, validation, size)}"

    run.train(args.work, told)


if __name__ == "__main__":
    main()
