"""Objects: put, get, wait, refs and their lives."""

import asyncio
import concurrent.futures
import gc
import pickle
import time

import numpy as np
import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")


@pytest.mark.parametrize(
    "value",
    [
        1,
        1.5,
        "text",
        b"bytes",
        None,
        [1, [2, [3]]],
        {"a": (1, 2)},
        {1, 2},
        "ü" * 1000,
        2**100,
        b"x" * 1_000_000,
        complex(1, 2),
        range(5),
        bytearray(b"abc"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_put_comes_back(shared, value):
    assert ray.get(ray.put(value)) == value


def test_each_get_gives_a_copy_of_its_own(shared):
    original = [1, 2]
    ref = ray.put(original)
    original.append(3)
    first = ray.get(ref)
    first.append(4)
    assert ray.get(ref) == [1, 2]


def test_get_of_a_list_keeps_the_order(shared):
    refs = [ray.put(i) for i in range(50)]
    assert ray.get(list(reversed(refs))) == list(reversed(range(50)))
    assert ray.get([refs[0], refs[0]]) == [0, 0]
    assert ray.get([]) == []


@pytest.mark.parametrize("wrong", [1, "x", None, {"a": 1}])
def test_get_of_something_else_is_a_value_error(shared, wrong):
    with pytest.raises(ValueError):
        ray.get(wrong)


def test_put_of_a_ref_is_refused(shared):
    with pytest.raises(TypeError):
        ray.put(ray.put(1))


def test_numpy_arrays_come_back_read_only(shared):
    array = np.zeros(1_000_000)
    ref = ray.put(array)
    copy = ray.get(ref)
    assert np.array_equal(copy, array)
    with pytest.raises(ValueError):
        copy[0] = 1


def test_small_arrays_are_read_only_too(shared):
    @ray.remote
    def writable(array, arrays):
        return array.flags.writeable or arrays["b"].flags.writeable

    small = np.arange(3.0)
    copy = ray.get(ray.put(small))
    assert np.array_equal(copy, small)
    with pytest.raises(ValueError, match="read-only"):
        copy[0] = 1
    assert ray.get(writable.remote(small, {"b": small})) is False
    for array in (
        np.zeros(0),
        np.array(["text"]),
        np.array([{}], dtype=object),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(10)[::2],
    ):
        assert np.array_equal(ray.get(ray.put(array)), array)


def test_a_view_outlives_its_ref(shared):
    ref = ray.put(np.arange(1_000_000))
    view = ray.get(ref)
    del ref
    gc.collect()
    others = [ray.put(np.ones(1_000_000)) for _ in range(4)]
    assert view[123_456] == 123_456
    del others


def test_structures_that_hold_arrays(shared):
    value = {"a": np.arange(100_000), "b": [np.ones((10, 10)), "text"]}
    found = ray.get(ray.put(value))
    assert np.array_equal(found["a"], value["a"])
    assert np.array_equal(found["b"][0], value["b"][0])


def test_arrays_of_all_kinds(shared):
    for array in [
        np.array([], dtype=np.int32),
        np.array(5),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.arange(100)[::2],
        np.array(["a", "bc"]),
        np.array([{"a": 1}, None], dtype=object),
        np.zeros(3, dtype=[("x", "f4"), ("y", "i8")]),
    ]:
        found = ray.get(ray.put(array))
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)


def test_many_objects(shared):
    refs = [ray.put(i) for i in range(2000)]
    assert ray.get(refs) == list(range(2000))


def test_more_bytes_than_the_store_holds_when_refs_are_dropped(shared):
    for i in range(30):
        ref = ray.put(np.full(2_500_000, i, dtype=np.float64))
        assert ray.get(ref)[0] == i
        del ref


def test_get_times_out(shared):
    @ray.remote
    def slow():
        time.sleep(30)

    ref = slow.remote()
    with pytest.raises(exceptions.GetTimeoutError):
        ray.get(ref, timeout=0.1)
    with pytest.raises(TimeoutError):
        ray.get([ref], timeout=0.1)
    ray.cancel(ref, force=True)


def test_get_with_timeout_zero(shared):
    ref = ray.put(1)
    assert ray.get(ref, timeout=0) == 1


def test_get_with_a_timeout_that_is_long_enough(shared):
    @ray.remote
    def f():
        return 1

    assert ray.get(f.remote(), timeout=30) == 1


def test_a_ref_is_equal_to_its_copy_and_hashable(shared):
    ref = ray.put(1)

    @ray.remote
    def same(refs):
        return refs[0]

    back = ray.get(same.remote([ref]))
    assert back == ref and hash(back) == hash(ref)
    assert {ref: 1}[back] == 1
    assert ref != ray.put(1)
    assert ref.hex() == back.hex() and ref.binary() == back.binary()


def test_hex_and_binary_agree(shared):
    ref = ray.put(1)
    assert bytes.fromhex(ref.hex()) == ref.binary()
    assert not ref.is_nil()


def test_a_ref_as_a_future(shared):
    @ray.remote
    def f():
        return 3

    future = f.remote().future()
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(timeout=30) == 3


def test_a_future_of_a_failed_task(shared):
    @ray.remote(max_retries=0)
    def f():
        raise KeyError("x")

    with pytest.raises(KeyError):
        f.remote().future().result(timeout=30)


def test_await_a_ref_in_the_driver(shared):
    @ray.remote
    def f(x):
        return x

    async def main():
        assert await f.remote(1) == 1
        assert await asyncio.gather(*[f.remote(i) for i in range(10)]) == list(range(10))
        assert await asyncio.wait_for(f.remote(5), 30) == 5
        done, pending = await asyncio.wait([asyncio.wrap_future(f.remote(7).future())])
        assert not pending and done.pop().result() == 7

    asyncio.run(main())


def test_await_a_failed_ref(shared):
    @ray.remote(max_retries=0)
    def f():
        raise ValueError("no")

    async def main():
        with pytest.raises(ValueError):
            await f.remote()

    asyncio.run(main())


def test_refs_inside_of_objects_stay_alive(shared):
    outer = ray.put([ray.put(np.ones(200_000))])
    gc.collect()
    assert ray.get(ray.get(outer)[0]).sum() == 200_000


def test_deeply_nested_refs(shared):
    ref = ray.put("bottom")
    for _ in range(10):
        ref = ray.put([ref])
    for _ in range(10):
        ref = ray.get(ref)[0]
    assert ray.get(ref) == "bottom"


def test_a_borrowed_ref_outlives_the_owners(shared):
    @ray.remote
    class Keeper:
        def keep(self, refs):
            self.refs = refs

        def read(self):
            return ray.get(self.refs[0]).sum()

    keeper = Keeper.remote()
    ref = ray.put(np.ones(300_000))
    ray.get(keeper.keep.remote([ref]))
    del ref
    gc.collect()
    assert ray.get(keeper.read.remote()) == 300_000


def test_a_ref_passed_on_by_a_borrower(shared):
    @ray.remote
    def third(refs):
        return ray.get(refs[0])

    @ray.remote
    def second(refs):
        return third.remote(refs)

    ref = ray.put(b"z" * 300_000)
    result = second.remote([ref])
    del ref
    gc.collect()
    assert len(ray.get(ray.get(result))) == 300_000


def test_a_ref_in_a_closure(shared):
    ref = ray.put(11)

    @ray.remote
    def f():
        return ray.get(ref)

    assert ray.get(f.remote()) == 11


def test_refs_in_an_actors_state_are_borrowed(shared):
    @ray.remote
    class Store:
        def __init__(self):
            self.refs = {}

        def make(self, key):
            self.refs[key] = ray.put(np.full(150_000, key))

        def fetch(self, key):
            return self.refs[key]

    store = Store.remote()
    ray.get(store.make.remote(3))
    assert ray.get(ray.get(store.fetch.remote(3)))[0] == 3


def test_an_object_of_ten_thousand_refs(shared):
    inner = [ray.put(1) for _ in range(10_000)]
    outer = ray.put(inner)
    assert len(ray.get(outer)) == 10_000


def test_unpicklable_values_are_type_errors(shared):
    import threading

    with pytest.raises(TypeError):
        ray.put(threading.Lock())

    @ray.remote
    def f(x):
        return x

    with pytest.raises(TypeError):
        f.remote(threading.Lock())


def test_an_unpicklable_result_is_an_error(shared):
    import threading

    @ray.remote(max_retries=0)
    def f():
        return threading.Lock()

    with pytest.raises(Exception, match="pickle|serializ"):
        ray.get(f.remote())


def test_a_recursive_structure(shared):
    value = []
    value.append(value)
    found = ray.get(ray.put(value))
    assert found[0] is found


def test_custom_serializer(shared):
    import threading

    util = submodule("util")

    class Guarded:
        def __init__(self, x):
            self.x = x
            self.lock = threading.Lock()

    util.register_serializer(
        Guarded, serializer=lambda guarded: guarded.x, deserializer=lambda x: Guarded(x)
    )
    try:
        assert ray.get(ray.put(Guarded(4))).x == 4

        @ray.remote
        def f(guarded):
            return guarded.x

        assert ray.get(f.remote(Guarded(5))) == 5
    finally:
        util.deregister_serializer(Guarded)
    with pytest.raises(TypeError):
        ray.put(Guarded(1))


def test_reduce_of_a_class_is_honoured(shared):
    class Custom:
        def __init__(self, x):
            self.x = x

        def __reduce__(self):
            return Custom, (self.x + 1,)

    assert ray.get(ray.put(Custom(1))).x == 2


def test_a_ref_pickled_by_hand_still_works_in_this_process(shared):
    ref = ray.put(8)
    try:
        copy = pickle.loads(ray.cloudpickle.dumps(ref))
    except exceptions.OufOfBandObjectRefSerializationException:
        pytest.skip("refused, as a setting of Ray's allows")
    assert ray.get(copy) == 8


def test_objects_larger_than_the_inline_limit_and_smaller(shared):
    @ray.remote
    def make(n):
        return b"a" * n

    for n in [0, 1, 1000, 99_000, 102_399, 102_400, 102_401, 150_000, 1_000_000]:
        assert len(ray.get(make.remote(n))) == n


@pytest.mark.skipif(IS_RAY, reason="Ray 2.60 has no `free` any more; older programs use it")
def test_a_freed_object_is_gone(shared):
    free = submodule("_private.internal_api").free
    for value in [1, np.ones(300_000)]:
        ref = ray.put(value)
        free([ref])
        with pytest.raises(exceptions.ObjectLostError):
            ray.get(ref, timeout=10)


def test_a_ref_made_of_its_bytes_counts_while_it_lives(shared):
    ref = ray.put([1, 2])
    copy = type(ref)(ref.binary())
    assert ray.get(copy) == [1, 2] and copy == ref
    del copy
    gc.collect()
    # Each reference counts by itself.
    assert ray.get(ref) == [1, 2]
    copy = type(ref)(ref.binary())
    del ref
    ray.put(1)
    assert ray.get(copy) == [1, 2]
    for wrong in [b"short", b"x" * 29]:
        with pytest.raises(ValueError, match="needs to have length"):
            type(copy)(wrong)


@ray.remote(num_cpus=0)
class Keeper:
    def __init__(self):
        self.kept = []

    def keep(self, refs):
        self.kept += refs

    def values(self):
        return ray.get(self.kept)

    def busy(self, seconds):
        time.sleep(seconds)


@ray.remote(num_cpus=0)
class Maker:
    def make(self, value, owner):
        return [ray.put(value, _owner=owner)]


@pytest.mark.parametrize("size", [10, 1_000_000], ids=["small", "large"])
def test_what_an_actor_owns_outlives_the_worker_that_put_it(shared, size):
    owner, maker = Keeper.remote(), Maker.remote()
    value = np.arange(size)
    [ref] = ray.get(maker.make.remote(value, owner))
    ray.get(owner.keep.remote([ref]))
    ray.kill(maker)
    assert (ray.get(ref) == value).all()
    assert (ray.get(owner.values.remote())[0] == value).all()
    del ref
    assert (ray.get(owner.values.remote())[0] == value).all()


def test_what_an_actor_owns_ends_with_the_actor(shared, until):
    owner = Keeper.remote()
    ref = ray.put(np.zeros(300_000), _owner=owner)
    inner = ray.put([ray.put("inside")], _owner=owner)
    # Its owner need not have time for calls.
    owner.busy.remote(60)
    late = ray.put("late", _owner=owner)
    assert ray.get(ray.get(inner)[0]) == "inside"
    assert ray.get(late) == "late"
    ray.kill(owner)
    unknown = Maker.remote().make.remote("x", owner)
    with pytest.raises((exceptions.RayActorError, exceptions.RayTaskError)):
        ray.get(unknown)
    if not IS_RAY:
        with pytest.raises(exceptions.RayActorError):
            ray.put("dead", _owner=owner)
    with pytest.raises(TypeError):
        ray.put(1, _owner="somebody")
    del ref
