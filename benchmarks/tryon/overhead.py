"""What a served try-on costs beside its own steps.

    python -m benchmarks.tryon.overhead [--count 12]

Starts `studio up` in a fresh folder and asks for direct try-ons of drawn people, one after the
other, with the garment's mask given and without. Steps: parse, warp, inpaint and repaint by the
pipeline's own clock, and the call of the Segmenter where it was asked. Everything else (HTTP, rows,
blobs, decoding and encoding pictures) is overhead.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from drawing.draw import Garment, draw_with_cover
from drawing.people.people import draw_person
from local.client import encode, sign_in, upload
from local.running import RunningStudio

STEPS = ("segmentMs", "parseMs", "warpMs", "inpaintMs", "repaintMs")
SIZES = ((512, 384), (1024, 768), (2048, 1536))
"""Height and width of the persons' pictures; the garment's has the height to either side."""


def main() -> None:
    """Prints one row a size and a way to ask."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=12, help="try-ons a row, after one more")
    count = options.parse_args().count
    folder = Path(tempfile.mkdtemp(prefix="studio-bench-"))
    folder.chmod(0o711)
    command = [sys.executable, "-m", "cli", "up"]
    studio = RunningStudio(folder / "data", command=command, STUDIO_LIMIT_CV="10000000")
    try:
        studio.wait_ready(timeout_s=300)
        with httpx.Client(base_url=f"http://127.0.0.1:{studio.port}", timeout=120) as http:
            table(http, count)
    finally:
        studio.end()
        shutil.rmtree(folder, ignore_errors=True)


def table(http: httpx.Client, count: int) -> None:
    """Medians over `count` try-ons."""
    headers = sign_in(http, "shopper@demo.studio")
    print("| person, pixels | mask | request ms | its steps ms | overhead |")
    print("| --- | --- | ---: | ---: | ---: |")
    for size in SIZES:
        body, mask = prepare(http, headers, size)
        for name, request in (("given", body | {"maskUrl": mask}), ("segmented", body)):
            times = [ask(http, headers, request | {"seed": at}) for at in range(count + 1)][1:]
            whole, steps = (statistics.median(each) for each in zip(*times, strict=True))
            share = statistics.median(1 - done / wall for wall, done in times)
            print(f"| {size[1]} x {size[0]} | {name} | {whole:.0f} | {steps:.0f} | {share:.1%} |",
                  flush=True)  # fmt: skip


def prepare(
    http: httpx.Client, headers: dict[str, str], size: tuple[int, int]
) -> tuple[dict[str, Any], str]:
    """Uploads; the body of a direct try-on, and the mask's address."""
    worn = [Garment("t-shirt", "red", "plain", 5), Garment("trousers", "navy", "plain", 2)]
    person = draw_person(11, worn, size, full_figure=True).image
    garment, cover = draw_with_cover(Garment("shirt", "green", "striped", 4), size[0])
    cut = Image.fromarray((np.asarray(cover) > 127).astype(np.uint8) * 255)
    urls = []
    for picture in (person, garment, cut):
        _, done = upload(http, headers, encode(picture, "PNG"), "image/png")
        urls.append(str(done.json()["readUrl"]))
    body = {"personUrl": urls[0], "garmentUrl": urls[1], "category": "upper", "mode": "sync"}
    return body, urls[2]


def ask(http: httpx.Client, headers: dict[str, str], body: dict[str, Any]) -> tuple[float, float]:
    """Milliseconds of the request as its caller sees it, and of its steps."""
    started_s = time.perf_counter()
    answer = http.post("/api/cv/tryon", json=body, headers=headers)
    answer.raise_for_status()
    wall_ms = (time.perf_counter() - started_s) * 1000
    timings = answer.json()["timings"]
    return wall_ms, sum(float(timings.get(name, 0.0)) for name in STEPS)


if __name__ == "__main__":
    main()
