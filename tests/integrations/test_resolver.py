"""Look-ups have threads and deadlines of their own, shared by caller and network."""

import asyncio
import threading

import pytest

from errors import RateLimited, Unavailable, UpstreamFailed
from integrations import resolver
from integrations.fair_semaphore import Caller
from integrations.resolver import NameResolver


async def test_look_ups_have_a_deadline_and_threads_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that never answers occupies no thread that other work needs."""
    monkeypatch.setattr(resolver, "RESOLVE_S", 0.1)
    answered = threading.Event()
    threads: set[str] = set()

    def look_up(host: str, port: int) -> list[str]:
        threads.add(threading.current_thread().name)
        if host.startswith("slow"):
            answered.wait(20)
        return ["192.0.2.7"]

    names = NameResolver(look_up)
    try:
        for number in range(resolver.MAX_PER_CALLER):
            with pytest.raises(UpstreamFailed):
                await names.resolve(f"slow{number}.example", 443, "ip:1")
        with pytest.raises(RateLimited):  # the threads are still occupied
            await names.resolve("slow.example", 443, "ip:1")
        assert await names.resolve("good.example", 443, "ip:2") == ["192.0.2.7"]
    finally:
        answered.set()
    assert all(name.startswith("resolver") for name in threads)
    await asyncio.sleep(0.1)
    assert await names.resolve("good.example", 443, "ip:1") == ["192.0.2.7"]
    names.close()


async def test_accounts_of_one_network_share_its_look_ups() -> None:
    """Eight accounts of one address occupied all threads while only accounts were counted."""
    answered = threading.Event()
    names = NameResolver(lambda host, port: [str(answered.wait(20))])
    tasks = [
        asyncio.create_task(names.resolve("a.example", 443, Caller(f"user:{n}", "192.0.2.1")))
        for n in range(resolver.THREADS)
    ]
    await asyncio.sleep(0.05)
    refused = [task for task in tasks if task.done()]
    assert len(refused) == resolver.THREADS - resolver.MAX_PER_NETWORK
    assert all(isinstance(task.exception(), RateLimited) for task in refused)
    answered.set()
    other = Caller("user:other", "192.0.2.2")
    assert await names.resolve("b.example", 443, other) == ["True"]
    await asyncio.gather(*tasks, return_exceptions=True)
    names.close()


async def test_more_look_ups_than_threads_are_told_to_come_again() -> None:
    answered = threading.Event()
    names = NameResolver(lambda host, port: [str(answered.wait(20))], threads=2)
    tasks = [asyncio.create_task(names.resolve("a.example", 443, f"ip:{n}")) for n in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable):
        await names.resolve("b.example", 443, "ip:9")
    answered.set()
    await asyncio.gather(*tasks)
    names.close()
