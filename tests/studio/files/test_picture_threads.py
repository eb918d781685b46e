"""Work on callers' pictures has threads of its own, and a bounded queue."""

import ast
import asyncio
import threading
from collections.abc import Callable

import pytest

from integrations.fair_semaphore import AllBusy, Caller, OwnerBusy
from settings import PROJECT_ROOT
from studio.context import acting_for
from studio.files import picture_threads
from studio.files.picture_threads import run_on_picture

DECODING = {
    "inspect_image",
    "decode_image",
    "measure_image",
    "public_copy",
    "clean_copy",
    "explain",
}
SHARED = {"to_thread", "run_sync", "run_in_executor"}


async def test_a_few_run_a_bounded_number_waits_and_the_rest_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture_threads, "MAX_WAITING", 2)
    end = threading.Event()
    running: list[int] = []

    def work() -> None:
        running.append(1)
        end.wait()

    tasks = [asyncio.create_task(run_on_picture(work)) for _ in range(picture_threads.THREADS + 2)]
    for _ in range(3):
        await asyncio.sleep(0)
    with pytest.raises(AllBusy):
        await run_on_picture(work)
    assert len(running) <= picture_threads.THREADS
    end.set()
    await asyncio.gather(*tasks)


async def test_one_caller_leaves_threads_and_the_queue_to_others() -> None:
    """Sixty pictures of one caller once delayed everybody and filled the queue."""
    end = threading.Event()

    async def decode(caller: Caller, work: Callable[[], object]) -> object:
        with acting_for(caller):
            return await run_on_picture(work)

    greedy = [Caller(f"user:{number % 2}", "192.0.2.1") for number in range(60)]
    tasks = [asyncio.create_task(decode(caller, end.wait)) for caller in greedy]
    for _ in range(3):
        await asyncio.sleep(0)
    refused = [task for task in tasks if task.done()]
    assert all(isinstance(task.exception(), OwnerBusy) for task in refused)
    capacity = picture_threads.THREADS_EACH + picture_threads.MAX_WAITING_A_NETWORK
    assert len(tasks) - len(refused) == capacity
    other = decode(Caller("user:other", "192.0.2.2"), lambda: "decoded")
    assert await asyncio.wait_for(other, 10) == "decoded"
    end.set()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("folder", ["studio", "gateway"])
def test_no_picture_is_decoded_in_threads_that_others_wait_for(folder: str) -> None:
    wrong = []
    for path in (PROJECT_ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            names = {
                each.id for arg in node.args for each in ast.walk(arg) if isinstance(each, ast.Name)
            }
            if node.func.attr in SHARED and names & DECODING:
                wrong.append(f"{path.name}:{node.lineno}")
    assert wrong == []
