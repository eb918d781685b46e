"""`make bench`: runs `BENCHMARKS` one after another; each writes a table to `benchmarks/results/`.

`make bench ARGS="index.scale index.live"` runs only these. The list leaves out the benchmarks that
need a GPU, another commit's tree, or a person who looks at pictures.
"""

import runpy
import sys

BENCHMARKS = (
    "search.quality", "segmentation.parsing_quality", "segmentation.segmentation", "served",
    "topologies", "serving.proxy_modes", "index.scale", "index.answers", "index.live",
    "index.words", "index.fusion", "search_relevance",
    "jobs.throughput", "sales.regressor", "sales.heatmap", "sales.predict",
    "serving.gateway_cost", "serving.batchers", "index.reindex",
)  # fmt: skip


def main() -> None:
    """Runs all benchmarks of the list, or those that the command line names."""
    for name in tuple(sys.argv[1:]) or BENCHMARKS:
        print(f"== {name}", flush=True)
        sys.argv = [name]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")


if __name__ == "__main__":
    main()
