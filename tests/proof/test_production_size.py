"""Production's networks at their full size, with random weights, found by name, once on the CPU."""

import subprocess
import sys
from pathlib import Path

import pytest

SECTIONS = "embedder,parser,tryon"


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_every_network_of_production_loads_by_name_and_runs(tmp_path: Path) -> None:
    out = tmp_path / "production_size.md"
    command = [sys.executable, "-m", "benchmarks.production.size", "--sections", SECTIONS]
    subprocess.run([*command, "--adapter", "vit-h", "--out", str(out)], check=True)
    text = out.read_text()
    assert "Skipped" not in text and text.count("This section took") == 3
