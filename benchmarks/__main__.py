"""`make bench`: every benchmark in turn; each writes its table to `benchmarks/results/`."""

import runpy
import sys

BENCHMARKS = (
    "search_quality", "parsing_quality", "segmentation", "served", "topologies",
    "proxy_modes", "index_scale", "index_live", "jobs", "regressor", "heatmap", "predict",
    "gateway_cost", "batchers", "reindex",
)  # fmt: skip


def main() -> None:
    """All of them, or those that are named."""
    for name in tuple(sys.argv[1:]) or BENCHMARKS:
        print(f"== {name}", flush=True)
        sys.argv = [name]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")


if __name__ == "__main__":
    main()
