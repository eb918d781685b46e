"""`Replica`: the base class of every deployment; it prepares the process of a replica."""

from typing import Any, Literal, Self

import ray
from ray.serve import deployment, get_replica_context

from deployments.serve.log_files import log_to_worker_files
from deployments.serve.patches import prepare_replica


class Replica:
    """A class that Serve may deploy.

    Serve creates the object before it calls the constructor, so no deployment can forget the
    preparation: the replica listens on a private address, and its log lines go to Ray's log folder.
    """

    def __new__(cls, *_: object, **__: object) -> Self:
        prepare_replica()
        log_to_worker_files()
        return super().__new__(cls)


def bind(replica: type[Replica], *args: object, name: str = "", **options: Any) -> Any:
    """A deployment of the class, under the class's name unless another one is given.

    By default an update starts each new replica before it stops an old one: a single replica is
    replaced without a gap, and one that fails to start leaves the old one in place.

    Serve replaces other deployments in `args` by their handles. It pickles `args`
    and keeps them in its checkpoint, so they must not contain secrets.
    """
    options = {"max_surge_percent": 100} | options
    return deployment(name=name or replica.__name__, **options)(replica).bind(*args)


def replica_device() -> Literal["auto", "cuda"]:
    """The device for this replica's networks: "cuda" where Ray has granted it a share of a GPU.

    Loading a network on "cuda" fails where there is none, so a replica does not fall back to the
    CPU silently. Without a grant it is "auto".
    """
    return "cuda" if ray.is_initialized() and ray.get_gpu_ids() else "auto"


def replica_id() -> str:
    """The id by which handles know this replica; its constructor may ask for it."""
    return str(get_replica_context().replica_id.unique_id)
