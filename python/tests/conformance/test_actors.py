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


def test_an_actor_created_by_a_task_lives_while_its_handle_does(shared):
    @ray.remote
    def make():
        return Counter.remote(3)

    counter = ray.get(make.remote())
    assert ray.get(counter.increment.remote()) == 4


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


def test_ray_call_runs_a_function_in_the_actor(shared):
    counter = Counter.remote(4)
    assert ray.get(counter.__ray_call__.remote(lambda self, x: self.value + x, 5)) == 9


def test_ready(shared):
    counter = Counter.remote()
    assert ray.get(counter.__ray_ready__.remote())


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
