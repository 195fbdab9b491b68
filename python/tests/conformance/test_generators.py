"""Tasks and methods that yield."""

import asyncio
import concurrent.futures
import time

import numpy as np
import pytest
from module_under_test import ray, submodule

exceptions = submodule("exceptions")


@ray.remote
def count(n):
    for i in range(n):
        yield i


def test_a_generator_task_gives_a_generator_of_refs(shared):
    generator = count.remote(5)
    assert isinstance(generator, ray.ObjectRefGenerator)
    refs = list(generator)
    assert all(isinstance(ref, ray.ObjectRef) for ref in refs)
    assert ray.get(refs) == [0, 1, 2, 3, 4]


def test_next_and_stop_iteration(shared):
    generator = count.remote(2)
    assert ray.get(next(generator)) == 0
    assert ray.get(next(generator)) == 1
    with pytest.raises(StopIteration):
        next(generator)


def test_an_empty_generator(shared):
    assert list(count.remote(0)) == []


def test_items_come_before_the_task_ends(shared):
    @ray.remote
    class Gate:
        def __init__(self):
            self.event = asyncio.Event()

        async def wait(self):
            await self.event.wait()

        async def open(self):
            self.event.set()

    @ray.remote
    def stream(gate):
        yield 1
        ray.get(gate.wait.remote())
        yield 2

    gate = Gate.remote()
    generator = stream.remote(gate)
    assert ray.get(next(generator)) == 1
    gate.open.remote()
    assert ray.get(next(generator)) == 2


def test_large_items(shared):
    @ray.remote
    def stream():
        for i in range(5):
            yield np.full(200_000, i)

    assert [ray.get(ref)[0] for ref in stream.remote()] == [0, 1, 2, 3, 4]


def test_an_error_in_the_middle_comes_after_the_items(shared):
    @ray.remote(max_retries=0)
    def stream():
        yield 1
        raise ValueError("in the middle")

    generator = stream.remote()
    assert ray.get(next(generator)) == 1
    with pytest.raises(ValueError, match="in the middle"):
        ray.get(next(generator))
    with pytest.raises(StopIteration):
        next(generator)


def test_an_actors_generator_method(shared):
    @ray.remote
    class A:
        def stream(self, n):
            for i in range(n):
                yield i * 2

    actor = A.remote()
    assert ray.get(list(actor.stream.remote(3))) == [0, 2, 4]
    assert ray.get(list(actor.stream.options(num_returns="streaming").remote(3))) == [0, 2, 4]


def test_async_iteration_in_the_driver(shared):
    async def main():
        found = []
        async for ref in count.remote(4):
            found.append(await ref)
        return found

    assert asyncio.run(main()) == [0, 1, 2, 3]


def test_wait_on_a_generator(shared):
    generator = count.remote(2)
    ready, others = ray.wait([generator], timeout=20)
    assert ready == [generator] and others == []
    assert ray.get(next(generator)) == 0


def test_wait_on_a_generator_and_a_ref(shared):
    @ray.remote
    def slow():
        time.sleep(60)
        yield 1

    generator, ref = slow.remote(), ray.put(1)
    ready, others = ray.wait([generator, ref])
    assert ready == [ref] and others == [generator]
    ray.cancel(generator, force=True)


def test_backpressure_stops_the_producer(shared):
    @ray.remote
    class Progress:
        def __init__(self):
            self.n = 0

        def report(self, n):
            self.n = n

        def read(self):
            return self.n

    @ray.remote(_generator_backpressure_num_objects=2)
    def stream(progress):
        for i in range(10):
            ray.get(progress.report.remote(i + 1))
            yield i

    progress = Progress.remote()
    generator = stream.remote(progress)
    ray.get(next(generator))
    time.sleep(0.5)
    assert ray.get(progress.read.remote()) <= 5
    assert len(ray.get(list(generator))) == 9


def test_a_generator_can_be_cancelled(shared):
    @ray.remote
    def stream():
        for i in range(1000):
            time.sleep(0.05)
            yield i

    generator = stream.remote()
    ray.get(next(generator))
    ray.cancel(generator)
    with pytest.raises((exceptions.TaskCancelledError, exceptions.RayTaskError, StopIteration)):
        for _ in range(1000):
            ray.get(next(generator))


def test_dynamic_returns(shared):
    @ray.remote(num_returns="dynamic")
    def split(array, size):
        for start in range(0, len(array), size):
            yield array[start : start + size]

    ref = split.remote(np.arange(10), 3)
    refs = list(ray.get(ref))
    assert [len(chunk) for chunk in ray.get(refs)] == [3, 3, 3, 1]


def test_a_generator_with_a_fixed_number_of_returns(shared):
    @ray.remote(num_returns=3)
    def three():
        yield from range(3)

    assert ray.get(list(three.remote())) == [0, 1, 2]


def test_dropping_a_generator_early_does_no_harm(shared):
    for _ in range(3):
        generator = count.remote(100)
        next(generator)
        del generator
    assert ray.get(list(count.remote(2))) == [0, 1]


def test_many_items(shared):
    assert len(ray.get(list(count.remote(2000)))) == 2000


def test_items_can_be_passed_on(shared):
    @ray.remote
    def double(x):
        return x * 2

    assert ray.get([double.remote(ref) for ref in count.remote(5)]) == [0, 2, 4, 6, 8]


def test_completed_says_when_the_task_is_done(shared):
    generator = count.remote(3)
    assert ray.get(generator.completed()) is None
    assert len(list(generator)) == 3


def test_a_generator_cannot_be_an_argument(shared):
    @ray.remote
    def f(x):
        return x

    with pytest.raises(Exception):
        ray.get(f.remote(count.remote(2)))


def test_a_generator_with_a_number_of_results_keeps_what_it_yielded(shared):
    @ray.remote(max_retries=0)
    def three(count, fail=False):
        for i in range(count):
            yield [i]
        if fail:
            raise KeyError("late")

    one, three = three.options(num_returns=1), three.options(num_returns=3)
    assert ray.get(three.remote(3)) == [[0], [1], [2]]
    # More than asked for: the rest is dropped.
    assert ray.get(three.remote(5)) == [[0], [1], [2]]
    first, _, last = three.remote(2)
    assert ray.get(first) == [0]
    with pytest.raises(ValueError):
        ray.get(last)
    first, second, last = three.remote(2, fail=True)
    assert ray.get([first, second]) == [[0], [1]]
    with pytest.raises(KeyError):
        ray.get(last)
    assert ray.get(one.remote(1)) == [0]


def test_an_error_is_the_last_item_of_a_dynamic_generator(shared):
    @ray.remote(num_returns="dynamic", max_retries=0)
    def fails():
        yield 1
        raise KeyError("late")

    good, bad = ray.get(fails.remote())
    assert ray.get(good) == 1
    with pytest.raises(KeyError):
        ray.get(bad)


def test_only_generators_can_stream(shared):
    def plain():
        return [1]

    with pytest.raises(ValueError):
        ray.remote(num_returns="streaming")(plain)
    with pytest.raises(ValueError):
        ray.remote(plain).options(num_returns="dynamic")


def test_an_error_behind_all_results_takes_none_away(shared):
    @ray.remote(num_returns=2)
    def generator():
        yield from range(2)
        raise ValueError("too late")

    assert ray.get(generator.remote()) == [0, 1]


@pytest.mark.parametrize("kind", ["threads", "async"])
def test_a_bound_of_a_whole_actor(shared, until, kind):
    class Plain:
        def __init__(self):
            self.yielded = 0

        def items(self, n):
            for i in range(n):
                self.yielded += 1
                yield i

        def count(self):
            return self.yielded

    class Asynchronous:
        def __init__(self):
            self.yielded = 0

        async def items(self, n):
            for i in range(n):
                self.yielded += 1
                yield i

        async def count(self):
            return self.yielded

    cls = ray.remote(Plain if kind == "threads" else Asynchronous)
    actor = cls.options(max_concurrency=4, _actor_generator_backpressure_num_objects=5).remote()
    first, second = actor.items.remote(50), actor.items.remote(50)
    until(lambda: ray.get(actor.count.remote()) >= 5)
    time.sleep(0.3)
    # Five that nobody has taken; each generator may have made the next one by then.
    assert ray.get(actor.count.remote()) <= 7
    # Both are taken at once: one alone may have used up the room of both.
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        taken = threads.map(lambda refs: [ray.get(ref) for ref in refs], (first, second))
        assert list(taken) == [list(range(50))] * 2
