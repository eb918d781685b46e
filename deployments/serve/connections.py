"""How many connections to PostgreSQL the studio may open at once: every pool, at its largest."""

from pathlib import Path
from typing import Any

import yaml

from settings import PROJECT_ROOT, Settings

INDEX_POOL = 2
DISPATCHER_POOL = 3
JOB_POOL = 3
"""What a job does at a time, its progress, and one to spare."""
LISTENER = 1
LEASE_KEEPER = 1


def config_of(settings: Settings) -> Path:
    """The capacity that this studio is deployed with."""
    starter = settings.profile == "starter" and settings.env != "production"
    return PROJECT_ROOT / ("local/serve_config.yaml" if starter else "serve_config.yaml")


def wanted_connections(settings: Settings, config: Path | None = None) -> dict[str, int]:
    """By deployment, at the most replicas that the config allows; `jobs` beside them."""
    (application,) = yaml.safe_load((config or config_of(settings)).read_text())["applications"]
    replicas = {one["name"]: most_replicas(one) for one in application["deployments"]}
    running = application["args"]["dispatcher"]["run"]["max_running"]
    return {
        "Gateway": replicas["Gateway"] * settings.database_pool_size,
        "Index": replicas["Index"] * INDEX_POOL,
        "Dispatcher": replicas["Dispatcher"] * (DISPATCHER_POOL + LISTENER),
        "jobs": replicas["Dispatcher"] * running * (JOB_POOL + LEASE_KEEPER),
    }


def most_replicas(deployment: dict[str, Any]) -> int:
    """As many as it may have."""
    scaling = deployment.get("autoscaling_config", {})
    return int(scaling.get("max_replicas") or deployment.get("num_replicas", 1))
