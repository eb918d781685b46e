"""What the metrics of try-ons and GPUs record."""

import asyncio
import warnings

import pytest

from studio.background import Background
from studio.batching import BatchReport

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
    from ray.util.metrics import Gauge

    from deployments.serve import metrics as module
    from deployments.serve.metrics import BatchMetrics, GpuMetrics, TryOnMetrics, report_gauges


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


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, dict[str, str]]]:
    """Every call of a gauge: its name, value and tags."""
    calls: list[tuple[str, float, dict[str, str]]] = []

    def record(gauge: Gauge, value: float, tags: dict[str, str] | None = None) -> None:
        calls.append((gauge.info["name"], value, tags or {}))

    monkeypatch.setattr(Gauge, "set", record)
    return calls


async def test_a_replica_reports_gauges_and_gpu_memory_again_and_again(
    monkeypatch: pytest.MonkeyPatch, settings: list[tuple[str, float, dict[str, str]]]
) -> None:
    """Ray forgets a gauge that nobody sets for 20 s: an idle queue would have no length."""
    monkeypatch.setattr(module, "gpu_memory", lambda: {"allocated": 7})
    monkeypatch.setattr(module, "REPORT_S", 0.001)
    monkeypatch.setattr(module, "_lasting", [])
    monkeypatch.setattr(
        module, "_background", Background()
    )  # another test may have begun to report
    BatchMetrics().of("texts")(BatchReport(3, 2, 0.1, 0.1))
    report_gauges("Embedder")
    async with asyncio.timeout(10):
        while len(settings) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await module._background.aclose()
    assert settings[:3] == [
        ("studio_batch_waiting", 2, {"batcher": "texts"}),
        ("studio_batch_waiting", 2, {"batcher": "texts"}),
        ("studio_gpu_memory_bytes", 7, {"deployment": "Embedder", "kind": "allocated"}),
    ]
    assert settings[3] == settings[0]


def test_a_process_without_cuda_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gauge, "set", lambda *_, **__: pytest.fail("no GPU here"))
    GpuMetrics("TryOn").show()
