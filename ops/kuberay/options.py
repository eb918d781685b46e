"""What differs from one installation to another, and the sizes of its machines."""

import re
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

PORT = 8000
USER_ID = 1000
"""The account `studio` of the image."""
SECRET = "studio"  # noqa: S105 - the name of the Secret
SETTINGS = "studio"
"""The ConfigMap with the settings that are no secrets."""
SECRETS_FOLDER = "/etc/studio"
SECRETS = ("STUDIO_DATABASE_URL", "STUDIO_REDIS_URL", "STUDIO_BLOB_URL", "STUDIO_JWT_SECRET")
"""The keys that the Secret must have, with RAY_REDIS_PASSWORD."""
HOME = "/srv/studio"
DATA_FOLDER = "/var/lib/studio"
MODELS_FOLDER = "/srv/models"
DRAIN_S = 240
"""Longer than any graceful_shutdown_timeout_s of serve_config.yaml; the Dispatcher's is 180."""
GRACE_S = DRAIN_S + 60


def require_version(image: str) -> str:
    """An image by tag or digest; `latest` would be another image on every node.

    Raises:
        ValueError: neither, or `latest`.
    """
    tag = image.rpartition("/")[2].partition(":")[2]
    if not tag or tag == "latest":
        raise ValueError(f"{image}: name a version or digest, registry/studio:1.2 or …@sha256:…")
    return image


def require_host(host: str) -> str:
    """A host name, without scheme or path.

    Raises:
        ValueError: it is something else.
    """
    if "/" in host or ":" in host or "." not in host:
        raise ValueError(f"{host}: only the host name of the public URL, shop.example.com")
    return host


def require_network(network: str) -> str:
    """A network of addresses, as `STUDIO_TRUSTED_PROXIES` takes it.

    Raises:
        ValueError: it isn't one, or contains every address.
    """
    if ip_network(network, strict=False).prefixlen == 0:
        raise ValueError(f"{network} contains every address; name that of the ingress's pods")
    return network


def require_variable(name: str) -> str:
    """The name of a setting.

    Raises:
        ValueError: it does not look like one.
    """
    if not re.fullmatch(r"STUDIO_[A-Z_]+", name):
        raise ValueError(f"{name}: the name of a setting, STUDIO_PAYPAL_CLIENT_SECRET")
    return name


class Installation(BaseModel):
    """The options of the command; secrets are not among them.

    - `image`: built by the Dockerfile, by version or digest.
    - `host`: of the public URL, which is https.
    - `proxies`: the addresses of the ingress controller's pods, whose `X-Forwarded-For` is trusted.
    - `gcs_redis`: host:port of a Redis that evicts nothing, not the cache.
    - `gpu_label`: name=value on nodes with a GPU.
    - `models_claim`: a volume claim with the checkpoints; without it they are in the image.
    - `identity`: the client id of a managed identity, by which the pods open the blob store.
    - `otlp`: an OpenTelemetry collector.
    - `secrets`: keys that the Secret has besides `SECRETS`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Annotated[str, AfterValidator(require_version)]
    host: Annotated[str, AfterValidator(require_host)]
    proxies: Annotated[str, AfterValidator(require_network)]
    gcs_redis: str
    tls_secret: str = "studio-tls"  # noqa: S105 - the name of the Secret
    ingress_class: str = "nginx"
    gpu_label: str = "kubernetes.azure.com/accelerator=nvidia"
    models_claim: str | None = None
    identity: str | None = None
    otlp: str | None = None
    secrets: tuple[Annotated[str, AfterValidator(require_variable)], ...] = ()


class PodSize(BaseModel):
    """What one pod asks for; less than its machine has, because the kubelet and daemons need some.

    AKS keeps 0.26 of 16 CPUs and 0.42 of 32, and of memory a quarter of the first 4 GiB, a fifth of
    the next 4, a tenth of the next 8, 6 % of the next 112 and 2 % of the rest.
    """

    model_config = ConfigDict(frozen=True)

    machine: str
    machine_cpus: int
    machine_gib: int
    cpus: int
    memory_gib: int
    gpus: int = 0
    disk_gib: int
    object_store_gib: int


HEAD = PodSize(
    machine="Standard_D4s_v5",
    machine_cpus=4,
    machine_gib=16,
    cpus=2,
    memory_gib=9,
    disk_gib=20,
    object_store_gib=1,
)
GPU = PodSize(
    machine="Standard_NC24ads_A100_v4",
    machine_cpus=24,
    machine_gib=220,
    cpus=22,
    memory_gib=190,
    gpus=1,
    disk_gib=60,
    object_store_gib=16,
)
CPU = PodSize(
    machine="Standard_D16s_v5",
    machine_cpus=16,
    machine_gib=64,
    cpus=15,
    memory_gib=52,
    disk_gib=60,
    object_store_gib=8,
)
