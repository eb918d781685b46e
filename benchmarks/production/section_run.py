"""What a section of `benchmarks.production.size` uses: device, clock, memory, and its file."""

import gc
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from models.devices import Precision

GIB = 1 << 30


@dataclass
class SectionRun:
    """One run of the sections; lines are printed and written as they come.

    folder: where networks are written and deleted again. ends: when no more is begun, by
    `time.perf_counter`.
    """

    device: str
    folder: Path
    out: Path
    ends: float
    precision: Precision
    vectors: Path
    counts: tuple[int, ...]
    adapter: str
    lines: list[str] = field(default_factory=list)

    @property
    def is_gpu(self) -> bool:
        """Whether the run measures a GPU."""
        return self.device.startswith("cuda")

    @property
    def left_s(self) -> float:
        """Seconds of the budget that are left."""
        return self.ends - time.perf_counter()

    def say(self, *lines: str) -> None:
        """Prints lines at once and writes the whole file, so that a killed run keeps them."""
        print("\n".join(lines), flush=True)
        self.lines += lines
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text("\n".join(self.lines) + "\n")

    def sync(self) -> None:
        """Waits until the GPU has finished its work."""
        if self.is_gpu:
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], Any], *, most: int = 20, within_s: float = 0.4) -> float:
        """The median of repeated calls, after one that warms up where that is cheap to do."""
        if self.is_gpu:
            call()
        durations_s: list[float] = []
        while not durations_s or (len(durations_s) < most and sum(durations_s) < within_s):
            self.sync()
            started = time.perf_counter()
            call()
            self.sync()
            durations_s.append(time.perf_counter() - started)
        return statistics.median(durations_s)

    @contextmanager
    def fresh_folder(self, name: str) -> Iterator[Path]:
        """Makes a folder for the block; removes it afterwards and frees unused memory."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._reset_peaks()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            gc.collect()
            if self.is_gpu:
                torch.cuda.empty_cache()

    def memory(self) -> str:
        """The largest resident size since the folder was made, and the GPU's."""
        status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
        memory = f"{int(status.split()[0]) * 1024 / GIB:.1f} GiB"
        if self.is_gpu:
            memory += f", GPU {torch.cuda.max_memory_allocated() / GIB:.1f} GiB"
        return memory

    def _reset_peaks(self) -> None:
        gc.collect()
        if self.is_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:  # a machine that doesn't let a process do this: the peak is the run's
            return
