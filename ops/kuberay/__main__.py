"""Prints the manifests of the studio on Kubernetes, for `kubectl apply -f -`.

    python -m ops.kuberay --image … --host … --proxies … --gcs-redis … --jobs | kubectl apply -f -
    kubectl wait --for=condition=complete --timeout=1h job --all
    python -m ops.kuberay --image … --host … --proxies … --gcs-redis … | kubectl apply -f -

They need the KubeRay operator, an ingress controller, the Prometheus operator, and three objects:
- the Secret `studio`: STUDIO_DATABASE_URL, STUDIO_REDIS_URL, STUDIO_BLOB_URL, STUDIO_JWT_SECRET and
  RAY_REDIS_PASSWORD, and what `--secret` names; the studio follows its changes;
- the ConfigMap `studio`: STUDIO_PAYPAL_URL and every other setting;
- the Secret `studio-tls`: the certificate of the host.
"""

import sys
from typing import Annotated

import typer
import yaml
from pydantic import ValidationError

from ops.kuberay.manifests import make_jobs, make_service
from ops.kuberay.options import Installation
from ops.kuberay.pod_fields import Fields

Image = Annotated[str, typer.Option(help="registry/studio:1.2, or by digest")]
Host = Annotated[str, typer.Option(help="the host of the public URL")]
Proxies = Annotated[str, typer.Option(help="the network of the ingress controller's pods")]
GcsRedis = Annotated[str, typer.Option(help="host:port of a Redis without eviction")]
TlsSecret = Annotated[str, typer.Option(help="the Secret with the host's certificate")]
IngressClass = Annotated[str, typer.Option(help="the class of the ingress controller")]
GpuLabel = Annotated[str, typer.Option(help="name=value on nodes with a GPU")]
ModelsClaim = Annotated[str | None, typer.Option(help="a volume claim for the checkpoints")]
Identity = Annotated[str | None, typer.Option(help="client id of the blobs' managed identity")]
Otlp = Annotated[str | None, typer.Option(help="an OpenTelemetry collector's URL")]
Secrets = Annotated[list[str], typer.Option("--secret", help="another key of the Secret")]
DEFAULTS = {name: field.default for name, field in Installation.model_fields.items()}


class Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """A block where there are several lines."""
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


Dumper.add_representer(str, represent_text)


def print_manifests(manifests: list[Fields]) -> None:
    """Writes the objects as YAML documents."""
    documents = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in manifests]
    yaml.dump_all(
        documents, sys.stdout, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100
    )


def read_options(**options: str | list[str] | None) -> Installation:
    """The options, checked.

    Raises:
        typer.BadParameter: one of them can't be used; the message says why.
    """
    try:
        return Installation.model_validate(options)
    except ValidationError as error:
        problems = [
            f"--{str(one['loc'][0]).replace('_', '-')}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        ]
        raise typer.BadParameter("; ".join(problems)) from None


def main(
    image: Image,
    host: Host,
    proxies: Proxies,
    gcs_redis: GcsRedis,
    jobs: Annotated[bool, typer.Option("--jobs", help="only what has to end before")] = False,
    tls_secret: TlsSecret = DEFAULTS["tls_secret"],
    ingress_class: IngressClass = DEFAULTS["ingress_class"],
    gpu_label: GpuLabel = DEFAULTS["gpu_label"],
    models_claim: ModelsClaim = None,
    identity: Identity = None,
    otlp: Otlp = None,
    secret: Secrets = [],  # noqa: B006 - typer reads it only
) -> None:
    """Print the manifests of the studio on Kubernetes, for `kubectl apply -f -`."""
    options = read_options(
        image=image, host=host, proxies=proxies, gcs_redis=gcs_redis, tls_secret=tls_secret,
        ingress_class=ingress_class, gpu_label=gpu_label, models_claim=models_claim,
        identity=identity, otlp=otlp, secrets=secret,
    )  # fmt: skip
    print_manifests(make_jobs(options) if jobs else make_service(options))


if __name__ == "__main__":
    typer.run(main)
