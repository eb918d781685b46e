"""The studio's metrics for Prometheus; Ray exports them on a port of every node.

`ops/` has the dashboard and the alerts that use these names, along with Serve's own metrics.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ray.util.metrics import Counter, Gauge, Histogram

from models.devices import gpu_memory
from studio.background import Background
from studio.batching import BatchReport

SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0]
SIZES = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]


REPORT_S = 5.0
"""Ray forgets a gauge that has not been set for two of its reports, which are 10 s apart."""

_background = Background()
"""Runs the task that reports this process's gauges."""
_lasting: list["LastingGauge"] = []


class LastingGauge:
    """A gauge that is set when something happens, and keeps its value while nothing does."""

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...] = ()) -> None:
        self.gauge = Gauge(name, description, tag_keys=tag_keys)
        self._values: dict[tuple[tuple[str, str], ...], float] = {}
        _lasting.append(self)

    def set(self, value: float, **tags: str) -> None:
        """Sets the value of these tags."""
        self._values[tuple(tags.items())] = value
        self.gauge.set(value, tags=tags)

    def report(self) -> None:
        """Sets all values again."""
        for tags, value in self._values.items():
            self.gauge.set(value, tags=dict(tags))


def report_gauges(deployment: str) -> None:
    """Reports the lasting gauges and the GPU memory of this process as long as it runs."""
    gpu = GpuMetrics(deployment)

    async def report() -> None:
        while True:
            for gauge in _lasting:
                gauge.report()
            gpu.show()
            await asyncio.sleep(REPORT_S)

    with suppress(RuntimeError):  # without an event loop this is no replica
        asyncio.get_running_loop()
        _background.start("gauges", report)


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
    """How full the batches of one deployment are, how long they take, and what waits for the next.

    `rate(…_seconds_sum)` is the share of time in which the model of a replica is busy.
    """

    def __init__(self) -> None:
        self._sizes = Histogram(
            "studio_batch_size", "Items of one batch.", boundaries=SIZES, tag_keys=("batcher",)
        )
        self._waiting = LastingGauge(
            "studio_batch_waiting", "Items that wait for a batch.", ("batcher",)
        )
        self._wait_seconds = Histogram(
            "studio_batch_wait_seconds",
            "How long the oldest item of a batch has waited for it.",
            boundaries=SECONDS,
            tag_keys=("batcher",),
        )
        self._seconds = Histogram(
            "studio_batch_seconds",
            "How long the model takes for a batch.",
            boundaries=SECONDS,
            tag_keys=("batcher",),
        )

    def of(self, batcher: str) -> Callable[[BatchReport], None]:
        """The observer of one `studio.batching.MicroBatcher`."""
        tags = {"batcher": batcher}

        def observe(report: BatchReport) -> None:
            self._sizes.observe(report.size, tags=tags)
            self._waiting.set(report.waiting, batcher=batcher)
            self._wait_seconds.observe(report.wait_s, tags=tags)
            self._seconds.observe(report.run_s, tags=tags)

        return observe


class TryOnMetrics:
    """The queue, the phases and the painter's steps of try-ons."""

    def __init__(self) -> None:
        self._waiting = LastingGauge("studio_tryon_waiting", "Try-ons that wait or run.")
        self._waiting.set(0)
        self._phases = Histogram(
            "studio_tryon_phase_seconds",
            "The phases of a try-on; `queue` is the wait for its turn.",
            boundaries=SECONDS,
            tag_keys=("phase",),
        )
        self._steps = Histogram(
            "studio_tryon_step_seconds", "One step of the painter.", boundaries=SECONDS
        )

    def show_waiting(self, count: int) -> None:
        """Sets the length of the queue."""
        self._waiting.set(count)

    def step_observer(self) -> Callable[[str], None]:
        """A function to call with the phase that each progress report of one try-on begins.

        Two reports of `inpaint` in a row are one step apart.
        """
        last_phase, last_s = "", 0.0

        def observe(phase: str) -> None:
            nonlocal last_phase, last_s
            now_s = time.perf_counter()
            if phase == last_phase == "inpaint":
                self._steps.observe(now_s - last_s)
            last_phase, last_s = phase, now_s

        return observe

    def observe_phases(self, timings_ms: Mapping[str, float]) -> None:
        """Counts one try-on; the keys are those of its answer, such as `warpMs`."""
        for name, elapsed_ms in timings_ms.items():
            self._phases.observe(elapsed_ms / 1000, tags={"phase": name.removesuffix("Ms")})


class GpuMetrics:
    """The GPU memory of this replica's process; nothing where torch uses no GPU.

    Ray exports the use of each GPU (`ray_node_gpus_utilization`), but what it says of a process
    needs the process's number outside of its container.
    """

    def __init__(self, deployment: str) -> None:
        self._bytes = Gauge(
            "studio_gpu_memory_bytes",
            "GPU memory of torch in one replica: in use by tensors, and reserved.",
            tag_keys=("deployment", "kind"),
        )
        self._deployment = deployment

    def show(self) -> None:
        """Sets the gauges."""
        for kind, size_bytes in gpu_memory().items():
            self._bytes.set(size_bytes, tags={"deployment": self._deployment, "kind": kind})


class DatabaseMetrics:
    """What the database says. All dispatchers report the same numbers."""

    def __init__(self) -> None:
        self._connections = Gauge("studio_database_connections", "Open PostgreSQL connections.")
        self._limit = Gauge(
            "studio_database_connections_limit", "Connections that PostgreSQL allows."
        )
        self._coverage = Gauge(
            "studio_regressor_coverage",
            "The least share of held-out sales inside the bounds, of all active regressors.",
        )

    def show(self, connections: int, limit: int, coverage: float | None) -> None:
        """Sets the gauges; `coverage` is None where no merchant has trained a regressor."""
        self._connections.set(connections)
        self._limit.set(limit)
        if coverage is not None:
            self._coverage.set(coverage)


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
