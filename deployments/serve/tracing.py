"""Spans over OTLP, where an exporter is configured; Ray Serve records most of them itself.

Serve propagates the trace from replica to replica; this module exports the spans.
Without `STUDIO_OTLP_URL` or the standard `OTEL_*` variables nothing imports it, and no span is
recorded.
"""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

FLUSH_LIMIT_MS = 3000


def span_processors() -> list[SpanProcessor]:
    """The exporter, which reads `OTEL_*` itself. Serve imports this function by name."""
    return [BatchSpanProcessor(OTLPSpanExporter())]


def send_spans() -> None:
    """Sends the spans that wait, because Ray ends workers without notice."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.force_flush(FLUSH_LIMIT_MS)
