"""`Replica`: the base class of every deployment; it prepares the process of a replica."""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Literal, Self

import ray
from ray.serve import deployment

from deployments.serve.log_files import log_to_worker_files
from deployments.serve.patches import prepare_replica
from studio.context import Deadline, within


class Replica:
    """A class that Serve may deploy.

    Serve creates the object before it calls the constructor, so no deployment can forget the
    preparation: the replica listens on a private address, and its log lines go to Ray's log folder.

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
        return super().__new__(cls)


def in_time(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The method with the keyword argument `deadline`: a `Deadline`, or None for none."""

    @wraps(method)
    async def run(*args: Any, deadline: Deadline | None = None, **options: Any) -> Any:
        async with within(deadline):
            return await method(*args, **options)

    return run


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
