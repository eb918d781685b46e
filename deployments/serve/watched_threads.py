"""Threads whose work is watched: a thread can't be interrupted, so one that hangs ends only with
its process. The health check of its deployment notices it, and Serve replaces the replica.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")

STEP_S = 60.0
"""A step of a network may always take this long: the first steps on a GPU are slow."""
SLOWER = 10.0
"""How many times as long as the slowest step so far a step may take."""


class WatchedThreads(ThreadPoolExecutor):
    """A thread pool that measures its work by steps; a call is one step, or several with `beat`.

    Args:
        threads, name: how many, and what they are called.
        step: what a step is about, for the error's message.
        least_s: a step may always take this long.
        slower: a step may also take this many times as long as the slowest step that has ended.
    """

    def __init__(
        self, threads: int, name: str, step: str, *, least_s: float, slower: float = 0.0
    ) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._name, self._step = name, step
        self._least_s, self._slower = least_s, slower
        self._starts: dict[int, float] = {}
        self._slowest_s = 0.0

    def submit(
        self, work: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs
    ) -> Future[Result]:
        """Runs `work` in one of the threads."""
        return super().submit(self._watch, partial(work, *args, **kwargs))

    def beat(self) -> None:
        """Ends a step and begins the next, if the caller is work in one of the threads."""
        now_s, thread = time.monotonic(), threading.get_ident()
        if thread in self._starts:
            self._slowest_s = max(self._slowest_s, now_s - self._starts[thread])
            self._starts[thread] = now_s

    def check(self) -> None:
        """Checks that no thread is stuck.

        Raises:
            RuntimeError: a step takes too long.
        """
        now_s = time.monotonic()
        longest_s = max((now_s - start_s for start_s in [*self._starts.values()]), default=0.0)
        most_s = max(self._least_s, self._slower * self._slowest_s)
        if longest_s > most_s:
            raise RuntimeError(
                f"a {self._name} thread has worked on one {self._step} for {longest_s:.1f} s; "
                f"at most {most_s:g} s are expected"
            )

    def _watch(self, work: Callable[[], Result]) -> Result:
        self._starts[threading.get_ident()] = time.monotonic()
        try:
            return work()
        finally:
            self.beat()
            del self._starts[threading.get_ident()]


def model_thread(name: str = "model") -> WatchedThreads:
    """The thread of a deployment's networks."""
    return WatchedThreads(1, name, "step", least_s=STEP_S, slower=SLOWER)
