"""`Replica`: the base class of every deployment; it prepares the process of a replica."""

from typing import Any, Literal, Self

import ray
from ray.serve import deployment

from deployments.serve.log_files import log_to_worker_files
from deployments.serve.metrics import report_gauges
from deployments.serve.patches import prepare_replica


class Replica:
    """A class that Serve may deploy.

    Serve creates the object before it calls the constructor, so no deployment can forget the
    preparation: the replica listens on a private address, its log lines go to Ray's log folder, and
    it reports its gauges again and again.
    """

    def __new__(cls, *_: object, **__: object) -> Self:
        prepare_replica()
        log_to_worker_files()
        report_gauges(cls.__name__)
        return super().__new__(cls)


def bind(replica: type[Replica], *args: object, **options: Any) -> Any:
    """A deployment of the class; Serve replaces other deployments in `args` by their handles.

    Serve pickles `args` and keeps them in its checkpoint, so they must not contain secrets.
    """
    return deployment(name=replica.__name__, **options)(replica).bind(*args)


def replica_device() -> Literal["auto", "cuda"]:
    """The device for this replica's networks: "cuda" where Ray has granted it a share of a GPU.

    Loading a network on "cuda" fails where there is none, so a replica does not fall back to the
    CPU silently. Without a grant it is "auto".
    """
    return "cuda" if ray.is_initialized() and ray.get_gpu_ids() else "auto"
