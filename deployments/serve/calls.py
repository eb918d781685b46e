"""Calls of a deployment: errors become those of `studio.ports`, and searches travel in batches.

A call between processes may cost more than the search itself. So searches that arrive while other
calls are in flight wait and share the next call; a single search is sent at once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from deployments.serve.patches import has_no_replica, write_request_id
from errors import DeadlinePassed, NotLoaded, StudioError, Unavailable
from studio.batching import MicroBatcher
from studio.context import Deadline, Origin, continuing, current_deadline, current_request_id

Handle = DeploymentHandle[Any]
DEADLINE_S = 30.0
PATIENCE_S = 5.0
"""How long a request waits for a deployment without a replica; a job waits for `DEADLINE_S`."""
CHOICES = 16
"""How often Serve may choose the same replica again before another one is given up."""
MESSAGE_BYTES = 4 * 2**20
"""The largest total size of a batch; a larger picture is sent alone."""

_Query = TypeVar("_Query")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class HandleArgs:
    """How one process calls a deployment.

    calls: calls in flight at a time. max_batch: searches in one call. max_waiting: searches that
    may wait for a call.
    """

    calls: int = 2
    max_batch: int = 16
    max_waiting: int = 512


async def call(name: str, method: Any, *args: Any, is_request: bool | None = None) -> Any:
    """Calls a deployment's method.

    is_request: whether a caller waits who may come again, as opposed to a job; by default, whether
    there is a current deadline.

    Raises:
        StudioError: the method raised it.
        Unavailable: the deployment is saturated, starting or gone.
        DeadlinePassed: no answer within 30 s, or before the current deadline.
    """
    if is_request is None:
        is_request = current_deadline() is not None
    with _translating(name):
        async with _time_limit(name, method, is_request):
            write_request_id(current_request_id())
            return await method.remote(*args, **deadline_option())


@asynccontextmanager
async def _time_limit(name: str, method: Any, is_request: bool) -> AsyncIterator[None]:
    """Limits the block to 30 s, for a request to 5 s while the deployment has no replica.

    Raises:
        Unavailable: the time is over, and there is no replica.
        TimeoutError: the time is over, although there is one.
    """
    loop = asyncio.get_running_loop()

    def give_up() -> None:
        if is_request and has_no_replica(method):
            limit.reschedule(loop.time())

    try:
        async with asyncio.timeout(DEADLINE_S) as limit:
            patience = loop.call_later(PATIENCE_S, give_up)
            try:
                yield
            finally:
                patience.cancel()
    except TimeoutError:
        if has_no_replica(method):
            raise Unavailable(f"{name} is starting or down") from None
        raise


def deadline_option() -> dict[str, Deadline]:
    """The keyword argument by which a replica gets the caller's deadline; see `Replica`.

    A caller whose deadline passes or who leaves is cancelled. Serve then cancels the call, and the
    replica's queues drop it; the argument also holds where this process dies.
    """
    deadline = current_deadline()
    return {} if deadline is None else {"deadline": deadline}


async def call_another(name: str, replica: str, method: Any, *args: Any) -> Any:
    """Calls a method of another replica than the one with this id; raises as `call`.

    Serve prefers the replica with the shortest queue, which is the one that can't answer. Each
    place that is reserved there makes its queue longer, until Serve chooses another replica.
    """
    with _translating(name):
        async with asyncio.timeout(DEADLINE_S), AsyncExitStack() as reserved:
            write_request_id(current_request_id())
            for _ in range(CHOICES):
                choice = await reserved.enter_async_context(method.choose_replica(*args))
                if choice.replica_id != replica:
                    return await method.dispatch(choice, *args)
    raise Unavailable(f"{name} is starting or down")


async def read_stream(
    name: str, method: Any, stream: AsyncIterator[_Answer]
) -> AsyncIterator[_Answer]:
    """The items of a method's stream; 30 s without an item is an error.

    Raises:
        StudioError: as `call`.
    """
    while True:
        with _translating(name):
            try:
                async with _time_limit(name, method, current_deadline() is not None):
                    item = await anext(stream)
            except StopAsyncIteration:
                return
        yield item


@contextmanager
def _translating(name: str) -> Iterator[None]:
    """Translates the errors of Ray and Serve into those of `studio.ports`."""
    try:
        yield
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


def search_in_batches(
    name: str,
    handle: Handle,
    args: HandleArgs,
    origin_of: Callable[[_Query], Origin],
    weigh: Callable[[_Query], int] = lambda _: 0,
) -> MicroBatcher[_Query, _Answer]:
    """Batches the searches of a deployment whose `search` takes a list of queries.

    It answers each query with a result or an error. The call itself has the request id of the first
    query; each query carries its own. Queries to a replica that is still loading are sent to
    another one, once.
    """

    async def ask(queries: list[_Query]) -> list[_Answer | StudioError]:
        origins = [origin_of(query) for query in queries]
        is_request = all(origin.deadline is not None for origin in origins)
        with continuing(origins[0]):
            answers: list[_Answer | StudioError] = await _or_errors(
                call(name, handle.search, queries, is_request=is_request), len(queries)
            )
            return await _ask_another(name, handle, queries, answers)

    return MicroBatcher(
        ask,
        max_batch=args.max_batch,
        max_waiting=args.max_waiting,
        calls=args.calls,
        weigh=weigh,
        max_weight=MESSAGE_BYTES,
        is_cancellable=True,
    )


async def _or_errors(
    answers: Awaitable[list[_Answer | StudioError]], count: int
) -> list[_Answer | StudioError]:
    """The answers; if the call itself failed, its error for each of its `count` queries."""
    try:
        return await answers
    except StudioError as error:
        return [error] * count


async def _ask_another(
    name: str, handle: Handle, queries: list[_Query], answers: list[_Answer | StudioError]
) -> list[_Answer | StudioError]:
    """The answers, where another replica's replace those that are `NotLoaded`."""
    unloaded = {
        place: answer.replica
        for place, answer in enumerate(answers)
        if isinstance(answer, NotLoaded)
    }
    if not unloaded:
        return answers
    replica, again = next(iter(unloaded.values())), [queries[place] for place in unloaded]
    others: list[_Answer | StudioError] = await _or_errors(
        call_another(name, replica, handle.search, again), len(again)
    )
    for place, answer in zip(unloaded, others, strict=True):
        # An Embedder passes the error on; its caller must not ask another Embedder for that.
        answers[place] = Unavailable(answer.detail) if isinstance(answer, NotLoaded) else answer
    return answers
