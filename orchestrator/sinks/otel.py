"""Whether traces are asked for, by OpenTelemetry's own variables. Knows nothing of the library, which may be missing.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.errors import UsageError

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"


def asks_for_traces(env: Mapping[str, str]) -> bool:
    """By `OTEL_TRACES_EXPORTER=otlp`, or by an endpoint where that is left out."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = {each.strip().lower() for each in env.get("OTEL_TRACES_EXPORTER", "").split(",")} - {""}
    return "otlp" in exporters or (not exporters and any(env.get(name) for name in _ENDPOINTS))


def check_protocol(env: Mapping[str, str]) -> None:
    """Raises `UsageError` when another one is asked for than we have."""
    protocol = next((env[name].strip() for name in _PROTOCOLS if env.get(name)), PROTOCOL)
    if protocol != PROTOCOL:
        raise UsageError(
            f"there is no {protocol} here: set OTEL_EXPORTER_OTLP_PROTOCOL={PROTOCOL}, usually on port 4318"
        )
