"""Replicas, jobs and a re-index fit the machines; otherwise Ray would let them wait for ever."""

import re
from typing import Any

import pytest
import yaml

from jobs.registry import HANDLERS
from models.devices import CONTEXT_BYTES
from settings import PROJECT_ROOT

STARTER_CPUS = 2
PRODUCTION = "serve_config.yaml"
CONTEXT_GIB = CONTEXT_BYTES / 2**30
NEED_GIB = {"Embedder": 0.7, "Segmenter": 1.4 + 2.1, "TryOn": 13.0 + 0.4, "re-index": 0.7}
"""What torch allocates for each in half precision, from benchmarks/results/production_size.md.

SegFormer B5 took 2.1 GiB for a batch of 8; TryOn has the parser too, with a batch of 1.
"""


def application(path: str) -> dict[str, Any]:
    (application,) = yaml.safe_load((PROJECT_ROOT / path).read_text())["applications"]
    return dict(application)


def deployments(path: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in application(path)["deployments"]}


def least_replicas(deployment: dict[str, Any]) -> int:
    scaling = deployment.get("autoscaling_config", {})
    return int(scaling.get("min_replicas") or deployment.get("num_replicas", 1))


def least(path: str, resource: str) -> float:
    """What all deployments take of a resource with their smallest numbers of replicas."""
    return sum(
        least_replicas(one) * float(one["ray_actor_options"].get(resource, 0))
        for one in deployments(path).values()
    )


def bulk(path: str) -> dict[str, float]:
    arguments = application(path)["args"]["dispatcher"]["reindex"]
    return {
        "num_cpus": arguments["readers"] * arguments["reader_cpus"]
        + arguments["models"] * arguments["model_cpus"],
        "num_gpus": arguments["models"] * arguments.get("model_gpus", 0.0),
    }


def job_cpus(path: str) -> float:
    return float(application(path)["args"]["dispatcher"]["run"]["cpus"])


@pytest.mark.parametrize("path", ["local/serve_config.yaml", PRODUCTION])
def test_no_job_wants_more_than_a_dispatcher_has(path: str) -> None:
    assert max(handler.num_cpus for handler in HANDLERS.values()) <= job_cpus(path)


def test_the_starter_s_jobs_fit_beside_its_replicas() -> None:
    path = "local/serve_config.yaml"
    assert least(path, "num_cpus") + job_cpus(path) <= STARTER_CPUS


def test_production_and_a_reindex_fit_on_one_gpu() -> None:
    assert 0 < least(PRODUCTION, "num_gpus") + bulk(PRODUCTION)["num_gpus"] <= 1


def test_production_and_its_jobs_fit_on_the_smallest_cluster() -> None:
    """One node of each kind of cluster.yaml; then one node less, without the jobs."""
    kinds = yaml.safe_load((PROJECT_ROOT / "cluster.yaml").read_text())["available_node_types"]
    nodes = [kind["resources"]["CPU"] for kind in kinds.values() for _ in range(kind_count(kind))]
    gateway = deployments(PRODUCTION)["Gateway"]
    workers = [cpus for cpus in nodes if cpus]
    assert least_replicas(gateway) <= gateway["max_replicas_per_node"] * len(workers)
    replicas = least(PRODUCTION, "num_cpus")
    assert replicas + bulk(PRODUCTION)["num_cpus"] + job_cpus(PRODUCTION) <= sum(nodes)
    assert replicas <= max(nodes)


def kind_count(kind: dict[str, Any]) -> int:
    return int(kind.get("min_workers", 0)) or int(kind["resources"]["CPU"] == 0)


def test_scaling_never_decides_twice_on_the_same_requests() -> None:
    scaled = [
        one
        for one in deployments(PRODUCTION).values()
        if (scaling := one["autoscaling_config"])["max_replicas"] > scaling["min_replicas"]
    ]
    assert len(scaled) == 6  # all but Dispatcher
    for deployment in scaled:
        scaling = deployment["autoscaling_config"]
        for delay in ("upscale_delay_s", "downscale_delay_s"):
            assert scaling[delay] > scaling["look_back_period_s"], deployment["name"]


def cards() -> list[tuple[str, float, dict[str, float]]]:
    """The table of serve_config.yaml: each GPU's name, GiB, and the shares that it advises."""
    text = (PROJECT_ROOT / PRODUCTION).read_text()
    (heading,) = re.findall(r"^#   GPU +(.+)$", text, re.MULTILINE)
    rows = re.findall(r"^#   (\S+) +([\d.]+) GiB +((?:[\d.]+ +){4})", text, re.MULTILINE)
    return [
        (name, float(gib), dict(zip(heading.split(), map(float, shares.split()), strict=True)))
        for name, gib, shares in rows
    ]


@pytest.mark.parametrize(("name", "gib", "shares"), cards())
def test_every_network_fits_into_its_share(name: str, gib: float, shares: dict[str, float]) -> None:
    assert shares.keys() == NEED_GIB.keys()
    for network, share in shares.items():
        assert NEED_GIB[network] + CONTEXT_GIB <= share * gib, f"{network} on {name}"
    assert sum(share for share in shares.values() if share < 1) <= 1 + 1e-9


def test_the_table_names_the_shares_of_the_file() -> None:
    own = {
        name: one["ray_actor_options"]["num_gpus"]
        for name, one in deployments(PRODUCTION).items()
        if "num_gpus" in one["ray_actor_options"]
    } | {"re-index": bulk(PRODUCTION)["num_gpus"]}
    assert [name for name, _, shares in cards() if shares == own] == ["H200", "A100", "A100"]
    assert len(cards()) == 5
