"""The loop that a re-index is measured against: read, decode, embed, in a process of its own.

python -m benchmarks.index.reindex_bare FOLDER
"""

import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.embedder.embedder import Embedder, EmbedderConfig, load
from settings import PROJECT_ROOT

BARE, BATCH = 640, 64
Batch = list[NDArray[np.float32]]


class Bare:
    """The loop in a process of its own, loaded once, run when asked."""

    def __init__(self, pictures: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.index.reindex_bare", str(pictures)],
            cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True,  # a scheduler group of its own, as the studio has
        )  # fmt: skip

    async def run(self) -> dict[str, float]:
        """Images/s with decoding in a thread beside the model, and one after the other; CPU ms."""
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> dict[str, float]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        figures: dict[str, float] = json.loads(self._process.stdout.readline())
        return figures

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def bare(folder: Path) -> None:
    """One line of JSON for each line read."""
    model = load(EmbedderConfig(max_batch=16, threads=1))
    model.warm_up()
    files = sorted(folder.glob("*.jpg"))[:BARE]
    batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    for _ in sys.stdin:
        cpu_from_s = time.process_time()
        side_by_side, serial = loop_ahead(model, batches), loop(model, batches)
        cpu_ms = 1000 * (time.process_time() - cpu_from_s) / (2 * len(files))
        print(json.dumps({"ahead": side_by_side, "serial": serial, "cpu": cpu_ms}), flush=True)


def read(model: Embedder, batch: list[Path]) -> Batch:
    """Files -> what the network looks at."""
    return [model.reader.read(path.read_bytes()) for path in batch]


def loop(model: Embedder, batches: list[list[Path]]) -> float:
    """Images/s after the first batch."""
    model.embed_images(read(model, batches[0]))
    began_s = time.perf_counter()
    for batch in batches[1:]:
        model.embed_images(read(model, batch))
    return BATCH * (len(batches) - 1) / (time.perf_counter() - began_s)


def loop_ahead(model: Embedder, batches: list[list[Path]]) -> float:
    """The same, the next batch decoded in one thread while the model has this one."""
    with ThreadPoolExecutor(1) as decoder:
        coming = decoder.submit(read, model, batches[1])
        model.embed_images(read(model, batches[0]))
        began_s = time.perf_counter()
        for batch in [*batches[2:], None]:
            pixels = coming.result()
            if batch is not None:
                coming = decoder.submit(read, model, batch)
            model.embed_images(pixels)
        return BATCH * (len(batches) - 1) / (time.perf_counter() - began_s)


if __name__ == "__main__":
    bare(Path(sys.argv[1]))
