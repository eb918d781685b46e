"""The pods of Ray's head and workers, and those of the jobs that run before them."""

import json

from deployments.serve.ingress import (
    NODE_ENVIRONMENT,
    ingress_environment,
    tracing_environment,
)
from ops.kuberay.options import (
    DATA_FOLDER,
    DRAIN_S,
    GRACE_S,
    HEAD,
    HOME,
    MODELS_FOLDER,
    PORT,
    SECRET,
    SECRETS,
    SECRETS_FOLDER,
    SETTINGS,
    USER_ID,
    Installation,
    PodSize,
)
from ops.kuberay.pod_fields import (
    ClaimName,
    Command,
    Container,
    ContainerPort,
    EmptyFolder,
    Hook,
    HttpRequest,
    Lifecycle,
    Metadata,
    ObjectName,
    PodResources,
    PodSecurity,
    PodSpec,
    PodTemplate,
    Probe,
    SecretFiles,
    Toleration,
    Variable,
    VariableSource,
    Volume,
    VolumeMount,
)

METRICS_PORT = 8080
LOGS, LOG_FOLDER = "ray-logs", "/tmp/ray"  # noqa: S108 - the names that the operator uses too
WORKERS = {"studio": "worker"}
DRAIN = f"""\
timeout 30 ray drain-node --reason DRAIN_NODE_REASON_PREEMPTION \
--reason-message "the pod is being deleted" --deadline-remaining-seconds {DRAIN_S} || true
for _ in $(seq {DRAIN_S}); do
  grep -qs "[r]ay::ServeReplica" "${{PROC:-/proc}}"/[0-9]*/cmdline || break
  sleep 1
done"""
"""Ray starts the pod's replicas elsewhere, Serve ends these in peace; then the pod may end."""


def environment(options: Installation) -> list[Variable]:
    """The variables of every Ray process, without secrets."""
    variables = {
        "STUDIO_ENV": "production",
        "STUDIO_PROFILE": "production",
        "STUDIO_DATA_DIR": DATA_FOLDER,
        "STUDIO_PUBLIC_URL": f"https://{options.host}",
        "STUDIO_TRUSTED_PROXIES": json.dumps([options.proxies]),
        "PYTHONPATH": HOME,
    }
    for name in (*SECRETS, *options.secrets):
        variables[f"{name}_FILE"] = f"{SECRETS_FOLDER}/{name}"
    if options.models_claim:
        variables |= {"HF_HOME": MODELS_FOLDER, "HF_HUB_OFFLINE": "1"}
    if options.otlp:
        variables["STUDIO_OTLP_URL"] = options.otlp
    variables |= ingress_environment(PORT) | NODE_ENVIRONMENT | tracing_environment(variables)
    return [Variable(name=name, value=value) for name, value in variables.items()]


def plain_settings() -> list[VariableSource]:
    """The operator's ConfigMap with the settings that are no secrets."""
    return [VariableSource(config_map_ref=ObjectName(name=SETTINGS))]


def resources(size: PodSize) -> PodResources:
    """Requests and limits; equal ones for CPU and memory, so that the pod is evicted last."""
    needs = {
        "cpu": str(size.cpus),
        "memory": f"{size.memory_gib}Gi",
        "ephemeral-storage": f"{size.disk_gib}Gi",
    }
    if size.gpus:
        needs["nvidia.com/gpu"] = str(size.gpus)
    return PodResources(requests=needs, limits=needs)


def start_parameters(size: PodSize) -> dict[str, str]:
    """The arguments of `ray start` that the operator doesn't derive from the limits."""
    return {"object-store-memory": str(size.object_store_gib * 2**30)}


def volumes(options: Installation, size: PodSize) -> tuple[list[Volume], list[VolumeMount]]:
    """Shared memory for the object store; folders of indexes and logs; secrets, checkpoints."""
    secrets, secrets_mount = secret_files()
    shared, disk = f"{size.object_store_gib + 1}Gi", f"{size.disk_gib // 2}Gi"
    places = [
        Volume(name="shared-memory", empty_dir=EmptyFolder(medium="Memory", size_limit=shared)),
        Volume(name="data", empty_dir=EmptyFolder(size_limit=disk)),
        Volume(name=LOGS, empty_dir=EmptyFolder(size_limit=f"{size.disk_gib // 4}Gi")),
        secrets,
    ]
    mounts = [
        VolumeMount(name="shared-memory", mount_path="/dev/shm"),  # noqa: S108 - where Ray looks for it
        VolumeMount(name="data", mount_path=DATA_FOLDER),
        VolumeMount(name=LOGS, mount_path=LOG_FOLDER),
        secrets_mount,
    ]
    if options.models_claim:
        claim = ClaimName(claim_name=options.models_claim, read_only=True)
        places.append(Volume(name="models", persistent_volume_claim=claim))
        mounts.append(VolumeMount(name="models", mount_path=MODELS_FOLDER, read_only=True))
    return places, mounts


def secret_files() -> tuple[Volume, VolumeMount]:
    """The operator's Secret, readable by the pod's group."""
    volume = Volume(name="secrets", secret=SecretFiles(secret_name=SECRET, default_mode=0o440))
    return volume, VolumeMount(name="secrets", mount_path=SECRETS_FOLDER, read_only=True)


def log_container(options: Installation) -> Container:
    """Copies the logs of the pod's Ray processes to stdout, where the cluster collects them."""
    needs = {"cpu": "100m", "memory": "256Mi"}
    return Container(
        name="logs",
        image=options.image,
        command=["python", "-m", "ops.log_tail", "--folder", LOG_FOLDER],
        env=[Variable(name="PYTHONPATH", value=HOME)],
        resources=PodResources(requests=needs, limits=needs),
        volume_mounts=[VolumeMount(name=LOGS, mount_path=LOG_FOLDER)],
    )


def security() -> PodSecurity:
    """The image's account; no pod runs as root."""
    return PodSecurity(run_as_user=USER_ID, run_as_group=USER_ID, fs_group=USER_ID)


def pod_labels(options: Installation) -> dict[str, str]:
    """Lets the pods use the managed identity of their service account, where there is one."""
    return {"azure.workload.identity/use": "true"} if options.identity else {}


def account_name(options: Installation) -> str | None:
    """The service account that is bound to the managed identity."""
    return SECRET if options.identity else None


def head_template(options: Installation) -> PodTemplate:
    """The head: GCS, dashboard and Serve's controller; replicas never run on it."""
    places, mounts = volumes(options, HEAD)
    ports = {"gcs-server": 6379, "dashboard": 8265, "metrics": METRICS_PORT, "serve": PORT}
    container = Container(
        name="ray",
        image=options.image,
        env=environment(options),
        env_from=plain_settings(),
        ports=[ContainerPort(name=name, container_port=port) for name, port in ports.items()],
        resources=resources(HEAD),
        volume_mounts=mounts,
    )
    spec = PodSpec(
        service_account_name=account_name(options),
        termination_grace_period_seconds=GRACE_S,
        security_context=security(),
        containers=[container, log_container(options)],
        volumes=places,
    )
    return PodTemplate(metadata=Metadata(labels=pod_labels(options)), spec=spec)


def worker_template(options: Installation, size: PodSize) -> PodTemplate:
    """A worker, ready for callers while the Gateway on it can answer searches.

    The operator adds the liveness probe, which asks Ray itself.
    """
    places, mounts = volumes(options, size)
    container = Container(
        name="ray",
        image=options.image,
        env=environment(options),
        env_from=plain_settings(),
        ports=[
            ContainerPort(name="metrics", container_port=METRICS_PORT),
            ContainerPort(name="serve", container_port=PORT),
        ],
        resources=resources(size),
        readiness_probe=Probe(
            http_get=HttpRequest(path="/api/health/ready", port="serve"),
            period_seconds=5,
            timeout_seconds=5,
            failure_threshold=2,
        ),
        lifecycle=Lifecycle(pre_stop=Hook(exec=Command(command=["/bin/bash", "-c", DRAIN]))),
        volume_mounts=mounts,
    )
    label, _, value = options.gpu_label.partition("=")
    taints = [Toleration(key=key) for key in ("nvidia.com/gpu", "sku")]
    spec = PodSpec(
        service_account_name=account_name(options),
        termination_grace_period_seconds=GRACE_S,
        node_selector={label: value} if size.gpus else None,
        tolerations=taints if size.gpus else None,
        security_context=security(),
        containers=[container, log_container(options)],
        volumes=places,
    )
    return PodTemplate(metadata=Metadata(labels=WORKERS | pod_labels(options)), spec=spec)


def job_template(options: Installation, command: list[str]) -> PodTemplate:
    """A pod that runs one command of the image once; it may write the checkpoints' volume."""
    needs = {"cpu": "1", "memory": "2Gi"}
    secrets, secrets_mount = secret_files()
    places, mounts = [secrets], [secrets_mount]
    if options.models_claim:
        claim = ClaimName(claim_name=options.models_claim)
        places.append(Volume(name="models", persistent_volume_claim=claim))
        mounts.append(VolumeMount(name="models", mount_path=MODELS_FOLDER))
    variables = {one.name: one for one in environment(options)}
    variables["HF_HUB_OFFLINE"] = Variable(name="HF_HUB_OFFLINE", value="0")
    container = Container(
        name="job",
        image=options.image,
        command=command,
        env=list(variables.values()),
        env_from=plain_settings(),
        resources=PodResources(requests=needs, limits=needs),
        volume_mounts=mounts,
    )
    spec = PodSpec(
        service_account_name=account_name(options),
        termination_grace_period_seconds=30,
        restart_policy="Never",
        security_context=security(),
        containers=[container],
        volumes=places,
    )
    return PodTemplate(metadata=Metadata(labels=pod_labels(options)), spec=spec)
