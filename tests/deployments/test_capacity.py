"""Every type of job fits beside the replicas; otherwise Ray would let it wait for ever."""

import pytest
import yaml

from jobs.registry import HANDLERS
from settings import PROJECT_ROOT

STARTER_CPUS = 2


def read(path: str) -> tuple[float, float]:
    """The CPUs of all replicas together, and the CPUs that a dispatcher has for jobs."""
    (application,) = yaml.safe_load((PROJECT_ROOT / path).read_text())["applications"]
    replicas = sum(
        deployment.get("num_replicas", 1) * deployment["ray_actor_options"]["num_cpus"]
        for deployment in application["deployments"]
    )
    return replicas, application["args"]["dispatcher"]["run"]["cpus"]


@pytest.mark.parametrize("path", ["local/serve_config.yaml", "serve_config.yaml"])
def test_no_job_wants_more_than_a_dispatcher_has(path: str) -> None:
    _, jobs = read(path)
    assert max(handler.num_cpus for handler in HANDLERS.values()) <= jobs


def test_the_starter_s_jobs_fit_beside_its_replicas() -> None:
    replicas, jobs = read("local/serve_config.yaml")
    assert replicas + jobs <= STARTER_CPUS
