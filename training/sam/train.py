"""The recipe of the starter SAM: segment-anything's classes at a small size, from street
photographs, drawn people and drawn garments.

Run: python -m training.sam.train --street ../shared/data/people --out models/starter/sam
     [--device cuda --workers 4 --minutes 7]
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from drawing.people.people import draw_people
from models.segmenter.sam_checkpoint import CONFIG_FILE, WEIGHTS_FILE, SamArchitecture, build
from models.weights import write_tensors
from training.photos.flat_lay import draw_lying
from training.photos.street import load_street
from training.sam.run import SamRun
from training.sam.validation import report
from training.sam.views import Source, Views
from training.trainee import Pace
from training.workers import spread

ARCHITECTURE = SamArchitecture(
    image_size=256, patch=8, width=192, depth=6, heads=3, global_layers=(2, 5), window=8,
    prompt_width=128, decoder_mlp=256, decoder_heads=4, iou_hidden=128,
)  # fmt: skip
SHARES = {"street": 0.55, "people": 0.22, "drawn": 0.23}
"""Of a batch."""
HEIGHT, WIDTH = 256, 184
LYING = 256  # a side: edges that SAM is to follow must be sharp
PARTS = {"street": "train", "validation": "validation"}


def save(network: Any, folder: Path, architecture: SamArchitecture = ARCHITECTURE) -> None:
    """Sizes and float16 tensors; `benchmarks.segmentation.sam_acceptance` finds what to add."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(architecture), indent=2) + "\n")
    write_tensors(folder / WEIGHTS_FILE, network.state_dict())


def start(architecture: SamArchitecture) -> Any:
    """The network before it has learnt: places told apart by a little noise."""
    network = build(architecture)
    torch.nn.init.trunc_normal_(network.image_encoder.pos_embed, std=0.02)
    return network


def split_batch(pictures: int, sources: Mapping[str, Source]) -> dict[str, int]:
    """How many pictures a step come from each source, at least one."""
    present = {name: share for name, share in SHARES.items() if name in sources}
    total = sum(present.values())
    return {name: max(1, round(pictures * share / total)) for name, share in present.items()}


def gather(street: Path, drawings: int, seed: int, workers: int) -> dict[str, Source]:
    """Street photographs of two parts, and so many drawn people and lying garments."""
    sources: dict[str, Source] = {}
    for name, split in PARTS.items():
        photographs = load_street(street, {split}, HEIGHT, WIDTH)
        sources[name] = photographs.pixels, photographs.codes
    draw = partial(draw_people, height=HEIGHT, width=WIDTH)
    lay = partial(draw_lying, height=LYING, width=LYING)
    for name, draw_some in (("people", draw), ("drawn", lay)):
        pixels, codes = spread(draw_some, drawings, seed * 1_000_000, workers)
        sources[name] = pixels, codes
    return sources


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--street", type=Path, required=True, help="photographs and their maps")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sam")
    parser.add_argument("--minutes", type=float, default=7.0, help="of the GPU, or of CPU time")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=32, help="pictures a step")
    parser.add_argument("--prompts", type=int, default=4, help="a picture and step")
    parser.add_argument("--drawings", type=int, default=500, help="of each kind")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Train, reporting on the validation part, and write the running average's weights."""
    args = _parse()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(args.seed)
    sources = gather(args.street, args.drawings, args.seed, args.workers)
    views = Views(sources, ARCHITECTURE.image_size, args.device)
    network = start(ARCHITECTURE).to(args.device)
    pace = Pace(minutes=args.minutes, rate=args.rate, decay=0.05, clip=1.0)
    batch = split_batch(args.batch, sources)
    run = SamRun(network, views, pace, batch, args.prompts, args.seed)
    print(f"{views.sizes}, {batch}, {sum(p.numel() for p in network.parameters()):,} weights")

    def told() -> str:
        save(run.average, args.out, ARCHITECTURE)
        shown = ("validation" if "validation" in sources else "street", "drawn")
        return "\n".join(report(run.average, views, name) for name in shown if name in sources)

    run.train(args.work, told)


if __name__ == "__main__":
    main()
