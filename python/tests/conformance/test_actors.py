"""Actors: state, order, options, names, ends."""

import os
import time

import numpy as np
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


def test_an_actor_keeps_its_state(shared):
    counter = Counter.remote(5)
    assert ray.get([counter.increment.remote() for _ in range(3)]) == [6, 7, 8]
    assert ray.get(counter.read.remote()) == 8


def test_keyword_arguments_of_constructor_and_methods(shared):
    counter = Counter.remote(start=2)
    assert ray.get(counter.increment.remote(by=3)) == 5


def test_each_actor_is_a_process_of_its_own(shared):
    actors = [Counter.remote() for _ in range(3)]
    pids = ray.get([actor.pid.remote() for actor in actors])
    assert len(set(pids)) == 3 and os.getpid() not in pids


def test_calls_run_in_the_callers_order(shared):
    @ray.remote
    class Log:
        def __init__(self):
            self.seen = []

        def add(self, x):
            self.seen.append(x)

        def read(self):
            return self.seen

    log = Log.remote()
    for i in range(100_000):
        log.add.remote(i)
    assert ray.get(log.read.remote()) == list(range(100_000))


def test_order_holds_with_dependencies_that_come_late(shared):
    @ray.remote
    def slow(x):
        time.sleep(0.2)
        return x

    @ray.remote
    class Log:
        def __init__(self):
            self.seen = []

        def add(self, x):
            self.seen.append(x)
            return self.seen

    log = Log.remote()
    log.add.remote(slow.remote(1))
    assert ray.get(log.add.remote(2)) == [1, 2]


def test_calling_a_class_or_method_directly_is_a_type_error(shared):
    with pytest.raises(TypeError):
        Counter()
    counter = Counter.remote()
    with pytest.raises(TypeError):
        counter.read()


def test_a_method_that_does_not_exist(shared):
    counter = Counter.remote()
    with pytest.raises(AttributeError):
        counter.nothing.remote()


def test_wrong_arguments_of_constructor_and_method(shared):
    with pytest.raises(TypeError):
        Counter.remote(1, 2, 3)
    counter = Counter.remote()
    with pytest.raises(TypeError):
        counter.increment.remote(1, 2, 3)


def test_handles_can_be_passed_to_tasks_and_actors(shared):
    counter = Counter.remote()

    @ray.remote
    def work(handle):
        return ray.get(handle.increment.remote())

    assert sorted(ray.get([work.remote(counter) for _ in range(4)])) == [1, 2, 3, 4]

    @ray.remote
    class Owner:
        def __init__(self, handle):
            self.handle = handle

        def call(self):
            return ray.get(self.handle.increment.remote())

        def give(self):
            return self.handle

    owner = Owner.remote(counter)
    assert ray.get(owner.call.remote()) == 5
    assert ray.get(ray.get(owner.give.remote()).read.remote()) == 5


def test_a_handle_inside_a_structure(shared):
    counter = Counter.remote()

    @ray.remote
    def work(handles):
        return ray.get(handles["x"][0].increment.remote(10))

    assert ray.get(work.remote({"x": [counter]})) == 10


def test_a_handle_in_a_closure(shared):
    counter = Counter.remote()

    @ray.remote
    def work():
        return ray.get(counter.increment.remote())

    assert ray.get(work.remote()) == 1


def test_a_handle_can_be_put(shared):
    counter = Counter.remote()
    assert ray.get(ray.get(ray.put(counter)).increment.remote()) == 1


def test_actors_can_create_actors(shared):
    @ray.remote
    class Parent:
        def __init__(self):
            self.child = Counter.remote(7)

        def read(self):
            return ray.get(self.child.read.remote())

    assert ray.get(Parent.remote().read.remote()) == 7


def test_tasks_can_create_actors(shared):
    @ray.remote
    def make():
        counter = Counter.remote(3)
        return ray.get(counter.increment.remote())

    assert ray.get(make.remote()) == 4


def test_class_inheritance(shared):
    class Base:
        def __init__(self, x):
            self.x = x

        def get(self):
            return self.x

        def name(self):
            return "base"

    class Derived(Base):
        def __init__(self, x):
            super().__init__(x + 1)

        def name(self):
            return "derived " + super().name()

    actor = ray.remote(Derived).remote(1)
    assert ray.get([actor.get.remote(), actor.name.remote()]) == [2, "derived base"]


def test_class_attributes_static_and_class_methods(shared):
    @ray.remote
    class A:
        shared = 5

        @staticmethod
        def static(x):
            return x + 1

        @classmethod
        def cls(cls, x):
            return cls.shared + x

        @property
        def prop(self):
            return 9

        def read(self):
            return self.prop

    actor = A.remote()
    assert ray.get(actor.static.remote(1)) == 2
    assert ray.get(actor.cls.remote(1)) == 6
    assert ray.get(actor.read.remote()) == 9


def test_dunder_call_and_private_methods(shared):
    @ray.remote
    class A:
        def _private(self):
            return "private"

        def __call__(self, x):
            return x

    actor = A.remote()
    assert ray.get(actor._private.remote()) == "private"
    assert ray.get(actor.__call__.remote(2)) == 2


def test_several_results_of_a_method(shared):
    @ray.remote
    class A:
        @ray.method(num_returns=2)
        def two(self):
            return 1, 2

        def plain(self):
            return 1, 2, 3

    actor = A.remote()
    a, b = actor.two.remote()
    assert ray.get([a, b]) == [1, 2]
    assert ray.get(list(actor.plain.options(num_returns=3).remote())) == [1, 2, 3]


def test_ray_call_runs_a_function_in_the_actor(shared):
    counter = Counter.remote(4)
    assert ray.get(counter.__ray_call__.remote(lambda self, x: self.value + x, 5)) == 9


def test_ready(shared):
    counter = Counter.remote()
    assert ray.get(counter.__ray_ready__.remote())


def test_options_of_an_actor(shared):
    counter = Counter.options(num_cpus=1, max_restarts=1, max_concurrency=2).remote(1)
    assert ray.get(counter.read.remote()) == 1


@pytest.mark.parametrize(
    "options", [{"nonsense": 1}, {"num_cpus": -1}, {"max_restarts": -2}, {"lifetime": "x"}]
)
def test_bad_options_of_an_actor(shared, options):
    with pytest.raises((ValueError, TypeError)):
        Counter.options(**options).remote()


def test_large_arguments_and_results_of_methods(shared):
    @ray.remote
    class A:
        def echo(self, x):
            return x

    actor = A.remote()
    array = np.arange(500_000)
    assert np.array_equal(ray.get(actor.echo.remote(array)), array)
    assert np.array_equal(ray.get(actor.echo.remote(ray.put(array))), array)


def test_handles_are_equal_to_their_copies(shared):
    counter = Counter.remote()

    @ray.remote
    def same(handles):
        return handles[0]

    back = ray.get(same.remote([counter]))
    assert back == counter and hash(back) == hash(counter)


def test_a_thousand_calls_of_several_callers(shared):
    counter = Counter.remote()

    @ray.remote(num_cpus=0.5)
    def call(handle):
        ray.get([handle.increment.remote() for _ in range(100)])

    ray.get([call.remote(counter) for _ in range(5)])
    assert ray.get(counter.read.remote()) == 500


def test_an_actor_without_cpus_does_not_use_any(shared):
    actors = [Counter.options(num_cpus=0).remote() for _ in range(6)]
    assert ray.get([actor.read.remote() for actor in actors]) == [0] * 6


def test_an_actor_that_calls_itself_through_its_handle(shared):
    @ray.remote
    class A:
        def value(self):
            return 5

        def start(self):
            me = ray.get_runtime_context().current_actor
            return [me.value.remote()]

    actor = A.remote()
    assert ray.get(ray.get(actor.start.remote())[0]) == 5


def test_an_actor_class_shows_its_methods_text(shared):
    @ray.remote
    class A:
        """Documented."""

        def f(self):
            """Method."""

    assert "A" in repr(A)
    assert "A" in repr(A.remote())


def test_deriving_from_an_actor_class_is_refused(shared):
    with pytest.raises(TypeError):

        class B(Counter):
            pass


def test_generator_state_between_calls(shared):
    @ray.remote
    class A:
        def __init__(self):
            self.iterator = iter(range(3))

        def next(self):
            return next(self.iterator)

    actor = A.remote()
    assert [ray.get(actor.next.remote()) for _ in range(3)] == [0, 1, 2]


def test_the_method_decorator_alone_changes_nothing(shared):
    @ray.remote
    class Decorated:
        @ray.method
        def bare(self, x):
            return x + 1

        @ray.method()
        def empty(self, x):
            return x + 2

    actor = Decorated.remote()
    assert ray.get([actor.bare.remote(1), actor.empty.remote(1)]) == [2, 3]
