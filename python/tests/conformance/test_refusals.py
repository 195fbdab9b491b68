"""Objects that are there and cannot come now, and those that are lost while their makers live."""

import asyncio

import numpy as np
import pytest
from module_under_test import IS_RAY, ray, submodule

pytestmark = pytest.mark.skipif(IS_RAY, reason="the answers of iorun's agent are replaced here")

_SIZE = 300_000
_FULL = "IOR-1501"
_LOST = "IOR-1502"


def refuse(code, times):
    """Has the next requests of this process for objects in shared memory fail."""
    from iorun._core import global_state
    from iorun._core.hub import HubError

    core = global_state.require()
    pin_later = core.arena.pin_later
    left = [times]

    def refused(id, locations, size, done):
        if not left[0]:
            pin_later(id, locations, size, done)
            return
        left[0] -= 1
        core.loop.after(0, lambda: done(None, HubError(code, "not now")))

    core.arena.pin_later = refused


@pytest.fixture
def one(fresh):
    ray.init(num_cpus=2, log_to_driver=False)


@ray.remote(_generator_backpressure_num_objects=1)
def count(total, path):
    with open(path, "a") as file:
        file.write("x")
    for i in range(total):
        yield np.full(_SIZE, i, dtype=np.int8)


@ray.remote
def make(path):
    with open(path, "a") as file:
        file.write("x")
    return np.ones(_SIZE, dtype=np.int8)


@pytest.mark.parametrize("code, runs", [(_FULL, "x"), (_LOST, "xx")])
def test_a_running_generator_comes_to_its_end(one, tmp_path, code, runs):
    refuse(code, 1)
    path = tmp_path / "runs"
    # It waits until what it has yielded is taken, and the program for what has not come.
    found = [int(ray.get(ref, timeout=30)[0]) for ref in count.remote(5, str(path))]
    assert found == [0, 1, 2, 3, 4]
    assert path.read_text() == runs


def test_whoever_lets_go_of_a_lost_value_leaves_the_generator_its_bounds(one, tmp_path):
    from iorun._core import global_state

    core = global_state.require()
    generator = count.remote(5, str(tmp_path / "runs"))
    first = next(generator)
    stream = generator._stream
    core.report_lost(first.binary(), core.objects.entries[first.binary()].data)
    assert list(stream.missing) == [first.binary()]
    del first
    assert [int(ray.get(ref, timeout=30)[0]) for ref in generator] == [1, 2, 3, 4]
    assert not stream.missing


def test_a_value_is_waited_for_and_not_made_again(one, tmp_path):
    path = tmp_path / "runs"
    refuse(_FULL, 3)
    assert ray.get(make.remote(str(path)), timeout=30).sum() == _SIZE
    refuse(_FULL, 3)

    async def value():
        return await make.remote(str(path))

    assert asyncio.run(value()).sum() == _SIZE
    assert path.read_text() == "xx"


def test_where_there_is_no_room_for_good_that_is_said(one):
    refuse(_FULL, 1_000)
    with pytest.raises(submodule("exceptions").ObjectStoreFullError, match="not now"):
        ray.get(ray.put(np.ones(_SIZE)))


def test_an_argument_is_waited_for_and_not_made_again(one, tmp_path):
    @ray.remote(num_cpus=0)
    class Takes:
        def refuse(self, code, times):
            refuse(code, times)

        def total(self, value):
            return int(value.sum())

    path = tmp_path / "runs"
    made = make.remote(str(path))
    actor = Takes.remote()
    ray.get(actor.refuse.remote(_FULL, 3))
    assert ray.get(actor.total.remote(made), timeout=30) == _SIZE
    assert path.read_text() == "x"
