"""What the metrics of try-ons and GPUs record."""

import asyncio
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
    from ray.util.metrics import Gauge

    from deployments.serve import metrics as module
    from deployments.serve import replica
    from deployments.serve.metrics import GpuMetrics, TryOnMetrics
    from deployments.serve.replica import Replica


def test_a_step_is_the_time_between_two_reports_of_the_painter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics, seconds = TryOnMetrics(), list[float]()
    monkeypatch.setattr(metrics._steps, "observe", seconds.append)
    observe = metrics.step_observer()
    for phase in ("parse", "warp", "inpaint", "inpaint", "inpaint", "repaint"):
        observe(phase)
    assert len(seconds) == 2


def test_phases_have_the_names_of_the_answer_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, phases = TryOnMetrics(), dict[str, float]()
    monkeypatch.setattr(
        metrics._phases, "observe", lambda value, tags: phases.update({tags["phase"]: value})
    )
    metrics.observe_phases({"queueMs": 1500.0, "warpMs": 20.0})
    assert phases == {"queue": 1.5, "warp": 0.02}


async def test_a_replica_with_a_gpu_reports_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(module, "gpu_memory", lambda: {"allocated": 7, "reserved": 9})
    monkeypatch.setattr(Gauge, "set", lambda _, value, tags: shown.append(tags))
    for device in ("auto", "cuda"):
        monkeypatch.setattr(replica, "replica_device", lambda device=device: device)
        monkeypatch.setattr(replica, "prepare_replica", lambda: None)
        monkeypatch.setattr(replica, "log_to_worker_files", lambda: None)
        Painter()
        await asyncio.sleep(0.01)
        assert bool(shown) == (device == "cuda")
    await replica._background.aclose()
    assert {tags["kind"] for tags in shown} == {"allocated", "reserved"}
    assert {tags["deployment"] for tags in shown} == {"Painter"}


class Painter(Replica):
    """A replica of no deployment."""


def test_a_process_without_cuda_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gauge, "set", lambda *_, **__: pytest.fail("no GPU here"))
    GpuMetrics("TryOn").show()
