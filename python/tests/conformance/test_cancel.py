"""Cancelling tasks and methods."""

import time

import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")


@ray.remote
class Flag:
    def __init__(self):
        self.flags = set()

    def set(self, name):
        self.flags.add(name)

    def has(self, name):
        return name in self.flags


@ray.remote
def sleep(flag=None, name="started"):
    if flag is not None:
        ray.get(flag.set.remote(name))
    for _ in range(600):
        time.sleep(0.1)


def test_a_running_task(shared, until):
    flag = Flag.remote()
    ref = sleep.remote(flag)
    until(lambda: ray.get(flag.has.remote("started")))
    ray.cancel(ref)
    with pytest.raises(exceptions.TaskCancelledError):
        ray.get(ref, timeout=30)


def test_a_running_task_by_force(shared, until):
    flag = Flag.remote()
    ref = sleep.remote(flag)
    until(lambda: ray.get(flag.has.remote("started")))
    ray.cancel(ref, force=True)
    with pytest.raises(exceptions.TaskCancelledError) as caught:
        ray.get(ref, timeout=30)
    if not IS_RAY:
        # What older programs catch.
        assert isinstance(caught.value, exceptions.WorkerCrashedError)


def test_a_task_that_waits_for_resources(shared):
    blockers = [sleep.remote() for _ in range(4)]
    queued = sleep.remote()
    ray.cancel(queued)
    with pytest.raises(exceptions.TaskCancelledError):
        ray.get(queued, timeout=30)
    for ref in blockers:
        ray.cancel(ref, force=True)


def test_a_task_that_waits_for_a_dependency(shared):
    @ray.remote
    def use(x):
        return x

    first = sleep.remote()
    second = use.remote(first)
    ray.cancel(second)
    with pytest.raises(exceptions.TaskCancelledError):
        ray.get(second, timeout=30)
    ray.cancel(first, force=True)


def test_a_cancelled_dependency_fails_its_dependents(shared):
    @ray.remote
    def use(x):
        return x

    first = sleep.remote()
    second = use.remote(first)
    time.sleep(0.3)
    ray.cancel(first)
    with pytest.raises((exceptions.TaskCancelledError, exceptions.RayTaskError)):
        ray.get(second, timeout=30)


def test_a_finished_task_is_left_alone(shared):
    @ray.remote
    def f():
        return 1

    ref = f.remote()
    assert ray.get(ref) == 1
    ray.cancel(ref)
    assert ray.get(ref) == 1


def test_twice(shared):
    ref = sleep.remote()
    ray.cancel(ref)
    ray.cancel(ref)
    with pytest.raises(exceptions.TaskCancelledError):
        ray.get(ref, timeout=30)


def test_a_task_can_catch_the_interrupt_and_clean_up(shared, until, tmp_path):
    @ray.remote
    def work(flag, path):
        try:
            # Inside: the cancellation may come while this still waits for its answer.
            ray.get(flag.set.remote("started"))
            for _ in range(600):
                time.sleep(0.05)
        finally:
            path.write_text("cleaned")

    flag = Flag.remote()
    ref = work.remote(flag, tmp_path / "cleaned")
    until(lambda: ray.get(flag.has.remote("started")))
    ray.cancel(ref)
    with pytest.raises(exceptions.TaskCancelledError):
        ray.get(ref, timeout=30)
    until((tmp_path / "cleaned").exists)


def test_children_are_cancelled_too(shared, until):
    @ray.remote
    def parent(flag):
        child = sleep.remote(flag, "child")
        ray.get(child)

    flag = Flag.remote()
    ref = parent.remote(flag)
    until(lambda: ray.get(flag.has.remote("child")))
    ray.cancel(ref, recursive=True)
    with pytest.raises((exceptions.TaskCancelledError, exceptions.RayTaskError)):
        ray.get(ref, timeout=30)


def test_many_queued_tasks(shared):
    blockers = [sleep.remote() for _ in range(4)]
    queued = [sleep.remote() for _ in range(50)]
    for ref in queued:
        ray.cancel(ref)
    for ref in queued:
        with pytest.raises(exceptions.TaskCancelledError):
            ray.get(ref, timeout=30)
    for ref in blockers:
        ray.cancel(ref, force=True)


def test_tasks_run_after_others_were_cancelled(shared):
    @ray.remote
    def f():
        return 1

    refs = [sleep.remote() for _ in range(8)]
    time.sleep(0.2)
    for ref in refs:
        ray.cancel(ref)
    assert ray.get([f.remote() for _ in range(8)], timeout=30) == [1] * 8


def test_a_queued_method(shared):
    @ray.remote
    class A:
        def block(self):
            time.sleep(1)

        def work(self):
            return 1

    actor = A.remote()
    actor.block.remote()
    time.sleep(0.3)
    queued = actor.work.remote()
    ray.cancel(queued)
    with pytest.raises(exceptions.TaskCancelledError):
        ray.get(queued, timeout=30)
    assert ray.get(actor.work.remote()) == 1


def test_force_is_refused_for_methods(shared):
    @ray.remote
    class A:
        def work(self):
            time.sleep(1)

    ref = A.remote().work.remote()
    with pytest.raises(ValueError):
        ray.cancel(ref, force=True)


def test_a_running_method_sees_that_it_was_cancelled(shared, until):
    @ray.remote(max_concurrency=2)
    class A:
        def __init__(self):
            self.started = False

        def work(self):
            self.started = True
            for _ in range(600):
                if ray.get_runtime_context().is_canceled():
                    return "saw it"
                time.sleep(0.05)

        def has_started(self):
            return self.started

    actor = A.remote()
    ref = actor.work.remote()
    until(lambda: ray.get(actor.has_started.remote()))
    ray.cancel(ref)
    with pytest.raises(exceptions.TaskCancelledError):
        ray.get(ref, timeout=30)


def test_a_running_task_sees_no_cancellation_before(shared):
    @ray.remote
    def f():
        return ray.get_runtime_context().is_canceled()

    assert ray.get(f.remote()) is False


def test_something_else_is_a_type_error(shared):
    with pytest.raises(TypeError):
        ray.cancel("x")
