"""The studio's metrics for Prometheus; Ray exports them on a port of every node.

`ops/` has the dashboard and the alerts that use these names, along with Serve's own metrics.
"""

from collections.abc import Callable, Mapping

from ray.util.metrics import Counter, Gauge, Histogram

SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0]
SIZES = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]


class RequestMetrics:
    """Requests by route and status, and their duration, for `gateway.envelope.Observe`."""

    def __init__(self) -> None:
        self._requests = Counter(
            "studio_http_requests", "Answered requests.", tag_keys=("method", "route", "status")
        )
        self._seconds = Histogram(
            "studio_http_request_seconds",
            "From the first byte of a request to the last of its answer.",
            boundaries=SECONDS,
            tag_keys=("method", "route"),
        )

    def observe(self, method: str, route: str, status: int, elapsed_ms: float) -> None:
        """Counts one answer."""
        tags = {"method": method, "route": route}
        self._requests.inc(tags=tags | {"status": str(status)})
        self._seconds.observe(elapsed_ms / 1000, tags=tags)


class BatchMetrics:
    """How full the batches of one deployment are, and how many items wait for the next."""

    def __init__(self) -> None:
        self._sizes = Histogram(
            "studio_batch_size", "Items of one batch.", boundaries=SIZES, tag_keys=("batcher",)
        )
        self._waiting = Gauge(
            "studio_batch_waiting", "Items that wait for a batch.", tag_keys=("batcher",)
        )

    def of(self, batcher: str) -> Callable[[int, int], None]:
        """The observer of one `studio.batching.MicroBatcher`."""
        tags = {"batcher": batcher}

        def observe(size: int, waiting: int) -> None:
            self._sizes.observe(size, tags=tags)
            self._waiting.set(waiting, tags=tags)

        return observe


class IndexMetrics:
    """The index version that a replica serves, and the last catalogue change that it applied."""

    def __init__(self) -> None:
        self._version = Gauge(
            "studio_index_version", "1 for the version in service.", tag_keys=("version",)
        )
        self._products = Gauge("studio_index_products", "Products that can be found.")
        self._applied = Gauge("studio_index_applied_seq", "The last applied catalogue change.")
        self._loaded = Gauge("studio_index_loaded", "1 once a replica has loaded a version.")
        self._load_s = Gauge("studio_index_load_seconds", "How long the last load took.")
        self._fetched = Gauge("studio_index_fetched_bytes", "Bytes fetched from the blob store.")
        self._last_version: str | None = None

    def show(self, status: Mapping[str, object]) -> None:
        """Sets the gauges from `LiveIndex.status`."""
        version = status.get("version")
        if self._last_version is not None and self._last_version != version:
            self._version.set(0, tags={"version": self._last_version})
        if isinstance(version, str):
            self._version.set(1, tags={"version": version})
            self._last_version = version
        self._products.set(float(str(status.get("count", 0))))
        self._applied.set(float(str(status.get("appliedSeq", 0))))
        self._loaded.set(float(version is not None))
        self._load_s.set(float(str(status.get("loadSeconds", 0))))
        self._fetched.set(float(str(status.get("fetchedBytes", 0))))


class JobMetrics:
    """The job queue. All dispatchers report the same numbers, so queries take their maximum."""

    def __init__(self, types: list[str]) -> None:
        self._types = types
        self._queued = Gauge("studio_jobs_queued", "Due jobs that wait.", tag_keys=("type",))
        self._oldest = Gauge(
            "studio_jobs_oldest_seconds", "How long the oldest due job waits.", tag_keys=("type",)
        )
        self._jobs = Gauge(
            "studio_jobs", "Jobs by state; ended ones of the last hour.", tag_keys=("type", "state")
        )
        self._reported: set[tuple[str, str]] = set()

    def show(
        self,
        backlog: Mapping[str, Mapping[str, float]],
        states: Mapping[tuple[str, str], int],
    ) -> None:
        """Sets the gauges.

        Args:
            backlog: by type, from `db.job_counts.count_backlog`.
            states: how many jobs there are, by type and state.
        """
        for name in self._types:
            waiting = backlog.get(name, {})
            self._queued.set(waiting.get("due", 0), tags={"type": name})
            self._oldest.set(max(0.0, waiting.get("oldest_s", 0.0)), tags={"type": name})
        for name, state in self._reported | states.keys():
            self._jobs.set(states.get((name, state), 0), tags={"type": name, "state": state})
        self._reported |= states.keys()
