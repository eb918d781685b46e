"""Keeps memory that a model has freed in the process; by default glibc returns it to the kernel."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
RETAINED_BYTES, LARGEST_RETAINED_BYTES = 256 * 2**20, 32 * 2**20  # the second is glibc's own limit


def retain_freed_memory() -> None:
    """Sets malloc's thresholds once for a process that runs batches on the CPU.

    One batch's intermediate arrays are tens of megabytes. By default glibc returns them to the
    kernel after each batch, and the kernel clears every page again for the next one: 34,000 page
    faults and a fifth of the time of a heatmap's 114 crops (`python -m benchmarks.sales.predict`).
    Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST_RETAINED_BYTES)
        mallopt(TRIM_THRESHOLD, RETAINED_BYTES)
