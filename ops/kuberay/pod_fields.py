"""The fields of Kubernetes pods that the manifests use; a field with another name is an error.

They follow the core/v1 API. `tests/proof/test_crd.py` compares them with a real CRD.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt
from pydantic.alias_generators import to_camel


class Fields(BaseModel):
    """Base of all objects: camelCase outside, no unknown fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )


class Metadata(Fields):
    """Name, labels and annotations; a pod template has no name of its own."""

    name: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class LabelSelector(Fields):
    """Selects objects by their labels."""

    match_labels: dict[str, str] = {}


class SecretKey(Fields):
    """One key of a Secret."""

    name: str
    key: str


class ValueSource(Fields):
    """Where the value of a variable comes from."""

    secret_key_ref: SecretKey


class Variable(Fields):
    """One environment variable."""

    name: str
    value: str | None = None
    value_from: ValueSource | None = None


class ObjectName(Fields):
    """The name of an object in the same namespace."""

    name: str


class VariableSource(Fields):
    """A ConfigMap whose keys all become variables."""

    config_map_ref: ObjectName


class PodResources(Fields):
    """What a container needs, and the most it gets."""

    requests: dict[str, str]
    limits: dict[str, str]


class ContainerPort(Fields):
    """A port of a container, by name."""

    name: str
    container_port: PositiveInt


class HttpRequest(Fields):
    """The request of a probe; the port may be named."""

    path: str
    port: int | str


class Probe(Fields):
    """How and how often the kubelet asks a container."""

    http_get: HttpRequest
    period_seconds: PositiveInt
    timeout_seconds: PositiveInt
    failure_threshold: PositiveInt


class Command(Fields):
    """A command that runs inside a container."""

    command: list[str]


class Hook(Fields):
    """What runs at a point of a container's life."""

    exec: Command


class Lifecycle(Fields):
    """The hook that runs before a container gets its SIGTERM."""

    pre_stop: Hook


class Capabilities(Fields):
    """The Linux capabilities that a container gives up."""

    drop: list[str]


class ContainerSecurity(Fields):
    """What a container's processes may not do."""

    allow_privilege_escalation: Literal[False] = False
    capabilities: Capabilities = Capabilities(drop=["ALL"])


class VolumeMount(Fields):
    """Where a volume of the pod appears in a container."""

    name: str
    mount_path: str
    read_only: bool | None = None


class Container(Fields):
    """One container."""

    name: str
    image: str
    command: list[str] | None = None
    env: list[Variable]
    env_from: list[VariableSource] | None = None
    ports: list[ContainerPort] | None = None
    resources: PodResources
    readiness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    security_context: ContainerSecurity = ContainerSecurity()
    volume_mounts: list[VolumeMount]


class EmptyFolder(Fields):
    """A folder that lives as long as its pod; `Memory` is /dev/shm's medium."""

    medium: Literal["Memory"] | None = None
    size_limit: str


class ClaimName(Fields):
    """A volume claim in the same namespace."""

    claim_name: str
    read_only: bool | None = None


class SecretFiles(Fields):
    """A Secret whose keys are files, which follow its changes."""

    secret_name: str
    default_mode: PositiveInt


class Volume(Fields):
    """A volume of a pod: an empty folder, a Secret or a claim."""

    name: str
    empty_dir: EmptyFolder | None = None
    secret: SecretFiles | None = None
    persistent_volume_claim: ClaimName | None = None


class Toleration(Fields):
    """A taint of nodes that a pod accepts."""

    key: str
    operator: Literal["Exists"] = "Exists"
    effect: Literal["NoSchedule"] = "NoSchedule"


class SeccompProfile(Fields):
    """The filter of system calls."""

    type: Literal["RuntimeDefault"] = "RuntimeDefault"


class PodSecurity(Fields):
    """The account of a pod's processes and files."""

    run_as_non_root: Literal[True] = True
    run_as_user: PositiveInt
    run_as_group: PositiveInt
    fs_group: PositiveInt
    fs_group_change_policy: Literal["OnRootMismatch"] = "OnRootMismatch"
    seccomp_profile: SeccompProfile = SeccompProfile()


class PodSpec(Fields):
    """A pod."""

    service_account_name: str | None = None
    termination_grace_period_seconds: PositiveInt
    restart_policy: Literal["Never"] | None = None
    node_selector: dict[str, str] | None = None
    tolerations: list[Toleration] | None = None
    security_context: PodSecurity
    containers: list[Container]
    volumes: list[Volume]


class PodTemplate(Fields):
    """The pods of a group or a job."""

    metadata: Metadata | None = None
    spec: PodSpec
