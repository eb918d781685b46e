"""`make proof`: replicas are exchanged under load; one that can't start leaves the old in place."""

import logging
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what Ray Serve imports
    import ray
    from ray import serve
    from ray.serve.schema import ApplicationStatus

    from deployments.serve.replica import Replica, bind

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

APPLICATION = "rolling"
CALLERS, CALLS = 16, 5000


class Echo(Replica):
    """Answers with its release; a broken release raises in its constructor."""

    def __init__(self, release: str) -> None:
        time.sleep(1)  # as while a model loads
        if release == "broken":
            raise RuntimeError("this release can't start")
        self._release = release

    async def answer(self) -> str:
        """The release of this replica."""
        return self._release


def application(release: str) -> serve.Application:
    app: serve.Application = bind(
        Echo, release, max_constructor_retry_count=2, ray_actor_options={"num_cpus": 0.1}
    )
    return app


class Load:
    """Callers that repeat one call until they are stopped."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.errors: list[str] = []
        self.phase: Counter[str] = Counter()
        self._has_ended = threading.Event()
        self._lock = threading.Lock()
        self._callers = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        for caller in self._callers:
            caller.start()

    def _call(self) -> None:
        handle = serve.get_app_handle(APPLICATION)
        while not self._has_ended.is_set():
            try:
                answer = handle.answer.remote().result(timeout_s=30)
            except Exception as error:
                with self._lock:
                    self.errors.append(repr(error))
            else:
                with self._lock:
                    self.answers[answer] += 1
                    self.phase[answer] += 1

    def next_phase(self) -> Counter[str]:
        """The answers since the last phase ended."""
        with self._lock:
            phase, self.phase = self.phase, Counter()
        return phase

    def stop(self) -> None:
        self._has_ended.set()
        for caller in self._callers:
            caller.join()


@pytest.fixture
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    yield
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


def deploy(release: str) -> None:
    serve.run(application(release), name=APPLICATION, route_prefix=None)


@pytest.mark.usefixtures("cluster")
def test_an_update_fails_no_call_and_a_broken_one_leaves_the_old_replicas() -> None:
    deploy("1")
    load = Load()
    try:
        deploy("2")
        load.next_phase()
        with pytest.raises(RuntimeError):
            deploy("broken")
        status = serve.status().applications[APPLICATION].status
        assert status == ApplicationStatus.DEPLOY_FAILED
        time.sleep(3)
        assert set(load.next_phase()) == {"2"}, "the old replicas answer"
        deploy("1")  # one command takes the broken release back
        assert serve.status().applications[APPLICATION].status == ApplicationStatus.RUNNING
        load.next_phase()
        until_s = time.monotonic() + 300
        while load.answers.total() < CALLS and time.monotonic() < until_s:
            time.sleep(0.1)
        assert set(load.next_phase()) == {"1"}
    finally:
        load.stop()
    print(f"\n{CALLERS} callers: {dict(load.answers)}, {len(load.errors)} failed")  # noqa: T201
    assert load.errors == [] and load.answers.total() >= CALLS
