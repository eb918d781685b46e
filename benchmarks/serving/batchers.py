"""`@serve.batch` beside our micro-batcher: 1, 8 and 64 callers on one model, in turns, in one run.

Run: python -m benchmarks.serving.batchers

All batchers live in one Serve replica, beside their callers, over the same model in the same
thread: only the way in which pictures become batches differs. Callers ask again at once, or after a
pause that differs each time, as people do.
"""

import asyncio
import logging
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import head, keep, load_average

CALLERS, ROUNDS, SECONDS = (1, 8, 64), 3, 1.2
PAUSES_MS = (0.0, 20.0)
"""Callers pause for a random part of it between requests; without a pause they run in step."""
MAX_BATCH = 16
WAITS_MS = (0.0, 2.0, 10.0)
"""`batch_wait_timeout_s` in ms; 10 is Serve's default."""
OURS = "MicroBatcher"

FloatPixels = NDArray[np.float32]
Submit = Callable[[FloatPixels], Awaitable[FloatPixels]]
Figures = tuple[float, float, float, float]
"""Requests/s, median and 95th percentile in ms, pictures a batch."""


class Batchers:
    """The starter embedder behind each of the batchers."""

    def __init__(self) -> None:
        from ray import serve

        from models.embedder.embedder import EmbedderConfig, load
        from studio.batching import MicroBatcher

        self._model = load(EmbedderConfig(max_batch=MAX_BATCH, threads=1))
        self._model.warm_up()
        self._thread = ThreadPoolExecutor(1)
        self._sizes: list[int] = []
        ours: MicroBatcher[FloatPixels, FloatPixels] = MicroBatcher(
            self._embed, max_batch=MAX_BATCH, max_waiting=1000
        )
        self._submits: dict[str, Submit] = {OURS: ours.submit}
        for wait_ms in WAITS_MS:
            batched = serve.batch(
                max_batch_size=MAX_BATCH, batch_wait_timeout_s=wait_ms / 1000
            )(self._embed)  # fmt: skip
            self._submits[f"@serve.batch, {wait_ms:g} ms"] = batched

    async def _embed(self, pictures: list[FloatPixels]) -> list[FloatPixels]:
        self._sizes.append(len(pictures))
        loop = asyncio.get_running_loop()
        return list(await loop.run_in_executor(self._thread, self._model.embed_images, pictures))

    async def names(self) -> list[str]:
        """The names of the batchers."""
        return list(self._submits)

    async def measure(self, name: str, callers: int, pause_ms: float) -> Figures:
        """Runs so many callers, each of which sends requests one after another for a while."""
        side, submit = self._model.reader.side, self._submits[name]
        random = np.random.default_rng(0)
        picture = random.normal(size=(3, side, side)).astype(np.float32)
        took_ms: list[float] = []
        self._sizes.clear()
        began_s = time.perf_counter()

        async def call() -> None:
            while (asked_s := time.perf_counter()) < began_s + SECONDS:
                await submit(picture)
                took_ms.append(1000 * (time.perf_counter() - asked_s))
                if pause_ms:
                    await asyncio.sleep(random.uniform(0, pause_ms) / 1000)

        await asyncio.gather(*(call() for _ in range(callers)))
        rate = len(took_ms) / (time.perf_counter() - began_s)
        p95_ms = statistics.quantiles(took_ms, n=20)[18]
        return rate, statistics.median(took_ms), p95_ms, statistics.mean(self._sizes)


Setting = tuple[int, float, str]
"""Callers, their pause in ms, and the batcher."""


async def run_rounds(handle: Any) -> dict[Setting, list[Figures]]:
    """Each batcher in turn, in each setting, round after round."""
    names = await handle.names.remote()
    figures_of: dict[Setting, list[Figures]] = {}
    for turn in range(ROUNDS + 1):
        for callers, pause_ms, name in product(CALLERS, PAUSES_MS, names):
            figures = await handle.measure.remote(name, callers, pause_ms)
            print(turn, callers, pause_ms, name, figures, flush=True)
            if turn:  # the first round warms up
                figures_of.setdefault((callers, pause_ms, name), []).append(figures)
    return figures_of


def table(figures_of: dict[Setting, list[Figures]]) -> list[str]:
    """Medians over the rounds, and the rate beside ours of the same round."""
    lines = [
        "| callers | pause, ms | batcher | requests/s | beside ours | median ms | p95 ms "
        "| pictures a batch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (callers, pause_ms, name), rounds in figures_of.items():
        rate, median_ms, p95_ms, size = (
            statistics.median(column) for column in zip(*rounds, strict=True)
        )
        ours = figures_of[callers, pause_ms, OURS]
        beside = statistics.median(one[0] / our[0] for one, our in zip(rounds, ours, strict=True))
        pause = f"0 to {pause_ms:.0f}" if pause_ms else "none"
        lines.append(
            f"| {callers} | {pause} | {name} | {rate:.0f} | {beside:.2f} | {median_ms:.1f} "
            f"| {p95_ms:.1f} | {size:.1f} |"
        )
    return lines


def main() -> None:
    """Measures, and writes the table."""
    import ray
    from ray import serve

    load_before = load_average()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    deployed = serve.deployment(max_ongoing_requests=100)(Batchers)
    handle = serve.run(deployed.bind(), name="bench", route_prefix=None)
    figures_of = asyncio.run(run_rounds(handle))
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()
    title = (
        f"{head('python -m benchmarks.serving.batchers')}, medians of "
        f"{ROUNDS} rounds of {SECONDS:g} s; load average {load_before:.1f} before, "
        f"{load_average():.1f} after.\n\n"
        + " ".join((__doc__ or "").strip().split("\n\n")[-1].split())
    )
    keep("batchers", [title, "", *table(figures_of)])


if __name__ == "__main__":
    main()
