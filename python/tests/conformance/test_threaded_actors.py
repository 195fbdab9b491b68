"""How many calls of an actor run at once."""

import time

import pytest
from module_under_test import ray, submodule

exceptions = submodule("exceptions")


def test_threaded_actors_run_methods_at_once(shared):
    import threading

    @ray.remote(max_concurrency=4)
    class A:
        def __init__(self):
            self.barrier = threading.Barrier(4)

        def meet(self):
            self.barrier.wait(20)
            return True

    actor = A.remote()
    assert ray.get([actor.meet.remote() for _ in range(4)]) == [True] * 4


def test_without_max_concurrency_methods_run_one_at_a_time(shared):
    @ray.remote
    class A:
        def __init__(self):
            self.running = 0
            self.most = 0

        def work(self):
            self.running += 1
            self.most = max(self.most, self.running)
            time.sleep(0.01)
            self.running -= 1
            return self.most

    actor = A.remote()
    assert max(ray.get([actor.work.remote() for _ in range(10)])) == 1


def test_a_threaded_actor_runs_no_more_than_it_may(shared):
    import threading

    @ray.remote(max_concurrency=3)
    class A:
        def __init__(self):
            self.lock = threading.Lock()
            self.running = 0
            self.most = 0

        def work(self):
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
            time.sleep(0.02)
            with self.lock:
                self.running -= 1
            return self.most

    actor = A.remote()
    assert max(ray.get([actor.work.remote() for _ in range(20)])) <= 3


def test_concurrency_groups_of_a_threaded_actor(shared):
    import threading

    @ray.remote(concurrency_groups={"io": 2, "compute": 1})
    class A:
        def __init__(self):
            self.event = threading.Event()

        @ray.method(concurrency_group="io")
        def wait(self):
            return self.event.wait(20)

        @ray.method(concurrency_group="compute")
        def send(self):
            self.event.set()
            return threading.current_thread() is not None

        def plain(self):
            return "default"

    actor = A.remote()
    waiting = actor.wait.remote()
    assert ray.get(actor.plain.remote()) == "default"
    assert ray.get(actor.send.remote())
    assert ray.get(waiting) is True
    assert ray.get(actor.plain.options(concurrency_group="io").remote()) == "default"


def test_an_unknown_concurrency_group(shared):
    @ray.remote(concurrency_groups={"io": 1})
    class A:
        def f(self):
            return 1

    actor = A.remote()
    with pytest.raises(Exception):
        ray.get(actor.f.options(concurrency_group="nothing").remote())


def test_max_pending_calls(shared):
    @ray.remote(max_pending_calls=2)
    class A:
        def block(self):
            time.sleep(20)

    actor = A.remote()
    with pytest.raises(exceptions.PendingCallsLimitExceeded):
        for _ in range(20):
            actor.block.remote()
    ray.kill(actor)


def test_out_of_order_execution_is_allowed_by_option(shared):
    @ray.remote
    def slow(x):
        time.sleep(1)
        return x

    @ray.remote(allow_out_of_order_execution=True)
    class A:
        def __init__(self):
            self.seen = []

        def add(self, x):
            self.seen.append(x)
            return list(self.seen)

    actor = A.remote()
    late = actor.add.remote(slow.remote(1))
    assert ray.get(actor.add.remote(2)) == [2]
    assert ray.get(late) == [2, 1]
