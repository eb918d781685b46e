"""The fields of the objects that the manifests use, Ray's own and those of Kubernetes around it.

Those of RayService follow ray.io/v1 of KubeRay 1.6; `make proof CRD=…` compares them with a CRD.
"""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ops.kuberay.pod_fields import (
    ContainerSecurity,
    Fields,
    LabelSelector,
    Metadata,
    PodResources,
    PodTemplate,
    ValueSource,
)


class AuthOptions(Fields):
    """Whether Ray's ports require a token, which the operator makes and passes to every pod."""

    mode: Literal["token"] = "token"


class AutoscalerOptions(Fields):
    """The container beside the head that adds and removes pods."""

    version: Literal["v2"] = "v2"
    idle_timeout_seconds: PositiveInt
    upscaling_mode: Literal["Default", "Conservative"]
    resources: PodResources
    security_context: ContainerSecurity = ContainerSecurity()


class RedisCredential(Fields):
    """A password, read from a Secret."""

    value_from: ValueSource


class GcsFaultTolerance(Fields):
    """The Redis in which the head keeps its state, so that replicas survive the head."""

    redis_address: str
    redis_password: RedisCredential


class HeadGroup(Fields):
    """The head pod."""

    ray_start_params: dict[str, str]
    template: PodTemplate


class WorkerGroup(Fields):
    """Pods of one size, as many as the autoscaler decides."""

    group_name: str
    replicas: NonNegativeInt
    min_replicas: NonNegativeInt
    max_replicas: PositiveInt
    ray_start_params: dict[str, str]
    template: PodTemplate


class RayClusterSpec(Fields):
    """A Ray cluster."""

    ray_version: str
    enable_in_tree_autoscaling: Literal[True] = True
    autoscaler_options: AutoscalerOptions
    auth_options: AuthOptions = AuthOptions()
    gcs_fault_tolerance_options: GcsFaultTolerance
    head_group_spec: HeadGroup
    worker_group_specs: list[WorkerGroup]


class UpgradeStrategy(Fields):
    """A second cluster is made, and gets the callers once its application is RUNNING."""

    type: Literal["NewCluster"] = "NewCluster"


class RayServiceSpec(Fields):
    """A Ray cluster and the Serve application on it."""

    serve_config_v2: str = Field(alias="serveConfigV2")
    upgrade_strategy: UpgradeStrategy = UpgradeStrategy()
    ray_cluster_deletion_delay_seconds: NonNegativeInt
    exclude_head_pod_from_serve_svc: Literal[True] = True
    ray_cluster_config: RayClusterSpec


class RayService(Fields):
    """The custom resource of KubeRay."""

    api_version: Literal["ray.io/v1"] = "ray.io/v1"
    kind: Literal["RayService"] = "RayService"
    metadata: Metadata
    spec: RayServiceSpec


class JobSpec(Fields):
    """A pod that runs once."""

    backoff_limit: NonNegativeInt
    ttl_seconds_after_finished: PositiveInt
    template: PodTemplate


class BatchJob(Fields):
    """A Kubernetes Job."""

    api_version: Literal["batch/v1"] = "batch/v1"
    kind: Literal["Job"] = "Job"
    metadata: Metadata
    spec: JobSpec


class NetworkPort(Fields):
    """A port that a policy opens."""

    port: PositiveInt
    protocol: Literal["TCP"] = "TCP"


class PolicyPeer(Fields):
    """Pods, in this namespace unless another is selected."""

    namespace_selector: LabelSelector | None = None
    pod_selector: LabelSelector | None = None


class IngressRule(Fields):
    """Who may connect to which ports; without `from` everyone, without `ports` all."""

    from_: list[PolicyPeer] | None = Field(None, alias="from")
    ports: list[NetworkPort] | None = None


class NetworkPolicySpec(Fields):
    """The pods that a policy protects, and what it allows."""

    pod_selector: LabelSelector
    policy_types: list[Literal["Ingress"]] = ["Ingress"]
    ingress: list[IngressRule]


class NetworkPolicy(Fields):
    """A policy for connections to pods."""

    api_version: Literal["networking.k8s.io/v1"] = "networking.k8s.io/v1"
    kind: Literal["NetworkPolicy"] = "NetworkPolicy"
    metadata: Metadata
    spec: NetworkPolicySpec


class DisruptionBudgetSpec(Fields):
    """How many pods a node's drain must leave; a number, as KubeRay's pods have no scale."""

    min_available: PositiveInt
    selector: LabelSelector


class DisruptionBudget(Fields):
    """A PodDisruptionBudget."""

    api_version: Literal["policy/v1"] = "policy/v1"
    kind: Literal["PodDisruptionBudget"] = "PodDisruptionBudget"
    metadata: Metadata
    spec: DisruptionBudgetSpec


class Relabeling(Fields):
    """A label of the scraped series, taken from the pod."""

    source_labels: list[str]
    target_label: str


class MetricsEndpoint(Fields):
    """The port by which Prometheus scrapes a pod."""

    port: str
    relabelings: list[Relabeling]


class PodMonitorSpec(Fields):
    """The pods that Prometheus scrapes."""

    selector: LabelSelector
    pod_metrics_endpoints: list[MetricsEndpoint]


class PodMonitor(Fields):
    """The custom resource of the Prometheus operator."""

    api_version: Literal["monitoring.coreos.com/v1"] = "monitoring.coreos.com/v1"
    kind: Literal["PodMonitor"] = "PodMonitor"
    metadata: Metadata
    spec: PodMonitorSpec


class PortNumber(Fields):
    """A port of a Service."""

    number: PositiveInt


class BackendService(Fields):
    """The Service behind a path."""

    name: str
    port: PortNumber


class Backend(Fields):
    """What answers a path."""

    service: BackendService


class HttpPath(Fields):
    """A path and what answers it."""

    path: str
    path_type: Literal["Prefix"] = "Prefix"
    backend: Backend


class HttpPaths(Fields):
    """The paths of a host."""

    paths: list[HttpPath]


class HostRule(Fields):
    """A host and its paths."""

    host: str
    http: HttpPaths


class HostCertificate(Fields):
    """The Secret with the certificate of the hosts."""

    hosts: list[str]
    secret_name: str


class IngressSpec(Fields):
    """Hosts, certificates and what is behind them."""

    ingress_class_name: str
    tls: list[HostCertificate]
    rules: list[HostRule]


class Ingress(Fields):
    """The way of callers into the cluster, over TLS."""

    api_version: Literal["networking.k8s.io/v1"] = "networking.k8s.io/v1"
    kind: Literal["Ingress"] = "Ingress"
    metadata: Metadata
    spec: IngressSpec


class ServiceAccount(Fields):
    """The account of pods, bound to a managed identity by its annotation."""

    api_version: Literal["v1"] = "v1"
    kind: Literal["ServiceAccount"] = "ServiceAccount"
    metadata: Metadata
