"""`Replica`: the base class of every deployment; it prepares the process of a replica."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Self

import ray
from ray.serve import deployment, get_replica_context

from deployments.serve.log_files import log_to_worker_files
from deployments.serve.metrics import GpuMetrics
from deployments.serve.patches import prepare_replica
from models.devices import granted_device
from studio.background import Background
from studio.deadline import Deadline, within

GPU_EVERY_S = 10.0

_background = Background()
"""Runs the task that reports this process's GPU memory."""


class Replica:
    """A class that Serve may deploy.

    Serve creates the object before it calls the constructor, so no deployment can forget the
    preparation: the replica listens on a private address, its log lines go to Ray's log folder, and
    it reports the GPU memory that it uses.

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
        if has_gpu():
            _report_gpu_memory(cls.__name__)
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

    Serve replaces other deployments in `args` by their handles. It pickles `args`
    and keeps them in its checkpoint, so they must not contain secrets.
    """
    return deployment(name=name or replica.__name__, **options)(replica).bind(*args)


def replica_device(device: str) -> str:
    """The device for this replica's networks, by the share of a GPU that Ray has granted it.

    See `models.devices.granted_device`, which also limits the replica's memory to the share.
    """
    if not has_gpu():
        return device
    resources = ray.get_runtime_context().get_assigned_resources()
    return granted_device(device, float(resources.get("GPU", 0.0)))


def has_gpu() -> bool:
    """Whether Ray has granted this process a GPU, or a share of one."""
    return bool(ray.is_initialized() and ray.get_gpu_ids())


def replica_id() -> str:
    """The id by which handles know this replica; its constructor may ask for it."""
    return str(get_replica_context().replica_id.unique_id)


def _report_gpu_memory(deployment_name: str) -> None:
    """Reports the GPU memory of this process as long as it runs."""
    metrics = GpuMetrics(deployment_name)

    async def report() -> None:
        while True:
            metrics.show()
            await asyncio.sleep(GPU_EVERY_S)

    with suppress(RuntimeError):  # without an event loop this is no replica
        asyncio.get_running_loop()
        _background.start("gpu-memory", report)
