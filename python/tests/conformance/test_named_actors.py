"""Names, namespaces and detached actors."""

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


def test_named_actors(shared):
    counter = Counter.options(name="counter-a").remote(9)
    found = ray.get_actor("counter-a")
    assert ray.get(found.increment.remote()) == 10
    assert found == counter

    @ray.remote
    def work():
        return ray.get(ray.get_actor("counter-a").read.remote())

    assert ray.get(work.remote()) == 10
    assert "counter-a" in submodule("util").list_named_actors()


def test_a_name_can_be_used_once(shared):
    first = Counter.options(name="once").remote()
    ray.get(first.read.remote())
    with pytest.raises(ValueError):
        Counter.options(name="once").remote()
    ray.kill(first)


def test_a_name_is_free_again_when_its_actor_is_dead(shared, until):
    first = Counter.options(name="again").remote(1)
    ray.get(first.read.remote())
    ray.kill(first)

    def free():
        try:
            ray.get_actor("again")
        except ValueError:
            return True
        return False

    until(free)
    second = Counter.options(name="again").remote(2)
    assert ray.get(second.read.remote()) == 2


def test_get_if_exists(shared):
    first = Counter.options(name="shared-one", get_if_exists=True).remote(1)
    assert ray.get(first.increment.remote()) == 2
    second = Counter.options(name="shared-one", get_if_exists=True).remote(100)
    assert ray.get(second.read.remote()) == 2


def test_get_actor_of_nothing(shared):
    with pytest.raises(ValueError):
        ray.get_actor("nobody")
    with pytest.raises(ValueError):
        ray.get_actor("")


def test_namespaces(shared):
    a = Counter.options(name="same", namespace="one").remote(1)
    b = Counter.options(name="same", namespace="two").remote(2)
    assert ray.get(ray.get_actor("same", namespace="one").read.remote()) == 1
    assert ray.get(ray.get_actor("same", namespace="two").read.remote()) == 2
    with pytest.raises(ValueError):
        ray.get_actor("same")
    named = submodule("util").list_named_actors(all_namespaces=True)
    assert {"name": "same", "namespace": "one"} in named
    del a, b


def test_a_detached_actor_outlives_its_handles(shared):
    Counter.options(name="detached-a", lifetime="detached").remote(1)
    time.sleep(0.2)
    found = ray.get_actor("detached-a")
    assert ray.get(found.increment.remote()) == 2
    ray.kill(found)


def test_a_detached_actor_of_a_task(shared):
    @ray.remote
    def make():
        actor = Counter.options(name="detached-b", lifetime="detached").remote(5)
        return ray.get(actor.read.remote())

    assert ray.get(make.remote()) == 5
    found = ray.get_actor("detached-b")
    assert ray.get(found.read.remote()) == 5
    ray.kill(found)
