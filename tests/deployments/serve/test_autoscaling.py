"""The autoscaling policy, with the contexts and the wrapper that Serve's controller makes."""

import re
import warnings
from typing import Any

import pytest
import yaml

from deployments.serve.connections import PRODUCTION_CONFIG
from studio.jobs.registry import JOB_TYPES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve's own, of what it imports
    from ray.serve._private.common import DeploymentID, ReplicaID
    from ray.serve.autoscaling_policy import _apply_app_level_autoscaling_config
    from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

    from deployments.serve.autoscaling import DUE, JOBS_OF, follow_backlog

PATH = "deployments.serve.autoscaling:follow_backlog"
TRYON = DeploymentID("TryOn", "studio")
DISPATCHER = DeploymentID("Dispatcher", "studio")
CONFIG = AutoscalingConfig(
    min_replicas=1, max_replicas=4, target_ongoing_requests=2, upscale_delay_s=10,
    downscale_delay_s=600,
)  # fmt: skip


def context(
    deployment: DeploymentID, requests: float, replicas: int = 1, **metrics: float
) -> AutoscalingContext:
    """As the controller makes it; `metrics` are the means of each replica, with _ for a colon."""
    ids = [ReplicaID(f"r{number}", deployment) for number in range(replicas)]
    return AutoscalingContext(
        deployment_id=deployment, deployment_name=deployment.name, app_name="studio",
        current_num_replicas=replicas, target_num_replicas=replicas, running_replicas=ids,
        total_num_requests=lambda: requests, total_queued_requests=0.0,
        aggregated_metrics={
            name.replace("_", ":"): dict.fromkeys(ids, value) for name, value in metrics.items()
        },
        raw_metrics={}, capacity_adjusted_min_replicas=1, capacity_adjusted_max_replicas=4,
        policy_state={}, last_scale_up_time=None, last_scale_down_time=None, current_time=0.0,
        config=CONFIG,
    )  # fmt: skip


def replicas_for(scaled: AutoscalingContext, **due: float) -> float:
    """The replicas of TryOn for a number of due jobs by type, as two dispatchers report it."""
    metrics = {f"{DUE[:-1]}_{name}": count for name, count in due.items()}
    contexts = {TRYON: scaled, DISPATCHER: context(DISPATCHER, 0, 2, **metrics)}
    return follow_backlog(contexts)[0][TRYON]


@pytest.mark.parametrize(("requests", "expected"), [(0, 0), (1, 0.5), (2, 1), (6, 3)])
def test_without_jobs_requests_decide(requests: float, expected: float) -> None:
    assert replicas_for(context(TRYON, requests, busy=1.0)) == expected


def test_due_jobs_count_where_the_networks_are_busy() -> None:
    assert replicas_for(context(TRYON, 2, busy=0.9), tryon=6) == 4
    assert replicas_for(context(TRYON, 2, busy=0.1), tryon=6) == 1
    assert replicas_for(context(TRYON, 2), tryon=6) == 1  # replicas that report nothing
    assert replicas_for(context(TRYON, 0, busy=0.0), tryon=1000) == 0


def test_jobs_of_other_types_are_no_backlog() -> None:
    assert replicas_for(context(TRYON, 2, busy=1.0), **{"rebuild-index": 100}) == 1


def decide(tryon: AutoscalingContext, due: float, state: dict[str, Any]) -> tuple[int, Any]:
    """The controller's decision: with delays, before the bounds."""
    tryon.policy_state = state
    contexts = {TRYON: tryon, DISPATCHER: context(DISPATCHER, 0, 2, due_tryon=due)}
    decisions, states = _apply_app_level_autoscaling_config(follow_backlog)(contexts)
    return decisions[TRYON], states[TRYON]


def test_a_backlog_scales_up_after_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("ray.serve.autoscaling_policy.time.time", lambda: now_s)
    busy = context(TRYON, 2, busy=1.0)
    number, state = decide(busy, 4, {})
    assert number == 1  # not yet
    now_s += 11
    assert decide(busy, 4, state)[0] == 3


def test_it_scales_down_after_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("ray.serve.autoscaling_policy.time.time", lambda: now_s)
    idle = context(TRYON, 0, replicas=4, busy=0.0)
    number, state = decide(idle, 0, {})
    assert number == 4
    now_s += 599
    number, state = decide(idle, 0, state)
    assert number == 4
    now_s += 2
    assert decide(idle, 0, state)[0] == 1


def test_the_production_config_names_the_policy() -> None:
    (application,) = yaml.safe_load(PRODUCTION_CONFIG.read_text())["applications"]
    assert application["autoscaling_policy"] == {"policy_function": PATH}
    scaled = {one["name"] for one in application["deployments"] if "autoscaling_config" in one}
    assert {"Dispatcher", *JOBS_OF} <= scaled  # the policy sees no other deployments
    assert {name for names in JOBS_OF.values() for name in names} == set(JOB_TYPES)


def test_the_controller_needs_no_package_of_the_studio() -> None:
    policy: Any = AutoscalingPolicy(policy_function=PATH)  # type: ignore[no-untyped-call]
    definition = policy.get_serialized_policy_def()
    assert definition is not None
    assert re.search(rb"deployments\.serve\.(?!autoscaling)|studio\.|settings", definition) is None
    restored = AutoscalingPolicy.from_serialized_policy_def(
        {"policy_function": PATH}, definition
    ).get_policy()
    assert restored({TRYON: context(TRYON, 4, busy=1.0)}) == ({TRYON: 2.0}, {})
