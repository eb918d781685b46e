"""The connections of the configs: pools times replicas, and every pool is counted."""

import re
from pathlib import Path
from typing import Any

import pytest

from deployments.serve.connections import most_replicas, wanted_connections
from settings import PROJECT_ROOT, Settings

CONFIGS = {"starter": "local/serve_config.yaml", "production": "serve_config.yaml"}


def test_every_replica_and_every_job_is_counted(tmp_path: Path) -> None:
    config = tmp_path / "serve.yaml"
    config.write_text("""
applications:
  - args: {dispatcher: {run: {max_running: 4}}}
    deployments:
      - {name: Gateway, autoscaling_config: {min_replicas: 1, max_replicas: 3}}
      - {name: Index, num_replicas: 2}
      - {name: Dispatcher}
""")
    connections = wanted_connections(Settings(database_pool_size=7), config)
    # An update starts new replicas of Index before it stops the old ones.
    assert connections == {"Gateway": 21, "Index": 8, "Dispatcher": 4, "jobs": 16}


@pytest.mark.parametrize(
    ("options", "most"),
    [({"num_replicas": 2}, 4), ({"autoscaling_config": {"max_replicas": 3}}, 6),
     ({"num_replicas": 3, "max_surge_percent": 0}, 3), ({}, 2),
     ({"num_replicas": 3, "max_surge_percent": 20}, 4)],
)  # fmt: skip
def test_an_update_adds_replicas(options: dict[str, Any], most: int) -> None:
    assert most_replicas(options, 100) == most


def test_the_starter_fits_the_server_that_comes_with_it() -> None:
    assert sum(wanted_connections(Settings(), PROJECT_ROOT / CONFIGS["starter"]).values()) < 90


def test_the_profile_says_which_config_is_meant() -> None:
    starter, production = (
        sum(wanted_connections(Settings(profile=profile)).values())
        for profile in ("starter", "production")
    )
    assert starter < production


@pytest.mark.parametrize("path", sorted((PROJECT_ROOT / "deployments").rglob("*.py")), ids=str)
def test_every_pool_is_counted(path: Path) -> None:
    """Add the size of a new pool to `deployments.serve.connections`."""
    for size in re.findall(r"\bDatabase\(.*?pool_size=([^,)\s]+)", path.read_text(), re.DOTALL):
        assert size in {"INDEX_POOL", "DISPATCHER_POOL", "connections"}, (path.name, size)
