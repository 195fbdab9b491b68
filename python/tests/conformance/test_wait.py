"""`wait`."""

import asyncio
import threading
import time

import numpy as np
import pytest
from module_under_test import ray, submodule

exceptions = submodule("exceptions")


def test_wait_returns_ready_and_others(shared):
    @ray.remote
    def f(signal):
        ray.get(signal.wait.remote())
        return 1

    class Signal:
        def __init__(self):
            self.event = asyncio.Event()

        async def wait(self):
            await self.event.wait()

        async def send(self):
            self.event.set()

    signal = ray.remote(Signal).remote()
    blocked = f.remote(signal)
    done = ray.put(1)
    assert ray.wait([blocked, done]) == ([done], [blocked])
    assert ray.wait([blocked], timeout=0.05) == ([], [blocked])
    assert ray.wait([blocked, done], num_returns=2, timeout=0.05) == ([done], [blocked])
    ray.get(signal.send.remote())
    assert ray.wait([blocked, done], num_returns=2) == ([blocked, done], [])


def test_wait_returns_no_more_than_asked_for(shared):
    refs = [ray.put(i) for i in range(5)]
    ready, others = ray.wait(refs, num_returns=2)
    assert (len(ready), len(others)) == (2, 3)
    assert set(ready) | set(others) == set(refs)
    ready, others = ray.wait(refs, num_returns=5)
    assert ready == refs and others == []


def test_wait_keeps_the_order(shared):
    refs = [ray.put(i) for i in range(10)]
    ready, _ = ray.wait(refs, num_returns=10)
    assert ready == refs


def test_wait_of_nothing(shared):
    assert ray.wait([]) == ([], [])


def test_wait_checks_its_arguments(shared):
    ref = ray.put(1)
    with pytest.raises(TypeError):
        ray.wait(ref)
    with pytest.raises(TypeError):
        ray.wait([1])
    with pytest.raises(TypeError):
        ray.get([1])
    with pytest.raises(ValueError):
        ray.get(1)
    with pytest.raises(ValueError):
        ray.wait([ref, ref])
    with pytest.raises(ValueError):
        ray.wait([ref], num_returns=0)
    with pytest.raises(ValueError):
        ray.wait([ref], num_returns=2)
    with pytest.raises(ValueError):
        ray.wait([ref], timeout=-1)


def test_wait_counts_failed_tasks_as_ready(shared):
    @ray.remote(max_retries=0)
    def fail():
        raise ValueError

    ref = fail.remote()
    assert ray.wait([ref], timeout=20) == ([ref], [])


def test_wait_without_fetching(shared):
    ref = ray.put(np.zeros(1_000_000))
    assert ray.wait([ref], fetch_local=False) == ([ref], [])


@ray.remote(num_cpus=0)
def pending():
    time.sleep(600)


def test_wait_for_one_of_many_again_and_again(shared):
    @ray.remote
    def same(i):
        return i

    left = [same.remote(i) for i in range(300)]
    never = pending.remote()
    left.insert(7, never)
    seen = []
    while len(left) > 1:
        ready, left = ray.wait(left)
        seen += ray.get(ready)
    assert sorted(seen) == list(range(300)) and left == [never]
    assert ray.wait(left, timeout=0) == ([], left)
    # The same list object, changed by the program: what is new in it counts.
    ready, rest = ray.wait([same.remote(1), never])
    rest.append(same.remote(2))
    assert ray.get(ray.wait(rest, timeout=30)[0]) == [2]
    rest[1] = never
    with pytest.raises(ValueError):
        ray.wait(rest)
    ray.cancel(never, force=True)


def test_threads_wait_for_the_same_refs_at_once(shared):
    @ray.remote
    def same(i):
        return i

    refs = [same.remote(i) for i in range(50)]
    counts = []

    def drain():
        left, count = list(refs), 0
        while left:
            ready, left = ray.wait(left)
            count += len(ready)
        counts.append(count)

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    drain()
    for thread in threads:
        thread.join(30)
    assert counts == [50] * 5
