"""Spans over OTLP, where an exporter is configured: Ray Serve makes most of them by itself.

Serve has the switch and the propagation from replica to replica; this says where spans go.
Nothing here is imported, and nothing recorded, without `STUDIO_OTLP_URL` or the standard `OTEL_*`.
"""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from ray.serve._private.tracing_utils import is_tracing_enabled, setup_tracing

FLUSH_LIMIT_MS = 3000


def span_processors() -> list[SpanProcessor]:
    """Serve imports this by name in every replica; the exporter reads `OTEL_*` itself."""
    return [BatchSpanProcessor(OTLPSpanExporter())]


def trace_worker(name: str) -> None:
    """Spans of a process that is no replica, once: Serve only looks after its own."""
    if not is_tracing_enabled():
        setup_tracing(component_name=name, component_id=str(os.getpid()))


def send_spans() -> None:
    """Sends what waits: Ray ends workers without asking."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.force_flush(FLUSH_LIMIT_MS)
