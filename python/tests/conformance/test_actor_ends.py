"""How actors end: killed, by themselves, with their last handle."""

import os
import time

import pytest
from module_under_test import ray, submodule

exceptions = submodule("exceptions")


@ray.remote
class Counter:
    def __init__(self, start=0):
        self.value = start

    def increment(self, by=1):
        self.value += by
        return self.value

    def read(self):
        return self.value

    def pid(self):
        return os.getpid()


def test_an_actor_created_by_a_task_lives_while_its_handle_does(shared):
    @ray.remote
    def make():
        return Counter.remote(3)

    counter = ray.get(make.remote())
    assert ray.get(counter.increment.remote()) == 4


def test_an_error_in_a_method_leaves_the_actor_alive(shared):
    @ray.remote
    class A:
        def fail(self):
            raise ValueError("no")

        def work(self):
            return 1

    actor = A.remote()
    with pytest.raises(ValueError, match="no"):
        ray.get(actor.fail.remote())
    assert ray.get(actor.work.remote()) == 1


def test_an_error_in_the_constructor(shared):
    @ray.remote
    class A:
        def __init__(self):
            raise ValueError("not today")

        def work(self):
            return 1

    actor = A.remote()
    with pytest.raises(exceptions.ActorDiedError, match="not today") as caught:
        ray.get(actor.work.remote())
    assert isinstance(caught.value, exceptions.RayActorError)
    assert "error raised in its creation task" in str(caught.value)
    assert caught.value.actor_init_failed
    with pytest.raises(exceptions.RayActorError):
        ray.get(actor.work.remote())


def test_kill(shared):
    counter = Counter.remote()
    ray.get(counter.read.remote())
    ray.kill(counter)
    with pytest.raises(exceptions.RayActorError):
        ray.get(counter.read.remote())


def test_kill_of_something_else(shared):
    with pytest.raises(ValueError):
        ray.kill("x")


def test_exit_actor(shared):
    @ray.remote
    class A:
        def leave(self):
            ray.actor.exit_actor()

        def work(self):
            return 1

    actor = A.remote()
    assert ray.get(actor.work.remote()) == 1
    with pytest.raises(exceptions.RayActorError):
        ray.get(actor.leave.remote())
    with pytest.raises(exceptions.RayActorError):
        ray.get(actor.work.remote())


def test_exit_actor_outside_of_an_actor(shared):
    with pytest.raises(TypeError):
        ray.actor.exit_actor()


def test_terminate_runs_what_was_called_before(shared):
    counter = Counter.remote()
    refs = [counter.increment.remote() for _ in range(10)]
    counter.__ray_terminate__.remote()
    assert ray.get(refs) == list(range(1, 11))
    with pytest.raises(exceptions.RayActorError):
        ray.get(counter.read.remote())


def test_an_actor_ends_when_its_last_handle_is_gone(shared, until):
    counter = Counter.remote()
    pid = ray.get(counter.pid.remote())
    del counter

    def gone():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    until(gone)


def test_calls_that_are_under_way_end_before_an_actor_without_handles_does(shared):
    @ray.remote
    class A:
        def work(self):
            time.sleep(0.3)
            return 1

    assert ray.get(A.remote().work.remote()) == 1
