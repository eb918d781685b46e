"""Every type of job finds room beside the replicas: Ray would let it wait for ever, in silence."""

import pytest
import yaml

from jobs.registry import HANDLERS
from settings import PROJECT_ROOT

STARTER_CPUS = 2


def read(path: str) -> tuple[float, float]:
    """CPUs of all replicas together, and those that a dispatcher counts with for jobs."""
    (application,) = yaml.safe_load((PROJECT_ROOT / path).read_text())["applications"]
    replicas = sum(
        one.get("num_replicas", 1) * one["ray_actor_options"]["num_cpus"]
        for one in application["deployments"]
    )
    return replicas, application["args"]["dispatcher"]["run"]["cpus"]


@pytest.mark.parametrize("path", ["local/serve_config.yaml", "serve_config.yaml"])
def test_no_job_wants_more_than_a_dispatcher_has(path: str) -> None:
    _, jobs = read(path)
    assert max(handler.num_cpus for handler in HANDLERS.values()) <= jobs


def test_the_starter_s_jobs_fit_beside_its_replicas() -> None:
    replicas, jobs = read("local/serve_config.yaml")
    assert replicas + jobs <= STARTER_CPUS
