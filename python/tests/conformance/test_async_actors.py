"""Actors with coroutines."""

import asyncio
import threading
import time

import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")


@ray.remote
class Signal:
    def __init__(self):
        self.event = asyncio.Event()
        self.waiting = 0

    async def wait(self):
        self.waiting += 1
        await self.event.wait()
        return "sent"

    async def send(self):
        self.event.set()

    async def count(self):
        return self.waiting


def test_methods_run_at_once(shared, until):
    signal = Signal.remote()
    refs = [signal.wait.remote() for _ in range(50)]
    until(lambda: ray.get(signal.count.remote()) == 50)
    ray.get(signal.send.remote())
    assert ray.get(refs) == ["sent"] * 50


def test_they_run_in_one_thread(shared):
    import threading

    @ray.remote
    class A:
        async def thread(self):
            await asyncio.sleep(0)
            return threading.get_ident()

    actor = A.remote()
    assert len(set(ray.get([actor.thread.remote() for _ in range(10)]))) == 1


def test_max_concurrency_bounds_coroutines(shared):
    @ray.remote(max_concurrency=3)
    class A:
        def __init__(self):
            self.running = 0
            self.most = 0

        async def work(self):
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0.02)
            self.running -= 1
            return self.most

    actor = A.remote()
    assert max(ray.get([actor.work.remote() for _ in range(20)])) == 3


def test_await_of_refs_inside(shared):
    @ray.remote
    def f(x):
        return x + 1

    @ray.remote
    class A:
        async def one(self):
            return await f.remote(1)

        async def many(self):
            return await asyncio.gather(*[f.remote(i) for i in range(5)])

        async def nested(self, refs):
            return await refs[0]

    actor = A.remote()
    assert ray.get(actor.one.remote()) == 2
    assert ray.get(actor.many.remote()) == [1, 2, 3, 4, 5]
    assert ray.get(actor.nested.remote([ray.put(8)])) == 8


def test_calls_between_async_actors(shared):
    @ray.remote
    class A:
        async def ping(self, other, n):
            if n == 0:
                return 0
            return 1 + await other.ping.remote(ray.get_runtime_context().current_actor, n - 1)

    a, b = A.remote(), A.remote()
    assert ray.get(a.ping.remote(b, 6)) == 6


def test_sync_methods_beside_async_ones(shared):
    @ray.remote
    class A:
        def __init__(self):
            self.x = 1

        def sync(self):
            return self.x

        async def change(self, x):
            self.x = x

    actor = A.remote()
    ray.get(actor.change.remote(5))
    assert ray.get(actor.sync.remote()) == 5


def test_errors_of_coroutines(shared):
    @ray.remote
    class A:
        async def fail(self):
            await asyncio.sleep(0)
            raise KeyError("gone")

    with pytest.raises(KeyError):
        ray.get(A.remote().fail.remote())


@pytest.mark.skipif(IS_RAY, reason="Ray promises no order of an async actor's calls")
def test_calls_start_in_order(shared):
    @ray.remote
    class A:
        def __init__(self):
            self.seen = []

        async def add(self, x):
            self.seen.append(x)
            await asyncio.sleep(0)
            return list(self.seen)

    actor = A.remote()
    refs = [actor.add.remote(i) for i in range(100)]
    assert ray.get(refs[-1])[:100] == list(range(100))


def test_cancelling_a_coroutine(shared, until):
    @ray.remote
    class A:
        def __init__(self):
            self.log = []

        async def sleep(self):
            self.log.append("started")
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.log.append("cancelled")
                raise

        async def read(self):
            return self.log

    actor = A.remote()
    ref = actor.sleep.remote()
    until(lambda: ray.get(actor.read.remote()) == ["started"])
    ray.cancel(ref)
    with pytest.raises((exceptions.TaskCancelledError, exceptions.RayTaskError)):
        ray.get(ref, timeout=20)
    until(lambda: ray.get(actor.read.remote()) == ["started", "cancelled"])


def test_async_concurrency_groups(shared):
    @ray.remote(concurrency_groups={"io": 1, "other": 2})
    class A:
        def __init__(self):
            # No asyncio.Event: in Ray each group has an event loop of its own.
            self.sent = False

        @ray.method(concurrency_group="io")
        async def wait(self):
            while not self.sent:
                await asyncio.sleep(0.005)
            return 1

        @ray.method(concurrency_group="other")
        async def send(self):
            self.sent = True

    actor = A.remote()
    first, second = actor.wait.remote(), actor.wait.remote()
    ray.get(actor.send.remote())
    assert ray.get([first, second]) == [1, 1]


def test_exit_of_an_async_actor(shared):
    @ray.remote
    class A:
        async def leave(self):
            ray.actor.exit_actor()

        async def work(self):
            return 1

    actor = A.remote()
    ray.get(actor.work.remote())
    with pytest.raises(exceptions.RayActorError):
        ray.get(actor.leave.remote())
    with pytest.raises(exceptions.RayActorError):
        ray.get(actor.work.remote())


def test_an_async_generator_method(shared):
    @ray.remote
    class A:
        async def stream(self, n):
            for i in range(n):
                await asyncio.sleep(0)
                yield i

    actor = A.remote()
    generator = actor.stream.options(num_returns="streaming").remote(5)
    assert [ray.get(ref) for ref in generator] == [0, 1, 2, 3, 4]


def test_async_iteration_of_a_generator(shared):
    @ray.remote
    def stream(n):
        for i in range(n):
            yield i

    @ray.remote
    class A:
        async def total(self):
            found = 0
            async for ref in stream.remote(5):
                found += await ref
            return found

    assert ray.get(A.remote().total.remote()) == 10


def test_a_blocking_get_in_a_coroutine_of_something_elsewhere_works(shared):
    @ray.remote
    def f():
        return 4

    @ray.remote
    class A:
        async def work(self):
            return ray.get(f.remote())

    assert ray.get(A.remote().work.remote()) == 4


def test_background_tasks_of_an_async_actor(shared, until):
    @ray.remote
    class A:
        def __init__(self):
            self.ticks = 0

        async def start(self):
            self.task = asyncio.ensure_future(self.run())

        async def run(self):
            while True:
                self.ticks += 1
                await asyncio.sleep(0.005)

        async def read(self):
            return self.ticks

    actor = A.remote()
    ray.get(actor.start.remote())
    until(lambda: ray.get(actor.read.remote()) > 5)


def test_context_of_coroutines_is_their_own(shared):
    @ray.remote
    class A:
        async def task_id(self):
            before = ray.get_runtime_context().get_task_id()
            await asyncio.sleep(0.02)
            assert ray.get_runtime_context().get_task_id() == before
            return before

    actor = A.remote()
    ids = ray.get([actor.task_id.remote() for _ in range(10)])
    assert len(set(ids)) == 10


def test_a_slow_coroutine_does_not_block_others(shared):
    @ray.remote
    class A:
        async def slow(self):
            await asyncio.sleep(30)

        async def quick(self):
            return time.monotonic()

    actor = A.remote()
    actor.slow.remote()
    assert ray.get(actor.quick.remote(), timeout=20)


def test_a_constructor_runs_in_the_loop(shared):
    @ray.remote(num_cpus=0)
    class A:
        def __init__(self):
            self.seen = []
            self.task = asyncio.create_task(self.count())

        async def count(self):
            for i in range(3):
                self.seen.append(i)
                await asyncio.sleep(0.01)

        async def all(self):
            await self.task
            return self.seen

    assert ray.get(A.remote().all.remote()) == [0, 1, 2]


def test_exit_actor_in_a_task_of_the_actors_own(shared, until):
    @ray.remote(num_cpus=0)
    class A:
        async def leave_later(self):
            asyncio.create_task(self.leave())

        async def leave(self):
            ray.actor.exit_actor()

        async def ping(self):
            return 1

    actor = A.remote()
    ray.get(actor.leave_later.remote())

    def gone():
        try:
            ray.get(actor.ping.remote())
        except ray.exceptions.RayActorError:
            return True
        return False

    until(gone)


def test_a_group_that_blocks_its_loop_keeps_others_going(shared):
    @ray.remote(num_cpus=0, concurrency_groups={"io": 1, "compute": 1})
    class A:
        @ray.method(concurrency_group="io")
        async def block(self):
            time.sleep(600)

        @ray.method(concurrency_group="compute")
        async def thread(self):
            return threading.get_ident()

        async def own_thread(self):
            return threading.get_ident()

    actor = A.remote()
    actor.block.remote()
    first, second = ray.get([actor.thread.remote() for _ in range(2)])
    assert first == second != ray.get(actor.own_thread.remote())
    ray.kill(actor)


def test_a_method_that_returns_a_reference_returns_it(shared):
    @ray.remote(num_cpus=0)
    class A:
        def reference(self):
            return ray.put(5)

        async def nothing(self):
            pass

    ref = ray.get(A.remote().reference.remote())
    assert isinstance(ref, ray.ObjectRef)


def test_a_constructor_can_wait(shared):
    @ray.remote
    class A:
        async def __init__(self, value, *, more):
            await asyncio.sleep(0.01)
            self.value = value + more
            self.task = asyncio.get_running_loop().create_task(self.later())

        async def later(self):
            return self.value * 2

        async def get(self):
            return self.value, await self.task

    assert ray.get(A.remote(1, more=2).get.remote()) == (3, 6)

    @ray.remote
    class Fails:
        async def __init__(self):
            await asyncio.sleep(0.01)
            raise ValueError("of the constructor")

        async def get(self):
            return 1

    with pytest.raises(exceptions.RayActorError, match="of the constructor"):
        ray.get(Fails.remote().get.remote())
