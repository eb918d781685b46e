"""`Replica`: the base class of every deployment; it prepares the process of a replica."""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Self

import ray
from ray.serve import deployment, get_replica_context

from deployments.serve.connections import SURGE_PERCENT
from deployments.serve.log_files import log_to_worker_files
from deployments.serve.metrics import report_gauges
from deployments.serve.patches import prepare_replica
from models.devices import granted_device
from studio.context import Deadline, within


class Replica:
    """A class that Serve may deploy.

    Serve creates the object before it calls the constructor, so no deployment can forget the
    preparation: the replica listens on a private address, its log lines go to Ray's log folder, and
    it reports its gauges again and again.

    Every public `async def` accepts the keyword argument `deadline`, and is cancelled when it
    passes. An async generator takes a deadline itself, because its block may end in another task.
    """

    def __init_subclass__(cls) -> None:
        """Makes the public methods accept a deadline."""
        super().__init_subclass__()
        for name, method in list(vars(cls).items()):
            if inspect.iscoroutinefunction(method) and not name.startswith("_"):
                setattr(cls, name, in_time(method))

    def __new__(cls, *_: object, **__: object) -> Self:
        prepare_replica()
        log_to_worker_files()
        report_gauges(cls.__name__)
        return super().__new__(cls)


def in_time(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The method with the keyword argument `deadline`: a `Deadline`, or None for none."""

    @wraps(method)
    async def run(*args: Any, deadline: Deadline | None = None, **options: Any) -> Any:
        async with within(deadline):
            return await method(*args, **options)

    return run


def bind(replica: type[Replica], *args: object, name: str = "", **options: Any) -> Any:
    """A deployment of the class, under the class's name unless another one is given.

    By default an update starts each new replica before it stops an old one: a single replica is
    replaced without a gap, and one that fails to start leaves the old one in place.

    Serve replaces other deployments in `args` by their handles. It pickles `args`
    and keeps them in its checkpoint, so they must not contain secrets.
    """
    options = {"max_surge_percent": SURGE_PERCENT} | options
    return deployment(name=name or replica.__name__, **options)(replica).bind(*args)


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
