"""`make bench`: every benchmark in turn; each writes its table to `benchmarks/results/`."""

import runpy
import sys

BENCHMARKS = (
    "search.quality", "segmentation.parsing_quality", "segmentation.segmentation", "served",
    "topologies", "serving.proxy_modes", "index.scale", "index.live", "jobs.throughput",
    "sales.regressor", "sales.heatmap", "sales.predict", "serving.gateway_cost",
    "serving.batchers", "index.reindex",
)  # fmt: skip


def main() -> None:
    """All of them, or those that are named."""
    for name in tuple(sys.argv[1:]) or BENCHMARKS:
        print(f"== {name}", flush=True)
        sys.argv = [name]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")


if __name__ == "__main__":
    main()
