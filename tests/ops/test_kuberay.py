"""The manifests on Kubernetes: what the command prints fits its machines and is closed."""

import re
import stat
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from deployments.serve.ingress import NODE_ENVIRONMENT, ingress_environment
from ops.kuberay import fields
from ops.kuberay.options import CPU, DATA_FOLDER, GPU, HEAD, HOME, MODELS_FOLDER, SECRETS, PodSize
from ops.kuberay.pod_fields import Fields
from settings import PROJECT_ROOT, Settings
from tests.ops.kuberay import REQUIRED, manifests, printed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what Ray Serve imports
    from ray.scripts.scripts import drain_node
    from ray.serve.schema import ServeDeploySchema

ALL = ("--models-claim", "models", "--identity", "11-22", "--otlp", "http://otel:4318")
KINDS = {
    kind.model_fields["kind"].default: kind
    for kind in vars(fields).values()
    if isinstance(kind, type) and issubclass(kind, Fields) and "kind" in kind.model_fields
}


def one(kind: str, *options: str) -> Any:
    (manifest,) = [one for one in manifests(*options) if one["kind"] == kind]
    return manifest


def cluster(*options: str) -> Any:
    return one("RayService", *options)["spec"]["rayClusterConfig"]


def pods(*options: str) -> dict[str, Any]:
    """The pod specs by group."""
    spec = cluster(*options)
    workers = {one["groupName"]: one["template"]["spec"] for one in spec["workerGroupSpecs"]}
    return {"head": spec["headGroupSpec"]["template"]["spec"]} | workers


def variables(pod: Any) -> dict[str, str]:
    return {one["name"]: one["value"] for one in pod["containers"][0]["env"]}


def deployments() -> list[Any]:
    config = yaml.safe_load(one("RayService")["spec"]["serveConfigV2"])
    (application,) = config["applications"]
    return list(application["deployments"])


@pytest.mark.parametrize("options", [(), ALL, ("--jobs",), ("--jobs", *ALL)])
def test_every_object_has_only_fields_that_are_known(options: tuple[str, ...]) -> None:
    for manifest in manifests(*options):
        kind = TypeAdapter(KINDS[manifest["kind"]])
        assert kind.validate_python(manifest)
        with pytest.raises(ValidationError, match="Extra inputs"):
            kind.validate_python(manifest | {"spce": {}})


def test_the_service_carries_the_shipped_config() -> None:
    text = one("RayService")["spec"]["serveConfigV2"]
    assert text == (PROJECT_ROOT / "serve_config.yaml").read_text()
    schema = ServeDeploySchema.model_validate(yaml.safe_load(text))
    assert [app.import_path for app in schema.applications] == ["gateway_app:build"]


def test_what_runs_the_same_code_as_elsewhere() -> None:
    for pod in pods().values():
        assert (ingress_environment(8000) | NODE_ENVIRONMENT).items() <= variables(pod).items()
        names = {name.removesuffix("_FILE") for name in variables(pod) if name[:7] == "STUDIO_"}
        assert names <= {f"STUDIO_{field.upper()}" for field in Settings.model_fields}
    traced = variables(pods(*ALL)["gpu"])
    assert traced["STUDIO_OTLP_URL"] == traced["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel:4318"


def test_the_cluster_grows_and_outlives_its_head() -> None:
    spec = cluster()
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["gcsFaultToleranceOptions"]["redisAddress"] == "redis-ha:6379"
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in spec["workerGroupSpecs"]:
        assert 0 < group["minReplicas"] == group["replicas"] < group["maxReplicas"]


def kubelet_memory_gib(total: float) -> float:
    """What AKS keeps of a machine's memory, with the limit below which it evicts pods."""
    shares = ((4, 0.25), (4, 0.20), (8, 0.10), (112, 0.06), (1e9, 0.02))
    reserve, left = 0.75, total
    for step, share in shares:
        reserve += min(step, left) * share
        left -= min(step, left)
    return reserve


@pytest.mark.parametrize("size", [HEAD, GPU, CPU], ids=lambda size: size.machine)
def test_a_pod_fits_its_machine_beside_kubelet_and_daemons(size: PodSize) -> None:
    beside_cpus, beside_gib = (0.6, 1.25) if size is HEAD else (0.1, 0.25)  # autoscaler, logs
    assert size.cpus + beside_cpus <= size.machine_cpus - 0.42 - 0.4
    needed = size.memory_gib + beside_gib
    assert needed <= size.machine_gib - kubelet_memory_gib(size.machine_gib) - 1
    assert size.object_store_gib < size.memory_gib / 3


def test_the_smallest_cluster_holds_the_smallest_application() -> None:
    needs = {"num_cpus": 0.0, "num_gpus": 0.0}
    for deployment in deployments():
        scaling = deployment.get("autoscaling_config", {})
        least = scaling.get("min_replicas", deployment.get("num_replicas", 1))
        for name in needs:
            needs[name] += least * deployment["ray_actor_options"].get(name, 0)
    limits = [
        (group["minReplicas"], group["template"]["spec"]["containers"][0]["resources"]["limits"])
        for group in cluster()["workerGroupSpecs"]
    ]
    assert needs["num_cpus"] <= sum(count * float(limit["cpu"]) for count, limit in limits)
    gpus = sum(count * float(limit.get("nvidia.com/gpu", 0)) for count, limit in limits)
    assert needs["num_gpus"] <= gpus


def test_gpu_pods_go_to_gpu_machines_and_the_others_do_not() -> None:
    by_group = pods()
    gpu = by_group.pop("gpu")
    assert gpu["nodeSelector"] == {"kubernetes.azure.com/accelerator": "nvidia"}
    assert {one["key"] for one in gpu["tolerations"]} == {"nvidia.com/gpu", "sku"}
    for pod in by_group.values():
        assert "tolerations" not in pod
        assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]


def test_no_pod_runs_as_root_or_gains_rights() -> None:
    jobs = [one["spec"]["template"]["spec"] for one in manifests("--jobs", "--models-claim", "m")]
    assert len(jobs) == 2
    for pod in [*pods().values(), *jobs]:
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip


def test_the_cluster_of_pods_is_closed() -> None:
    assert cluster()["authOptions"] == {"mode": "token"}
    spec = one("NetworkPolicy")["spec"]
    assert spec["podSelector"] == {"matchLabels": {"ray.io/is-ray-node": "yes"}}
    assert spec["policyTypes"] == ["Ingress"]
    open_to_all = [rule for rule in spec["ingress"] if "from" not in rule]
    assert [port["port"] for rule in open_to_all for port in rule["ports"]] == [8000]
    to_others = {rule["ports"][0]["port"] for rule in spec["ingress"] if "ports" in rule}
    assert to_others == {8000, 8265, 8080}


def test_callers_come_by_tls_to_the_running_cluster_only() -> None:
    """KubeRay's own Service selects the cluster whose application runs, and its ready pods."""
    ingress = one("Ingress")["spec"]
    assert ingress["tls"] == [{"hosts": ["shop.example.com"], "secretName": "studio-tls"}]
    (rule,) = ingress["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": "studio-serve-svc", "port": {"number": 8000}}
    assert [manifest["kind"] for manifest in manifests()].count("Service") == 0
    assert one("RayService")["spec"]["upgradeStrategy"] == {"type": "NewCluster"}
    assert one("RayService")["spec"]["excludeHeadPodFromServeSvc"] is True
    for group, pod in pods().items():
        container = pod["containers"][0]
        assert {"name": "serve", "containerPort": 8000} in container["ports"]
        probe = container.get("readinessProbe", {}).get("httpGet")
        assert probe == (
            None if group == "head" else {"path": "/api/health/ready", "port": "serve"}
        )
        assert variables(pod)["STUDIO_PUBLIC_URL"] == "https://shop.example.com"
        assert variables(pod)["STUDIO_TRUSTED_PROXIES"] == '["10.244.0.0/16"]'


def test_a_pod_that_ends_has_time_to_drain() -> None:
    longest = max(deployment["graceful_shutdown_timeout_s"] for deployment in deployments())
    assert longest >= 180
    for group, pod in pods().items():
        if group == "head":
            continue
        script = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
        (deadline,) = re.findall(r"--deadline-remaining-seconds (\d+)", script)
        (wait,) = re.findall(r"seq (\d+)", script)
        assert longest < int(deadline) == int(wait)
        assert int(wait) + 30 < pod["terminationGracePeriodSeconds"]
    assert one("RayService")["spec"]["rayClusterDeletionDelaySeconds"] > longest


def test_the_hook_waits_for_the_replicas_of_its_pod(tmp_path: Path) -> None:
    """With another `ray` and another /proc: the rest is the pod's own shell."""
    *shell, script = pods()["cpu"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    ray = tmp_path / "ray"
    ray.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nexit 1\n')
    ray.chmod(ray.stat().st_mode | stat.S_IEXEC)
    replica = tmp_path / "7" / "cmdline"
    replica.parent.mkdir()
    replica.write_bytes(b"ray::ServeReplica:studio:Gateway\0")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PROC": str(tmp_path)}
    with subprocess.Popen([*shell, script], env=environment) as hook:
        time.sleep(0.5)
        assert hook.poll() is None  # also where the drain was refused
        replica.unlink()
        assert hook.wait(20) == 0
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("drain-node --reason DRAIN_NODE_REASON_PREEMPTION")


def test_this_version_of_ray_drains_by_that_command() -> None:
    options = {option for parameter in drain_node.params for option in parameter.opts}
    assert {"--reason", "--reason-message", "--deadline-remaining-seconds"} <= options


def test_a_drain_of_machines_takes_one_worker_at_a_time() -> None:
    budget = one("PodDisruptionBudget")["spec"]
    groups = cluster()["workerGroupSpecs"]
    assert budget["minAvailable"] == sum(group["minReplicas"] for group in groups) - 1 > 0
    for group in groups:
        labels = group["template"]["metadata"]["labels"]
        assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_prometheus_scrapes_the_port_that_every_pod_names() -> None:
    (endpoint,) = one("PodMonitor")["spec"]["podMetricsEndpoints"]
    for pod in pods().values():
        ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
        assert ports[endpoint["port"]] == 8080


def test_volumes() -> None:
    for pod in pods(*ALL).values():
        container = pod["containers"][0]
        places = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert places.keys() == {"/dev/shm", "/tmp/ray", "/etc/studio", DATA_FOLDER, MODELS_FOLDER}
        assert places[MODELS_FOLDER]["readOnly"] is True
        assert {mount["name"] for mount in places.values()} == {
            one["name"] for one in pod["volumes"]
        }
        assert variables(pod)["HF_HOME"] == MODELS_FOLDER
        assert variables(pod)["HF_HUB_OFFLINE"] == "1"
    assert "HF_HOME" not in variables(pods()["gpu"])  # the image's own


def test_a_managed_identity() -> None:
    account = one("ServiceAccount", *ALL)
    assert account["metadata"]["annotations"] == {"azure.workload.identity/client-id": "11-22"}
    for pod in pods(*ALL).values():
        assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert "serviceAccountName" not in pods()["gpu"]


def test_migrations_and_checkpoints_come_first_and_once_an_image() -> None:
    jobs = manifests("--jobs", "--models-claim", "models")
    commands = [job["spec"]["template"]["spec"]["containers"][0]["command"] for job in jobs]
    assert commands == [["studio", "migrate"], ["studio", "models", "fetch"]]
    for job in jobs:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        mounts = {one["name"]: one.get("readOnly") for one in container["volumeMounts"]}
        assert mounts == {"secrets": True, "models": None}
        assert variables(job["spec"]["template"]["spec"])["HF_HUB_OFFLINE"] == "0"
    newer = yaml.safe_load_all(
        printed(*REQUIRED[:1], "registry.example/studio:1.1", *REQUIRED[2:], "--jobs").stdout
    )
    names = [job["metadata"]["name"] for job in jobs]
    assert {one["metadata"]["name"] for one in newer}.isdisjoint(names)


def test_secrets_are_files_that_follow_their_changes() -> None:
    """A variable would be of the moment when the pod started."""
    options = ("--secret", "STUDIO_PAYPAL_CLIENT_SECRET")
    jobs = [one["spec"]["template"]["spec"] for one in manifests("--jobs", *options)]
    for pod in [*pods(*options).values(), *jobs]:
        files = {
            name.removesuffix("_FILE"): place
            for name, place in variables(pod).items()
            if name.startswith("STUDIO_") and name.endswith("_FILE")
        }
        assert files == {name: f"/etc/studio/{name}" for name in (*SECRETS, options[1])}
        assert not files.keys() & variables(pod).keys()
        container = pod["containers"][0]
        assert container["envFrom"] == [{"configMapRef": {"name": "studio"}}]
        (volume,) = [one for one in pod["volumes"] if "secret" in one]
        assert volume["secret"] == {"secretName": "studio", "defaultMode": 0o440}
        (mount,) = [one for one in container["volumeMounts"] if one["name"] == volume["name"]]
        assert mount == {"name": "secrets", "mountPath": "/etc/studio", "readOnly": True}


def test_the_logs_of_a_pod_are_on_its_stdout() -> None:
    for pod in pods().values():
        logs = pod["containers"][1]
        module = logs["command"][2]
        assert (PROJECT_ROOT / module.replace(".", "/")).with_suffix(".py").exists()
        (mount,) = logs["volumeMounts"]
        assert mount in pod["containers"][0]["volumeMounts"]
        assert logs["command"][3:] == ["--folder", mount["mountPath"]]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--secret", "PASSWORD", "the name of a setting"),
        ("--image", "registry.example:5000/studio", "name a version or digest"),
        ("--image", "registry.example/studio:latest", "name a version or digest"),
        ("--host", "https://shop.example.com", "only the host name"),
        ("--proxies", "0.0.0.0/0", "contains every address"),
        ("--proxies", "ingress", "does not appear to be"),
    ],
)
def test_an_option_that_cannot_work_is_refused(option: str, value: str, message: str) -> None:
    done = printed(*REQUIRED, option, value)
    assert done.returncode == 2 and done.stdout == ""
    answer = " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stderr).split())
    assert message in answer and option in answer


def test_the_paths_are_those_of_the_image() -> None:
    text = (PROJECT_ROOT / "Dockerfile").read_text()
    for place in (
        f"WORKDIR {HOME}\n",
        f"HF_HOME={MODELS_FOLDER}",
        f"STUDIO_DATA_DIR={DATA_FOLDER}",
    ):
        assert place in text
