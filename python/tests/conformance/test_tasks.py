"""Tasks: arguments, results, options."""

import asyncio
import gc
import os
import sys
import time

import pytest
from module_under_test import ray


def module_level(x):
    return x * 2


remote_module_level = ray.remote(module_level)


@ray.remote
def decorated_at_module_level(x, y=10):
    return x + y


def test_a_task_returns_its_value(shared):
    @ray.remote
    def f(x):
        return x + 1

    assert ray.get(f.remote(1)) == 2


def test_positional_keyword_and_default_arguments(shared):
    @ray.remote
    def f(a, b=2, *args, c=3, **kwargs):
        return a, b, args, c, kwargs

    assert ray.get(f.remote(1)) == (1, 2, (), 3, {})
    assert ray.get(f.remote(1, 5, 6, 7, c=8, d=9)) == (1, 5, (6, 7), 8, {"d": 9})
    assert ray.get(f.remote(b=1, a=0)) == (0, 1, (), 3, {})


def test_wrong_arguments_are_a_type_error_at_the_call(shared):
    @ray.remote
    def f(a):
        return a

    with pytest.raises(TypeError):
        f.remote()
    with pytest.raises(TypeError):
        f.remote(1, 2)
    with pytest.raises(TypeError):
        f.remote(a=1, b=2)


def test_calling_a_remote_function_directly_is_a_type_error(shared):
    with pytest.raises(TypeError, match="remote"):
        decorated_at_module_level(1)


def test_decorators_without_what_they_need_fail_an_assertion():
    for wrong in (lambda: ray.remote(), lambda: ray.remote(3), lambda: ray.remote(len, max)):
        with pytest.raises(AssertionError, match="remote decorator"):
            wrong()
    for wrong in (lambda: ray.method(3), lambda: ray.method(no_such_option=1)):
        with pytest.raises(AssertionError):
            wrong()


def test_an_actor_class_shows_its_name():
    class Shown:
        pass

    assert "ActorClass(Shown)" in repr(ray.remote(Shown))


def test_a_function_of_a_module(shared):
    assert ray.get(remote_module_level.remote(4)) == 8
    assert ray.get(decorated_at_module_level.remote(4)) == 14
    assert ray.get(decorated_at_module_level.remote(4, y=1)) == 5


def test_a_lambda(shared):
    assert ray.get(ray.remote(lambda x: x * x).remote(5)) == 25


def test_a_closure_takes_its_variables_along(shared):
    factor = 7
    table = {"a": [1, 2]}

    @ray.remote
    def f(x):
        return x * factor, table

    assert ray.get(f.remote(3)) == (21, {"a": [1, 2]})


def test_a_recursive_remote_function(shared):
    @ray.remote(num_cpus=0.01)
    def fibonacci(n):
        if n < 2:
            return n
        return sum(ray.get([fibonacci.remote(n - 1), fibonacci.remote(n - 2)]))

    assert ray.get(fibonacci.remote(6)) == 8


def test_options_override_the_decorator(shared):
    @ray.remote(num_returns=1)
    def f():
        return 1, 2

    assert ray.get(f.remote()) == (1, 2)
    assert ray.get(list(f.options(num_returns=2).remote())) == [1, 2]
    assert ray.get(f.remote()) == (1, 2)


def test_an_unknown_option_is_refused(shared):
    def f():
        pass

    with pytest.raises((ValueError, TypeError)):
        ray.remote(nonsense=1)(f)
    with pytest.raises((ValueError, TypeError)):
        ray.remote(f).options(nonsense=1)


@pytest.mark.parametrize(
    "options",
    [
        {"num_cpus": -1},
        {"num_gpus": -1},
        {"num_returns": -1},
        {"max_retries": -2},
        {"max_calls": -1},
        {"resources": {"CPU": 1}},
        {"resources": {"GPU": 1}},
    ],
)
def test_bad_values_of_options_are_refused(shared, options):
    def f():
        pass

    with pytest.raises(ValueError):
        ray.remote(**options)(f)


def test_remote_of_something_else_is_refused(shared):
    with pytest.raises((TypeError, AssertionError)):
        ray.remote(3)
    with pytest.raises((TypeError, AssertionError)):
        ray.remote()


def test_tasks_start_tasks(shared):
    @ray.remote
    def inner(x):
        return x + 1

    @ray.remote
    def outer(x):
        return ray.get(inner.remote(x)) + ray.get([inner.remote(x) for _ in range(3)])[0]

    assert ray.get(outer.remote(1)) == 4


def test_more_tasks_than_cpus_all_run(shared):
    @ray.remote
    def f(i):
        return i

    assert ray.get([f.remote(i) for i in range(500)]) == list(range(500))


def test_nested_tasks_deeper_than_the_number_of_cpus(shared):
    @ray.remote
    def f(depth):
        return 0 if depth == 0 else 1 + ray.get(f.remote(depth - 1))

    assert ray.get(f.remote(7)) == 7


def test_waiting_parents_do_not_keep_children_from_running(shared):
    @ray.remote
    def child():
        return 1

    @ray.remote
    def parent():
        return sum(ray.get([child.remote() for _ in range(4)]))

    assert ray.get([parent.remote() for _ in range(8)]) == [4] * 8


def test_as_many_tasks_as_there_are_cpus_run_at_once(shared, until):
    @ray.remote(num_cpus=0)
    class Gate:
        def __init__(self):
            self.event = asyncio.Event()
            self.waiting = 0

        async def wait(self):
            self.waiting += 1
            await self.event.wait()

        async def open(self):
            self.event.set()

        async def count(self):
            return self.waiting

    @ray.remote
    def f(gate):
        ray.get(gate.wait.remote())
        return 1

    gate = Gate.remote()
    refs = [f.remote(gate) for _ in range(4)]
    until(lambda: ray.get(gate.count.remote()) == 4)
    # Those that wait lend their CPUs, so more can come.
    refs += [f.remote(gate) for _ in range(3)]
    until(lambda: ray.get(gate.count.remote()) == 7)
    ray.get(gate.open.remote())
    assert ray.get(refs) == [1] * 7


def test_tasks_run_in_other_processes(shared):
    @ray.remote
    def pid():
        return os.getpid()

    assert ray.get(pid.remote()) != os.getpid()


def test_the_name_of_a_task_can_be_chosen(shared):
    @ray.remote
    def f():
        return ray.get_runtime_context().get_task_name()

    assert ray.get(f.options(name="chosen").remote()) == "chosen"
    assert ray.get(f.remote()).endswith("f")


def test_max_calls_ends_the_worker_after_that_many(shared):
    @ray.remote(max_calls=1)
    def pid():
        return os.getpid()

    pids = [ray.get(pid.remote()) for _ in range(3)]
    assert len(set(pids)) == 3


def test_a_worker_that_takes_no_more_calls_stays_for_its_objects(shared):
    @ray.remote
    def later():
        time.sleep(0.5)
        return "later"

    @ray.remote(num_cpus=4, max_calls=1)
    def make(i):
        return os.getpid(), ray.put(f"kept {i}"), later.remote()

    # Each wants all CPUs: those that have made theirs hold nothing any more.
    made = ray.get([make.remote(i) for i in range(3)], timeout=50)
    assert len({pid for pid, _, _ in made}) == 3
    assert ray.get([kept for _, kept, _ in made]) == ["kept 0", "kept 1", "kept 2"]
    assert ray.get([late for _, _, late in made]) == ["later"] * 3
    pids = [pid for pid, _, _ in made]
    del made
    gc.collect()
    end = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{pid}/stat") and not _is_dead(pid) for pid in pids):
        assert time.monotonic() < end
        ray.wait([ray.put(1)])
        time.sleep(0.05)


def _is_dead(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_redefined_function_is_the_new_one(shared):
    results = []
    for i in range(3):

        @ray.remote
        def f():
            return i

        results.append(ray.get(f.remote()))
    assert results == [0, 1, 2]


def test_globals_of_a_worker_are_not_the_drivers(shared):
    module = sys.modules[__name__]
    module.marker = "driver"

    @ray.remote
    def f():
        import sys as other

        return getattr(other.modules.get("test_tasks"), "marker", None)

    assert ray.get(f.remote()) != "driver"


def test_a_staticmethod_and_partial(shared):
    import functools

    def add(a, b):
        return a + b

    @ray.remote
    def call(function, *args):
        return function(*args)

    assert ray.get(call.remote(functools.partial(add, 1), 2)) == 3


def test_printing_in_a_task_does_no_harm(shared):
    @ray.remote
    def loud():
        print("x" * 100_000)
        print("to stderr", file=sys.stderr)
        return 1

    assert ray.get(loud.remote()) == 1


def test_get_of_a_list_fails_as_soon_as_one_has_failed(shared):
    @ray.remote(num_cpus=0)
    class Slow:
        def wait(self):
            time.sleep(600)

    @ray.remote
    def fail():
        time.sleep(0.3)
        raise KeyError("early")

    slow = Slow.remote()
    with pytest.raises(KeyError):
        ray.get([slow.wait.remote(), fail.remote()], timeout=60)
    ray.kill(slow)


def test_what_is_no_exception_is_the_tasks_error(shared):
    @ray.remote(max_retries=0)
    def strange():
        raise BaseException("strange")

    @ray.remote(num_cpus=0)
    class A:
        def strange(self):
            raise BaseException("strange")

        def ping(self):
            return 1

    actor = A.remote()
    for ref in (strange.remote(), actor.strange.remote()):
        with pytest.raises(ray.exceptions.RayTaskError, match="strange"):
            ray.get(ref)
    assert ray.get(actor.ping.remote()) == 1
