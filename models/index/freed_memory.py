"""What becomes of memory that a model has freed: it stays with the process for the next batch."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
KEPT_BYTES, LARGEST_KEPT_BYTES = 256 * 2**20, 32 * 2**20  # the second one is glibc's own limit


def keep_freed_memory() -> None:
    """Called once by what runs batches on the CPU; does nothing where there is no glibc.

    One batch's intermediate arrays are tens of megabytes. By default glibc hands them back after
    each batch, and the kernel clears every page anew for the next: 34,000 page faults and a fifth
    of the time of a heatmap's 114 crops (`python -m benchmarks.sales.predict`).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
