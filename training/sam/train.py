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
from models.checkpoints.weights import write_tensors
from models.segmenter.sam_checkpoint import CONFIG_FILE, WEIGHTS_FILE, SamArchitecture, build
from training.photos.flat_lay import draw_flat_lays
from training.photos.street import Source, load_street
from training.sam.trainer import SamTrainer
from training.sam.validation import report
from training.sam.views import Views
from training.trainer import Schedule
from training.workers import draw_in_processes

ARCHITECTURE = SamArchitecture(
    image_size=256, patch=8, width=192, depth=6, heads=3, global_layers=(2, 5), window=8,
    prompt_width=128, decoder_mlp=256, decoder_heads=4, iou_hidden=128,
)  # fmt: skip
SHARES = {"street": 0.55, "people": 0.22, "drawn": 0.23}
"""The share of each source in a batch."""
HEIGHT, WIDTH = 256, 184
FLAT_LAY_SIDE = 256  # pixels: SAM needs sharp edges to follow
PARTS = {"street": "train", "validation": "validation"}


def save(network: Any, folder: Path, architecture: SamArchitecture = ARCHITECTURE) -> None:
    """Writes sizes and float16 tensors; `benchmarks.segmentation.sam_acceptance` adds the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(architecture), indent=2) + "\n")
    write_tensors(folder / WEIGHTS_FILE, network.state_dict())


def start(architecture: SamArchitecture) -> Any:
    """The untrained network, with a little noise in its position embeddings."""
    network = build(architecture)
    torch.nn.init.trunc_normal_(network.image_encoder.pos_embed, std=0.02)
    return network


def split_batch(pictures: int, sources: Mapping[str, Source]) -> dict[str, int]:
    """The number of pictures of each source in a step, at least one."""
    present = {name: share for name, share in SHARES.items() if name in sources}
    total = sum(present.values())
    return {name: max(1, round(pictures * share / total)) for name, share in present.items()}


def gather(street: Path, drawings: int, seed: int, workers: int) -> dict[str, Source]:
    """Street photographs of two splits, and `drawings` each of drawn people and flat-lays."""
    sources: dict[str, Source] = {}
    for name, split in PARTS.items():
        photographs = load_street(street, {split}, HEIGHT, WIDTH)
        sources[name] = photographs.pixels, photographs.codes
    draw = partial(draw_people, height=HEIGHT, width=WIDTH)
    lay = partial(draw_flat_lays, height=FLAT_LAY_SIDE, width=FLAT_LAY_SIDE)
    for name, draw_some in (("people", draw), ("drawn", lay)):
        pixels, codes = draw_in_processes(draw_some, drawings, seed * 1_000_000, workers)
        sources[name] = pixels, codes
    return sources


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--street", type=Path, required=True, help="photographs and their maps")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sam")
    parser.add_argument("--minutes", type=float, default=7.0, help="of the GPU, or of CPU time")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=32, help="pictures of a step")
    parser.add_argument("--prompts", type=int, default=4, help="for each picture of a step")
    parser.add_argument("--drawings", type=int, default=500, help="of each kind")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Trains, reports on the validation split, and writes the averaged weights."""
    args = _parse()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(args.seed)
    sources = gather(args.street, args.drawings, args.seed, args.workers)
    views = Views(sources, ARCHITECTURE.image_size, args.device)
    network = start(ARCHITECTURE).to(args.device)
    schedule = Schedule(
        minutes=args.minutes, learning_rate=args.learning_rate, weight_decay=0.05, max_norm=1.0
    )
    batch = split_batch(args.batch, sources)
    trainer = SamTrainer(network, views, schedule, batch, args.prompts, args.seed)
    print(f"{views.sizes}, {batch}, {sum(p.numel() for p in network.parameters()):,} weights")

    def save_and_report() -> str:
        save(trainer.ema, args.out, ARCHITECTURE)
        names = ("validation" if "validation" in sources else "street", "drawn")
        return "\n".join(report(trainer.ema, views, name) for name in names if name in sources)

    trainer.train(args.work, save_and_report)


if __name__ == "__main__":
    main()
