"""`Replica`: the base class of every deployment; it prepares the process of a replica."""

from typing import Any, Self

import ray
from ray.serve import deployment, get_replica_context

from deployments.serve.log_files import log_to_worker_files
from deployments.serve.patches import prepare_replica
from models.devices import granted_device


class Replica:
    """A class that Serve may deploy.

    Serve creates the object before it calls the constructor, so no deployment can forget the
    preparation: the replica listens on a private address, and its log lines go to Ray's log folder.
    """

    def __new__(cls, *_: object, **__: object) -> Self:
        prepare_replica()
        log_to_worker_files()
        return super().__new__(cls)


def bind(replica: type[Replica], *args: object, **options: Any) -> Any:
    """A deployment of the class; Serve replaces other deployments in `args` by their handles.

    Serve pickles `args` and keeps them in its checkpoint, so they must not contain secrets.
    """
    return deployment(name=replica.__name__, **options)(replica).bind(*args)


def replica_device(device: str) -> str:
    """The device for this replica's networks, by the share of a GPU that Ray has granted it.

    See `models.devices.granted_device`, which also limits the replica's memory to the share.
    """
    if not (ray.is_initialized() and ray.get_gpu_ids()):
        return device
    resources = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
    return granted_device(device, float(resources.get("GPU", 0.0)))


def replica_id() -> str:
    """The id by which handles know this replica; its constructor may ask for it."""
    return str(get_replica_context().replica_id.unique_id)
