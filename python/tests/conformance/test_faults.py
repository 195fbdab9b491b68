"""Retries, restarts and what is lost: with real `kill -9`."""

import os
import signal
import time

import numpy as np
import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")


def test_an_actor_restarts(shared):
    @ray.remote(max_restarts=1, max_task_retries=-1)
    class A:
        def __init__(self):
            self.n = 0

        def increment(self):
            self.n += 1
            return self.n

        def pid(self):
            return os.getpid()

    actor = A.remote()
    assert ray.get(actor.increment.remote()) == 1
    first = ray.get(actor.pid.remote())
    os.kill(first, signal.SIGKILL)
    assert ray.get(actor.increment.remote()) in (1, 2)
    assert ray.get(actor.pid.remote()) != first


def test_restarts_run_out(shared, until):
    @ray.remote(max_restarts=1)
    class A:
        def pid(self):
            return os.getpid()

    actor = A.remote()
    seen = set()

    def pid():
        try:
            return ray.get(actor.pid.remote())
        except exceptions.ActorUnavailableError:
            return None
        except exceptions.ActorDiedError:
            return "dead"

    for _ in range(2):
        until(lambda: pid() not in {None, *seen})
        found = pid()
        seen.add(found)
        os.kill(found, signal.SIGKILL)
    until(lambda: pid() == "dead")


@pytest.mark.skipif(IS_RAY, reason="Ray runs retried methods out of order")
def test_order_holds_across_a_restart(shared):
    @ray.remote(max_restarts=1, max_task_retries=-1)
    class A:
        def __init__(self):
            self.last = -1

        def add(self, i):
            assert i > self.last
            self.last = i
            return i

        def pid(self):
            return os.getpid()

    actor = A.remote()
    pid = ray.get(actor.pid.remote())
    refs = [actor.add.remote(i) for i in range(200)]
    os.kill(pid, signal.SIGKILL)
    refs += [actor.add.remote(i) for i in range(200, 300)]
    assert ray.get(refs) == list(range(300))


def test_kill_with_restart(shared, until):
    @ray.remote(max_restarts=-1)
    class A:
        def pid(self):
            return os.getpid()

    actor = A.remote()
    first = ray.get(actor.pid.remote())
    ray.kill(actor, no_restart=False)

    def changed():
        try:
            return ray.get(actor.pid.remote()) != first
        except exceptions.RayActorError:
            return False

    until(changed)


def test_calls_fail_at_once_while_an_actor_restarts(shared, until, tmp_path):
    @ray.remote(max_restarts=1, num_cpus=0)
    class A:
        def __init__(self, folder):
            if os.path.exists(folder / "began"):
                while not os.path.exists(folder / "go on"):
                    time.sleep(0.05)
            (folder / "began").touch()

        def pid(self):
            return os.getpid()

    actor = A.remote(tmp_path)
    os.kill(ray.get(actor.pid.remote()), signal.SIGKILL)

    def restarting():
        # No `get` of these would end before the constructor does if they waited for it.
        with pytest.raises(exceptions.ActorUnavailableError) as caught:
            ray.get(actor.pid.remote(), timeout=20)
        return "The actor is restarting" in str(caught.value)

    until(restarting)
    (tmp_path / "go on").touch()

    def is_back():
        try:
            return ray.get(actor.pid.remote()) > 0
        except exceptions.ActorUnavailableError:
            return False

    until(is_back)


def test_kill_means_no_restart(shared):
    @ray.remote(max_restarts=-1)
    class A:
        def work(self):
            return 1

    actor = A.remote()
    ray.get(actor.work.remote())
    ray.kill(actor)
    with pytest.raises(exceptions.RayActorError):
        ray.get(actor.work.remote())


def test_exit_actor_means_no_restart(shared):
    @ray.remote(max_restarts=-1)
    class A:
        def leave(self):
            ray.actor.exit_actor()

        def work(self):
            return 1

    actor = A.remote()
    ray.get(actor.work.remote())
    with pytest.raises(exceptions.RayActorError):
        ray.get(actor.leave.remote())
    with pytest.raises(exceptions.RayActorError):
        ray.get(actor.work.remote())


def test_was_current_actor_reconstructed(shared):
    @ray.remote(max_restarts=1, max_task_retries=-1)
    class A:
        def state(self):
            return os.getpid(), ray.get_runtime_context().was_current_actor_reconstructed

    actor = A.remote()
    pid, restarted = ray.get(actor.state.remote())
    assert not restarted
    os.kill(pid, signal.SIGKILL)
    assert ray.get(actor.state.remote())[1]


@pytest.mark.skipif(IS_RAY, reason="Ray may still find the value in the node's store")
def test_values_of_a_dead_owner_are_lost(shared):
    @ray.remote
    class Owner:
        def make(self):
            self.ref = ray.put(np.ones(300_000))
            return [self.ref]

    owner = Owner.remote()
    [ref] = ray.get(owner.make.remote())
    ray.kill(owner)
    time.sleep(0.5)
    with pytest.raises(exceptions.ObjectLostError):
        ray.get(ref, timeout=30)


def test_results_of_a_dead_actor_that_were_returned_stay(shared):
    @ray.remote
    class A:
        def make(self):
            return np.ones(300_000)

    actor = A.remote()
    ref = actor.make.remote()
    ray.wait([ref])
    ray.kill(actor)
    time.sleep(0.3)
    assert ray.get(ref).sum() == 300_000


def test_results_of_a_worker_that_died_afterwards_stay(shared):
    @ray.remote(max_calls=1)
    def make():
        return np.ones(300_000), os.getpid()

    ref = make.remote()
    assert ray.get(ref)[0].sum() == 300_000
    time.sleep(0.3)
    assert ray.get(ref)[0].sum() == 300_000


def test_other_tasks_go_on_when_a_worker_dies(shared):
    @ray.remote(max_retries=0)
    def die():
        os._exit(1)

    @ray.remote
    def live(i):
        time.sleep(0.01)
        return i

    bad = [die.remote() for _ in range(3)]
    good = [live.remote(i) for i in range(50)]
    assert ray.get(good) == list(range(50))
    for ref in bad:
        with pytest.raises(exceptions.WorkerCrashedError):
            ray.get(ref)


def test_many_actors_die_and_others_stay(shared):
    @ray.remote(num_cpus=0)
    class A:
        def work(self):
            return 1

        def die(self):
            os._exit(1)

    actors = [A.remote() for _ in range(6)]
    ray.get([actor.work.remote() for actor in actors])
    for actor in actors[::2]:
        actor.die.remote()
    assert ray.get([actor.work.remote() for actor in actors[1::2]]) == [1] * 3
    for actor in actors[::2]:
        with pytest.raises(exceptions.RayActorError):
            ray.get(actor.work.remote())


def test_children_of_a_dead_actor_end(shared, until):
    @ray.remote(num_cpus=0)
    class Child:
        def pid(self):
            return os.getpid()

    @ray.remote(num_cpus=0)
    class Parent:
        def __init__(self):
            self.child = Child.remote()

        def child_pid(self):
            return ray.get(self.child.pid.remote())

    parent = Parent.remote()
    pid = ray.get(parent.child_pid.remote())
    ray.kill(parent)

    def gone():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    until(gone)


def test_what_an_actor_answered_before_its_end_is_answered(shared):
    @ray.remote(num_cpus=0)
    class A:
        def work(self):
            return 1

    for _ in range(20):
        actor = A.remote()
        refs = [actor.work.remote() for _ in range(20)]
        actor.__ray_terminate__.remote()
        assert ray.get(refs) == [1] * 20
