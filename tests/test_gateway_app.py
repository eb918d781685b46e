"""The built application: every deployment is prepared, and no secret is in what Serve stores."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from errors import SetupError
from settings import PROJECT_ROOT, Settings, load_settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what Ray Serve imports
    import ray
    from ray import cloudpickle
    from ray.serve._private.build_app import build_app

    from deployments.handles import Handles
    from deployments.profile import embedder_config
    from deployments.rollout import NextOptions
    from deployments.serve import preflight, replica
    from deployments.serve.replica import Replica, replica_device
    from deployments.serve.studio import job_studio
    from gateway_app import StudioArgs, build
    from jobs.bulk_embedding import BulkEmbeddingArgs
    from jobs.registry import on_cluster

SECRETS = {
    "STUDIO_DATABASE_URL": "postgresql://studio:database-secret@127.0.0.1:1/studio",
    "STUDIO_REDIS_URL": "redis://:redis-secret@127.0.0.1:1",
    "STUDIO_BLOB_URL": "https://blobs.example/c?sig=blob-secret",
    "STUDIO_JWT_SECRET": "jwt-secret-of-thirty-two-bytes-or-more",
    "STUDIO_JWT_PREVIOUS_SECRET": "previous-secret-of-thirty-two-bytes-or-more",
    "STUDIO_DEMO_PASSWORD": "demo-secret",
    "STUDIO_OIDC_ISSUER": "https://openid.example",
    "STUDIO_OIDC_CLIENT_ID": "openid-client",
    "STUDIO_OIDC_CLIENT_SECRET": "openid-secret",
    "STUDIO_PAYPAL_URL": "sandbox",
    "STUDIO_PAYPAL_CLIENT_ID": "paypal-client",
    "STUDIO_PAYPAL_CLIENT_SECRET": "paypal-secret",
    "STUDIO_PAYPAL_WEBHOOK_ID": "WH1",
}
NAMES = ["Dispatcher", "Embedder", "Gateway", "Index", "Regressor", "Segmenter", "TryOn"]
CONFIGS = ["local/serve_config.yaml", "serve_config.yaml"]


@pytest.fixture(params=CONFIGS)
def deployments(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """The application of a config, as Serve builds it, by deployment."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (application,) = yaml.safe_load((PROJECT_ROOT / request.param).read_text())["applications"]
    built = build_app(build(StudioArgs(**application["args"])), name="studio")
    yield {deployment.name: deployment for deployment in built.deployments}


def pickled(deployment: Any) -> bytes:
    """All that Serve's controller stores of a deployment: its class, arguments and options."""
    stored = (
        deployment.func_or_class,
        deployment.init_args,
        deployment.init_kwargs,
        deployment.ray_actor_options,
        deployment.user_config,
    )
    return bytes(cloudpickle.dumps(stored))  # type: ignore[no-untyped-call]


def test_every_setting_that_may_hold_a_secret_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"STUDIO_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in names if "SECRET" in name or "PASSWORD" in name} <= SECRETS.keys()
    assert SECRETS.keys() <= names


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_pickled(deployments: dict[str, Any], name: str) -> None:
    stored = pickled(deployments[name])
    assert len(stored) > 100
    for variable, value in SECRETS.items():
        parts = {value, value.partition("//")[2]} - {""}
        assert not any(part.encode() in stored for part in parts), (name, variable)
    assert b"-secret" not in stored, name


def test_no_secret_is_in_the_arguments_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handlers travel to Ray's tasks, and a re-index sends its embedder to actors."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    handlers = on_cluster(BulkEmbeddingArgs(), embedder_config(load_settings()))
    stored = bytes(cloudpickle.dumps((handlers, job_studio)))  # type: ignore[no-untyped-call]
    assert b"-secret" not in stored


def test_every_deployment_is_bound_once_and_is_a_replica(deployments: dict[str, Any]) -> None:
    assert sorted(deployments) == NAMES
    for deployment in deployments.values():
        assert issubclass(deployment.func_or_class, Replica), deployment.name


def test_the_gateway_holds_a_handle_of_every_other_deployment(deployments: dict[str, Any]) -> None:
    _, handles = deployments["Gateway"].init_args
    assert isinstance(handles, Handles)
    names = {handle.deployment_name for handle in handles.all()}
    assert names == set(NAMES) - {"Gateway"}
    running = Handles.of_application("studio", load_settings())
    assert {handle.deployment_name for handle in running.all()} == names


def test_next_models_are_deployed_where_a_setting_names_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = {
        "STUDIO_EMBEDDER_NEXT_PRECISION": "bf16", "STUDIO_SAM_NEXT": "starter",
        "STUDIO_TRYON_NEXT": "local-dir:/painter",
    }  # fmt: skip
    for name, value in (SECRETS | variables).items():
        monkeypatch.setenv(name, value)
    capacity = {"embedder": {"num_replicas": 2, "ray_actor_options": {"num_cpus": 0.2}}}
    built = build_app(build(StudioArgs(next=NextOptions(**capacity))), name="studio")
    deployments = {deployment.name: deployment for deployment in built.deployments}
    assert sorted(deployments) == sorted([*NAMES, "EmbedderNext", "SegmenterNext", "TryOnNext"])
    assert deployments["EmbedderNext"].num_replicas == 2
    arguments: dict[str, Any] = {name: one.init_args for name, one in deployments.items()}
    embedder, following = (arguments[name][0] for name in ("Embedder", "EmbedderNext"))
    assert following == replace(embedder, precision="bf16")
    assert arguments["SegmenterNext"][0] == arguments["Segmenter"][0]
    assert arguments["SegmenterNext"][1].checkpoint == "starter"
    assert arguments["TryOnNext"][0].painter.checkpoint == "local-dir:/painter"
    _, handles = arguments["Gateway"]
    names = {handle.deployment_name for handle in handles.all()}
    assert names == deployments.keys() - {"Gateway"}
    running = Handles.of_application("studio", load_settings())
    assert {handle.deployment_name for handle in running.all()} == names
    assert not any(b"-secret" in pickled(deployment) for deployment in deployments.values())


def test_a_replica_is_prepared_before_its_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(replica, "prepare_replica", lambda: steps.append("prepared"))
    monkeypatch.setattr(replica, "log_to_worker_files", lambda: steps.append("logs"))

    class Forgetful(Replica):
        def __init__(self, number: int, *, name: str) -> None:
            steps.append(f"{number} {name}")

    Forgetful(1, name="a")
    assert steps == ["prepared", "logs", "1 a"]


def test_the_schema_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    async def missing(_: str) -> list[str]:
        return ["0001"]

    monkeypatch.setattr(preflight, "missing_migrations", missing)
    with pytest.raises(SetupError, match="studio migrate"):
        build(StudioArgs())


@pytest.mark.parametrize(
    ("config", "gpus", "device"),
    [("auto", {}, "auto"), ("auto", {"GPU": 0.2}, "cuda"), ("cpu", {"GPU": 0.2}, "cpu")],
)
def test_a_replica_with_a_share_of_a_gpu_must_find_it(
    monkeypatch: pytest.MonkeyPatch, config: str, gpus: dict[str, float], device: str
) -> None:
    class Context:
        def get_assigned_resources(self) -> dict[str, float]:
            return {"CPU": 4.0} | gpus

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: ["0"] * len(gpus))
    monkeypatch.setattr(ray, "get_runtime_context", Context)
    assert replica_device(config) == device
