"""`make proof CRD=file`: the manifest against the real definition of RayService.

The file is `ray.io_rayservices.yaml` of a KubeRay release (helm-chart/kuberay-operator/crds).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.kuberay import manifests

KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
}  # fmt: skip


@pytest.fixture
def schema() -> Any:
    if not (path := os.environ.get("CRD")):
        pytest.skip("make proof CRD=ray.io_rayservices.yaml")
    definition = yaml.safe_load(Path(path).read_text())
    versions = {one["name"]: one["schema"] for one in definition["spec"]["versions"]}
    return versions["v1"]["openAPIV3Schema"]


def problems(value: Any, schema: Any, path: str = "") -> Iterator[str]:
    """What the API server would drop or refuse: unknown or missing fields, wrong types."""
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str):
            yield f"{path}: neither a number nor a text"
        return
    if "type" in schema and not isinstance(value, KINDS[schema["type"]]):
        yield f"{path}: not of type {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value} is none of {schema['enum']}"
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from problems(item, schema["items"], f"{path}[{number}]")
    if isinstance(value, dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name in schema.get("required", []):
            if name not in value:
                yield f"{path}.{name}: missing"
        for name, item in value.items():
            if name in fields or others:
                yield from problems(item, fields.get(name, others), f"{path}.{name}")
            elif fields:
                yield f"{path}.{name}: unknown"


def ray_service(*options: str) -> Any:
    return next(one for one in manifests(*options) if one["kind"] == "RayService")


@pytest.mark.proof
@pytest.mark.parametrize(
    "options", [(), ("--models-claim", "models", "--identity", "id", "--otlp", "http://otel:4318")]
)
def test_the_real_definition_knows_every_field(schema: Any, options: tuple[str, ...]) -> None:
    assert list(problems(ray_service(*options), schema)) == []


@pytest.mark.proof
def test_a_misspelt_or_missing_field_would_be_noticed(schema: Any) -> None:
    service = ray_service()
    cluster = service["spec"]["rayClusterConfig"]
    cluster["enableInTreeAutoscalling"] = cluster.pop("enableInTreeAutoscaling")
    cluster["workerGroupSpecs"][0]["minReplicas"] = "1"
    del cluster["workerGroupSpecs"][1]["template"]
    assert {problem.rpartition(".")[2] for problem in problems(service, schema)} == {
        "enableInTreeAutoscalling: unknown", "minReplicas: not of type integer",
        "template: missing",
    }  # fmt: skip
