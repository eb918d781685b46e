"""Served segmentation beside the bare model loop: pictures a second at 8 callers, through Serve.

Run: python -m benchmarks.segmentation.segmentation [--pictures 64]
"""

import argparse
import asyncio
import io
import logging
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from benchmarks.report import head, keep, load_average
from drawing.people.people import draw_person
from models.segmenter.segmenter import Segmenter, encode_mask
from models.segmenter.shapes import SegmentPrompt

if TYPE_CHECKING:
    from deployments.segmenter import SegmenterArgs

CALLERS, SIZE = 8, (960, 640)


def write_pictures(folder: Path, count: int) -> list[str]:
    """Photograph-sized JPEGs of drawn people in a local blob store; their keys."""
    keys = [f"uploads/{number}.jpg" for number in range(count)]
    (folder / "uploads").mkdir(parents=True)
    for number, key in enumerate(keys):
        out = io.BytesIO()
        draw_person(number % 16, size=SIZE).image.save(out, "JPEG", quality=92)
        (folder / key).write_bytes(out.getvalue())
    return keys


def run_bare(segmenter: Segmenter, folder: Path, keys: list[str]) -> float:
    """One picture after the other, all steps of the deployment and nothing else; a second."""
    (folder / "bare").mkdir(exist_ok=True)
    started_s = time.perf_counter()
    for number, key in enumerate(keys):
        prepared = segmenter.prepare((folder / key).read_bytes())
        features = segmenter.encode([prepared])[0]
        mask = segmenter.decode(features, SegmentPrompt("person")).mask
        (folder / "bare" / f"{number}.png").write_bytes(encode_mask(mask))
    return len(keys) / (time.perf_counter() - started_s)


async def run_served(handle: Any, keys: list[str], turn: int) -> float:
    """Eight callers, each with a picture at a time; a second."""
    waiting = list(enumerate(keys))

    async def caller() -> None:
        while waiting:
            number, key = waiting.pop()
            await handle.segment.remote(key, SegmentPrompt("person"), f"masks/{turn}/{number}.png")

    started_s = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return len(keys) / (time.perf_counter() - started_s)


def starter_args() -> "SegmenterArgs":
    """The replica's numbers as `studio up` deploys it."""
    from deployments.segmenter import SegmenterArgs
    from deployments.serve.connections import STARTER_CONFIG

    config = yaml.safe_load(STARTER_CONFIG.read_text())
    return SegmenterArgs(**config["applications"][0]["args"]["segmenter"])


def measure(folder: Path, count: int) -> list[str]:
    """Both, in turns, in one run: only their ratio means anything on a busy machine."""
    import ray
    from ray import serve

    import models.segmenter.segmenter
    from deployments.profile import parser_config, sam_config
    from deployments.segmenter import Segmenter as Deployed
    from settings import load_settings

    os.environ |= {"STUDIO_BLOB_URL": f"file://{folder}", "STUDIO_JWT_SECRET": "x" * 32}
    settings = load_settings()
    args = replace(starter_args(), cached_pictures=1)
    parser = replace(parser_config(settings), max_batch=args.max_batch, threads=args.threads)
    sam = sam_config(settings)
    keys = write_pictures(folder, count)
    bare = models.segmenter.segmenter.load(parser, sam)
    bare.warm_up()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    deployed = serve.deployment(name="Segmenter", max_ongoing_requests=64)(Deployed)
    handle = serve.run(deployed.bind(parser, sam, args), name="bench", route_prefix=None)
    rates: list[tuple[float, float]] = []
    asyncio.run(run_served(handle, keys[:CALLERS], 0))
    for turn in range(1, 4):
        # cached_pictures is 1, so that nothing of the last turn is cached
        rates.append((run_bare(bare, folder, keys), asyncio.run(run_served(handle, keys, turn))))
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()
    lines = ["| turn | bare loop, pictures/s | served, 8 callers, pictures/s | ratio |",
             "|---|---|---|---|"]  # fmt: skip
    lines += [f"| {n} | {a:.1f} | {b:.1f} | {b / a:.2f} |" for n, (a, b) in enumerate(rates, 1)]
    ratio = float(np.median([b / a for a, b in rates]))
    return [*lines, f"\nMedian ratio **{ratio:.2f}**; load {load_average():.1f} on 2 cores."]


def main() -> None:
    """Measures, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=64)
    count = parser.parse_args().pictures
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(Path(folder), count)
    command = f"{head('python -m benchmarks.segmentation.segmentation')}: "
    pictures = f"{count} drawn people of {SIZE[1]} x {SIZE[0]}."
    keep("segmentation", ["# Served segmentation\n", command + pictures, "", *lines])


if __name__ == "__main__":
    main()
