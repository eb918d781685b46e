"""The objects of the installation: the Ray service and what Kubernetes needs around it."""

import hashlib
import importlib.metadata

from ops.kuberay.fields import (
    AutoscalerOptions,
    Backend,
    BackendService,
    BatchJob,
    DisruptionBudget,
    DisruptionBudgetSpec,
    GcsFaultTolerance,
    HeadGroup,
    HostCertificate,
    HostRule,
    HttpPath,
    HttpPaths,
    Ingress,
    IngressRule,
    IngressSpec,
    JobSpec,
    MetricsEndpoint,
    NetworkPolicy,
    NetworkPolicySpec,
    NetworkPort,
    PodMonitor,
    PodMonitorSpec,
    PolicyPeer,
    PortNumber,
    RayClusterSpec,
    RayService,
    RayServiceSpec,
    RedisCredential,
    Relabeling,
    ServiceAccount,
    WorkerGroup,
)
from ops.kuberay.options import CPU, GPU, HEAD, PORT, SECRET, Installation, PodSize
from ops.kuberay.pod_fields import (
    Fields,
    LabelSelector,
    Metadata,
    PodResources,
    SecretKey,
    ValueSource,
)
from ops.kuberay.pods import (
    METRICS_PORT,
    WORKERS,
    head_template,
    job_template,
    start_parameters,
    worker_template,
)
from settings import PROJECT_ROOT

NAME = "studio"
RAY_PODS = LabelSelector(match_labels={"ray.io/is-ray-node": "yes"})
GROUPS = {"gpu": (GPU, 1, 6), "cpu": (CPU, 1, 4)}
"""The size of a group's pods, and how many of them there are at least and at most."""
HEAD_PARAMETERS = {
    "num-cpus": "0",  # no replicas on the head
    "dashboard-host": "0.0.0.0",  # noqa: S104 - for the operator; token and policy protect it
}
INGRESS_ANNOTATIONS = {
    "nginx.ingress.kubernetes.io/ssl-redirect": "true",
    "nginx.ingress.kubernetes.io/proxy-body-size": "210m",  # catalogues of up to 200 MB
    "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-buffering": "off",  # events of jobs are streamed
    "nginx.ingress.kubernetes.io/proxy-read-timeout": "330",
}


def make_jobs(options: Installation) -> list[Fields]:
    """What has to end before the service of this image starts: migrations, and checkpoints."""
    commands = {"migrate": ["studio", "migrate"]}
    if options.models_claim:
        commands["models"] = ["studio", "models", "fetch"]
    version = hashlib.sha256(options.image.encode()).hexdigest()[:8]  # a Job can't be changed
    jobs = [
        BatchJob(
            metadata=Metadata(name=f"{NAME}-{name}-{version}"),
            spec=JobSpec(
                backoff_limit=4,
                ttl_seconds_after_finished=86_400,
                template=job_template(options, command),
            ),
        )
        for name, command in commands.items()
    ]
    return [*make_account(options), *jobs]


def make_service(options: Installation) -> list[Fields]:
    """The Ray service, and how callers, operator and Prometheus reach it."""
    return [
        *make_account(options),
        make_network_policy(),
        make_disruption_budget(),
        make_ray_service(options),
        make_ingress(options),
        make_pod_monitor(),
    ]


def make_account(options: Installation) -> list[Fields]:
    """The pods' account where they use a managed identity, else none."""
    if not options.identity:
        return []
    annotations = {"azure.workload.identity/client-id": options.identity}
    return [ServiceAccount(metadata=Metadata(name=NAME, annotations=annotations))]


def make_group(
    options: Installation, name: str, size: PodSize, least: int, most: int
) -> WorkerGroup:
    """Workers of one size."""
    return WorkerGroup(
        group_name=name,
        replicas=least,
        min_replicas=least,
        max_replicas=most,
        ray_start_params=start_parameters(size),
        template=worker_template(options, size),
    )


def make_cluster(options: Installation) -> RayClusterSpec:
    """The Ray cluster: a head without CPUs for replicas, and the groups."""
    password = SecretKey(name=SECRET, key="RAY_REDIS_PASSWORD")
    autoscaler_needs = {"cpu": "500m", "memory": "1Gi"}
    return RayClusterSpec(
        ray_version=importlib.metadata.version("ray"),
        autoscaler_options=AutoscalerOptions(
            idle_timeout_seconds=900,
            upscaling_mode="Default",
            resources=PodResources(requests=autoscaler_needs, limits=autoscaler_needs),
        ),
        gcs_fault_tolerance_options=GcsFaultTolerance(
            redis_address=options.gcs_redis,
            redis_password=RedisCredential(value_from=ValueSource(secret_key_ref=password)),
        ),
        head_group_spec=HeadGroup(
            ray_start_params=start_parameters(HEAD) | HEAD_PARAMETERS,
            template=head_template(options),
        ),
        worker_group_specs=[
            make_group(options, name, size, least, most)
            for name, (size, least, most) in GROUPS.items()
        ],
    )


def make_ray_service(options: Installation) -> RayService:
    """The application of serve_config.yaml on that cluster.

    A changed image makes a second cluster, which gets the callers once its application runs; the
    old one has time to end what it does. A changed serve_config.yaml alone changes it in place.
    """
    return RayService(
        metadata=Metadata(name=NAME),
        spec=RayServiceSpec(
            serve_config_v2=(PROJECT_ROOT / "serve_config.yaml").read_text(),
            ray_cluster_deletion_delay_seconds=300,
            ray_cluster_config=make_cluster(options),
        ),
    )


def make_network_policy() -> NetworkPolicy:
    """Opens only port 8000 to callers; the cluster's network plugin has to enforce policies."""
    operator = {"app.kubernetes.io/name": "kuberay-operator"}
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}
    rules = [
        IngressRule(ports=[NetworkPort(port=PORT)]),
        IngressRule(from_=[PolicyPeer(pod_selector=RAY_PODS)]),
        IngressRule(
            from_=[
                PolicyPeer(
                    namespace_selector=LabelSelector(),
                    pod_selector=LabelSelector(match_labels=operator),
                )
            ],
            ports=[NetworkPort(port=8265)],  # it deploys the application by the dashboard
        ),
        IngressRule(
            from_=[PolicyPeer(namespace_selector=LabelSelector(match_labels=monitoring))],
            ports=[NetworkPort(port=METRICS_PORT)],
        ),
    ]
    return NetworkPolicy(
        metadata=Metadata(name=NAME),
        spec=NetworkPolicySpec(pod_selector=RAY_PODS, ingress=rules),
    )


def make_disruption_budget() -> DisruptionBudget:
    """Lets a drain of nodes take one worker at a time."""
    least = sum(least for _, least, _ in GROUPS.values())
    return DisruptionBudget(
        metadata=Metadata(name=NAME),
        spec=DisruptionBudgetSpec(
            min_available=least - 1, selector=LabelSelector(match_labels=WORKERS)
        ),
    )


def make_ingress(options: Installation) -> Ingress:
    """TLS, and behind it the Service that KubeRay points at the running cluster's ready workers."""
    backend = Backend(
        service=BackendService(name=f"{NAME}-serve-svc", port=PortNumber(number=PORT))
    )
    return Ingress(
        metadata=Metadata(name=NAME, annotations=INGRESS_ANNOTATIONS),
        spec=IngressSpec(
            ingress_class_name=options.ingress_class,
            tls=[HostCertificate(hosts=[options.host], secret_name=options.tls_secret)],
            rules=[
                HostRule(
                    host=options.host,
                    http=HttpPaths(paths=[HttpPath(path="/", backend=backend)]),
                )
            ],
        ),
    )


def make_pod_monitor() -> PodMonitor:
    """Ray exports all metrics on every pod."""
    source = "__meta_kubernetes_pod_label_ray_io_cluster"
    endpoint = MetricsEndpoint(
        port="metrics",
        relabelings=[Relabeling(source_labels=[source], target_label="ray_io_cluster")],
    )
    return PodMonitor(
        metadata=Metadata(name=NAME, labels={"release": "prometheus"}),
        spec=PodMonitorSpec(selector=RAY_PODS, pod_metrics_endpoints=[endpoint]),
    )
