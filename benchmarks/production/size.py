"""The networks of production at full size with random weights, and the index's scan, on a GPU.

Run: python -m benchmarks.production.size --vectors ../shared/bench/vectors.py
     python -m benchmarks.production.size --device cuda --sections index,tryon --budget-s 160

Every network is written in its published format, found by name and loaded by the product's own
loader. With random weights, times and memory are those of the published checkpoints; what comes
out means nothing. Without a GPU pictures are small and times only show that it runs. One SigLIP
detail differs: its tokenizer has few words. Needs no Ray, database or FAISS.
"""

import argparse
import logging
import os
import platform
import tempfile
import time
import traceback
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.production.section_run import SectionRun
from benchmarks.report import RESULTS

LEAST_S = 5.0
PACKAGES = ("torch", "transformers", "diffusers", "open_clip_torch", "segment_anything")


SECTIONS = {
    "index": ("The index's scan", "production.index", "measure_index"),
    "embedder": ("Embedder", "production.networks", "measure_embedder"),
    "parser": ("Parser", "production.networks", "measure_parser"),
    "sam": ("SAM", "production.networks", "measure_sam"),
    "tryon": ("Try-on", "production.tryon", "measure_tryon"),
}
"""Each section's title, and what measures it: a section whose packages are missing fails alone."""


def run_sections(run: SectionRun, names: list[str]) -> list[str]:
    """The sections in order, each by itself; the names of those that broke."""
    broken = []
    for name in names:
        title, module, function = SECTIONS[name]
        run.say(f"\n## {title}\n")
        if run.left_s < LEAST_S:
            run.say(f"Skipped: {run.left_s:.0f} s of the budget were left.")
            continue
        started = time.perf_counter()
        try:
            getattr(import_module(f"benchmarks.{module}"), function)(run)
        except Exception as error:
            traceback.print_exc()
            run.say("", f"Broke: `{type(error).__name__}: {str(error)[:300]}`")
            broken.append(name)
        run.say("", f"This section took {time.perf_counter() - started:.0f} s.")
    return broken


def described(device: str) -> str:
    """The machine and the versions that the figures are of."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"no {name}")
    where = torch.cuda.get_device_name() if device.startswith("cuda") else "CPU only"
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"{where}; {cores}; Python {platform.python_version()}, {', '.join(versions)}."


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="separated by commas")
    parser.add_argument("--budget-s", type=float, default=3600.0, help="then no section begins")
    parser.add_argument("--precision", choices=("fp32", "fp16", "bf16"), help="try-on: bf16")
    parser.add_argument("--adapter", choices=("vit-bigg", "vit-h", "none"), default="vit-bigg")
    parser.add_argument("--vectors", type=Path, default=Path("../shared/bench/vectors.py"))
    parser.add_argument("--counts", help="of vectors, separated by commas")
    parser.add_argument("--folder", type=Path, help="where networks are written, 12 GB at most")
    parser.add_argument("--out", type=Path, default=RESULTS / "production_size.md")
    return parser.parse_args()


def main() -> None:
    """Measures what was asked for and writes the table."""
    started = time.perf_counter()
    args = arguments()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    logging.getLogger().setLevel(logging.ERROR)  # open_clip warns of networks without weights
    is_gpu = args.device.startswith("cuda")
    counts = args.counts or ("100000,1000000" if is_gpu else "5000,20000")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        run = SectionRun(
            device=args.device, folder=Path(folder), out=args.out,
            ends=started + args.budget_s,
            precision=args.precision or ("bf16" if is_gpu else "fp32"),
            vectors=args.vectors, counts=tuple(map(int, counts.split(","))),
            adapter=args.adapter,
        )  # fmt: skip
        about = (__doc__ or "").split("\n\n")[2].replace("\n", " ")
        run.say("# Production's sizes\n", about, "", described(args.device))
        broken = run_sections(run, args.sections.split(","))
        run.say("", f"All in all {time.perf_counter() - started:.0f} s.")
    if broken:
        raise SystemExit(f"broken: {', '.join(broken)}")


if __name__ == "__main__":
    main()
