"""How many connections to PostgreSQL the studio may open: the sum of all pools at their largest."""

import math
from pathlib import Path
from typing import Any

import yaml

from settings import PROJECT_ROOT, Settings

STARTER_CONFIG = PROJECT_ROOT / "local" / "serve_config.yaml"
PRODUCTION_CONFIG = PROJECT_ROOT / "serve_config.yaml"
INDEX_POOL = 2
DISPATCHER_POOL = 3
JOB_POOL = 3
"""The connections of one job: one for its work, one for its progress, and a spare one."""
LISTENER = 1
LEASE_KEEPER = 1
SURGE_PERCENT = 100
"""How many replicas an update may start before it stops those that they replace; Gateway and
Dispatcher stop one first."""


def config_of(settings: Settings) -> Path:
    """The Serve config with which this studio is deployed."""
    starter = settings.profile == "starter" and settings.env != "production"
    return STARTER_CONFIG if starter else PRODUCTION_CONFIG


def wanted_connections(settings: Settings, config: Path | None = None) -> dict[str, int]:
    """The connections of each deployment at its largest number of replicas, and those of jobs."""
    (application,) = yaml.safe_load((config or config_of(settings)).read_text())["applications"]
    surge = {"Index": SURGE_PERCENT}
    replicas = {
        deployment["name"]: most_replicas(deployment, surge.get(deployment["name"], 0))
        for deployment in application["deployments"]
    }
    running = application["args"]["dispatcher"]["run"]["max_running"]
    return {
        "Gateway": replicas["Gateway"] * settings.database_pool_size,
        "Index": replicas["Index"] * INDEX_POOL,
        "Dispatcher": replicas["Dispatcher"] * (DISPATCHER_POOL + LISTENER),
        "jobs": replicas["Dispatcher"] * running * (JOB_POOL + LEASE_KEEPER),
    }


def most_replicas(deployment: dict[str, Any], surge_percent: int) -> int:
    """The most replicas that a deployment may have: during an update, the new ones come on top.

    surge_percent: what the code sets; the config may set another one.
    """
    scaling = deployment.get("autoscaling_config", {})
    most = int(scaling.get("max_replicas") or deployment.get("num_replicas", 1))
    return most + math.ceil(most * int(deployment.get("max_surge_percent", surge_percent)) / 100)
