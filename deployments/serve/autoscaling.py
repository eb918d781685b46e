"""The application's autoscaling policy: requests in flight, and the jobs that wait for a model.

Serve pickles this module by value for its controller, which has none of the studio's packages.
"""

from typing import Any

from ray.serve.config import AutoscalingContext

JOBS_OF = {
    "TryOn": ("tryon",),
    "Segmenter": ("segment-batch", "tryon"),
    "Embedder": ("import-catalog", "rebuild-index", "train-regressor"),
}
"""The job types that call a deployment."""
BUSY = "busy"
"""1 while the networks of a replica run, else 0; Serve averages it over the look-back period."""
DUE = "due:"
"""The prefix of the Dispatcher's numbers of due jobs by type."""
BUSY_SHARE = 0.5
"""Due jobs count only where the networks are busy for at least this share of the time: the backlog
of a deployment that mostly idles is not its own, such as that of stopped dispatchers."""

Contexts = dict[Any, AutoscalingContext]


def follow_backlog(contexts: Contexts) -> tuple[dict[Any, float], dict[Any, dict[str, Any]]]:
    """The replicas that each deployment needs, before Serve applies its bounds and delays.

    A replica is to have `target_ongoing_requests` of the requests in flight and the due jobs.
    """
    due = due_jobs(contexts)
    replicas = {}
    for deployment, context in contexts.items():
        work = context.total_num_requests
        if busy_share(context) >= BUSY_SHARE:
            work += sum(due.get(name, 0.0) for name in JOBS_OF.get(deployment.name, ()))
        config: Any = context.config
        replicas[deployment] = work / config.get_target_ongoing_requests()
    return replicas, {}


def due_jobs(contexts: Contexts) -> dict[str, float]:
    """The number of due jobs by type; all dispatchers report the same, maybe not at one time."""
    due: dict[str, float] = {}
    for deployment, context in contexts.items():
        if deployment.name != "Dispatcher":
            continue
        for name, by_replica in (context.aggregated_metrics or {}).items():
            if name.startswith(DUE):
                due[name.removeprefix(DUE)] = max(by_replica.values(), default=0.0)
    return due


def busy_share(context: AutoscalingContext) -> float:
    """The share of time that the networks of the replicas ran; 0 where no replica reports it."""
    shares = (context.aggregated_metrics or {}).get(BUSY, {}).values()
    return sum(shares) / len(shares) if shares else 0.0
