"""Spans are recorded only where an exporter is configured, by variables of Ray's processes."""

import pytest

from deployments.serve.ingress import tracing_environment


def test_nothing_is_recorded_without_an_exporter() -> None:
    assert tracing_environment({"OTEL_SERVICE_NAME": "x", "STUDIO_PORT": "8000"}) == {}


@pytest.mark.parametrize(
    "environment",
    [
        {"STUDIO_OTLP_URL": "http://collector:4318"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"},
    ],
)
def test_each_way_to_name_an_exporter_turns_serves_tracing_on(environment: dict[str, str]) -> None:
    variables = tracing_environment(environment)
    assert (
        variables["RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"]
        == "deployments.serve.tracing:span_processors"
    )
    ratio = environment.get("OTEL_TRACES_SAMPLER_ARG", "1.0")
    assert variables["RAY_SERVE_TRACING_SAMPLING_RATIO"] == ratio
    endpoint = (environment | variables).get("OTEL_EXPORTER_OTLP_ENDPOINT")
    assert (
        endpoint == "http://collector:4318" or "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in environment
    )
