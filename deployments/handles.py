"""`studio.ports` over deployment handles: what fails in another process fails here the same way."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from errors import DeadlinePassed, StudioError, Unavailable
from studio.ports import Embedding, IndexAnswer, IndexQuery

Handle = DeploymentHandle[Any]
DEADLINE_S = 30.0
VERSION_LIFETIME_S = 2.0


async def call(name: str, method: Any, *args: Any) -> Any:
    """One call of a deployment's method.

    Raises:
        StudioError: as the method raised it.
        Unavailable: the deployment is saturated, starting or gone.
        DeadlinePassed: no answer within 30 s.
    """
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await method.remote(*args)
    except TimeoutError:
        raise DeadlinePassed(f"{name} did not answer in time") from None
    except BackPressureError:
        raise Unavailable(f"{name} is saturated") from None
    except (DeploymentUnavailableError, RayActorError, RayServeException) as error:
        raise Unavailable(f"{name} is starting or down") from error
    except RayTaskError as error:
        if isinstance(error.cause, StudioError):
            raise error.cause from None
        raise
    except RayError as error:
        raise Unavailable(f"{name} is starting or down") from error


class EmbedderHandle:
    """`studio.ports.Embedder` over the `Embedder` deployment."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._version: str | None = None
        self._asked_at_s = 0.0

    async def embed_image(self, image: bytes) -> Embedding:
        """See `studio.ports.Embedder`."""
        return self._seen(await call("Embedder", self._handle.embed_image, image))

    async def embed_text(self, text: str) -> Embedding:
        """See `studio.ports.Embedder`."""
        return self._seen(await call("Embedder", self._handle.embed_text, text))

    async def version(self) -> str:
        """The version in service, at most 2 s old; so a cached text costs no hop."""
        if self._version is None or time.monotonic() - self._asked_at_s > VERSION_LIFETIME_S:
            self._version = str(await call("Embedder", self._handle.version))
            self._asked_at_s = time.monotonic()
        return self._version

    def _seen(self, embedding: Embedding) -> Embedding:
        self._version, self._asked_at_s = embedding.version, time.monotonic()
        return embedding


class IndexHandle:
    """`studio.ports.Index` over the `Index` deployment."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def search(self, query: IndexQuery) -> IndexAnswer:
        """See `studio.ports.Index`."""
        answer: IndexAnswer = await call("Index", self._handle.search, query)
        return answer

    async def status(self) -> Mapping[str, object]:
        """See `studio.ports.Index`."""
        status: Mapping[str, object] = await call("Index", self._handle.status)
        return status


class DispatcherHandle:
    """`studio.ports.Dispatcher` over the `Dispatcher` deployment."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def status(self) -> Mapping[str, object]:
        """See `studio.ports.Dispatcher`."""
        status: Mapping[str, object] = await call("Dispatcher", self._handle.status)
        return status
