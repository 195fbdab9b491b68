"""What goes into tasks and comes out of them."""

import os

import numpy as np
import pytest
from module_under_test import ray


def test_several_results(shared):
    @ray.remote(num_returns=3)
    def f():
        return 1, 2, 3

    a, b, c = f.remote()
    assert ray.get([a, b, c]) == [1, 2, 3]


def test_num_returns_zero_gives_no_ref(shared):
    @ray.remote(num_returns=0)
    def f():
        return None

    assert f.remote() is None


def test_a_wrong_number_of_results_is_an_error(shared):
    @ray.remote(num_returns=3)
    def f():
        return 1, 2

    for ref in f.remote():
        with pytest.raises(ValueError):
            ray.get(ref)


def test_a_ref_as_an_argument_arrives_as_its_value(shared):
    @ray.remote
    def f(x, y):
        return x + y

    first = f.remote(1, 2)
    second = f.remote(first, y=first)
    assert ray.get(second) == 6
    assert ray.get(f.remote(ray.put(10), second)) == 16


def test_a_ref_inside_a_list_arrives_as_a_ref(shared):
    @ray.remote
    def f(refs):
        assert all(isinstance(ref, ray.ObjectRef) for ref in refs)
        return sum(ray.get(refs))

    assert ray.get(f.remote([ray.put(1), ray.put(2)])) == 3


def test_a_task_can_return_a_ref(shared):
    @ray.remote
    def inner():
        return 5

    @ray.remote
    def outer():
        return inner.remote()

    ref = ray.get(outer.remote())
    assert isinstance(ref, ray.ObjectRef)
    assert ray.get(ref) == 5


def test_a_task_can_return_what_it_put(shared):
    @ray.remote
    def f():
        return [ray.put(i) for i in range(5)]

    assert ray.get(ray.get(f.remote())) == [0, 1, 2, 3, 4]


def test_numpy_arguments_and_results(shared):
    @ray.remote
    def f(x):
        return x.sum(), x * 2

    array = np.arange(1_000_000, dtype=np.float64).reshape(1000, 1000)
    total, doubled = ray.get(f.remote(array))
    assert total == array.sum()
    assert np.array_equal(doubled, array * 2)


def test_large_arguments_by_value(shared):
    @ray.remote
    def f(x):
        return len(x)

    assert ray.get(f.remote(b"x" * 5_000_000)) == 5_000_000


def test_none_and_empty_values(shared):
    @ray.remote
    def f(x):
        return x

    for value in [None, 0, "", b"", [], {}, (), set(), False]:
        assert ray.get(f.remote(value)) == value


def test_an_instance_of_a_class_of_the_driver(shared):
    class Point:
        def __init__(self, x, y):
            self.x, self.y = x, y

        def sum(self):
            return self.x + self.y

    @ray.remote
    def f(point):
        return Point(point.sum(), 0)

    assert ray.get(f.remote(Point(1, 2))).x == 3


def test_a_remote_function_as_an_argument(shared):
    @ray.remote
    def g(x):
        return x + 1

    @ray.remote
    def f(function, x):
        return ray.get(function.remote(x))

    assert ray.get(f.remote(g, 1)) == 2


def test_long_chains_of_dependencies(shared):
    @ray.remote
    def increment(x):
        return x + 1

    ref = ray.put(0)
    for _ in range(100):
        ref = increment.remote(ref)
    assert ray.get(ref) == 100


def test_many_arguments(shared):
    @ray.remote
    def total(*numbers):
        return sum(numbers)

    refs = [ray.put(i) for i in range(200)]
    assert ray.get(total.remote(*refs)) == sum(range(200))


def test_a_function_that_captures_a_large_array_runs(shared):
    large = bytes(20 << 20)

    @ray.remote
    def size():
        return len(large)

    assert ray.get([size.remote(), size.remote()]) == [20 << 20] * 2


def test_a_dependent_of_a_crash_fails_with_an_error_of_its_own(shared):
    @ray.remote(max_retries=0)
    def crash():
        os._exit(1)

    @ray.remote
    def take(x):
        return x

    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        ray.get(take.remote(crash.remote()))
    assert isinstance(caught.value, ray.exceptions.WorkerCrashedError)
