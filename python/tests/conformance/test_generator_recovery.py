"""Generators whose nodes are lost while they run, and how one sees that a generator has ended."""

import numpy as np
import pytest
from module_under_test import ray, submodule

_SIZE = 1_000_000


@pytest.fixture
def cluster(fresh):
    cluster = submodule("cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0}
    )
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@ray.remote(max_retries=-1)
def count(total, folder, stop_at):
    """Waits before one of its values, the first time that it comes there, until it is let on."""
    import os
    import time

    for i in range(total):
        if i == stop_at and not os.path.exists(f"{folder}/passed"):
            open(f"{folder}/waits", "w").close()
            while not os.path.exists(f"{folder}/passed"):
                time.sleep(0.01)
        yield np.full(_SIZE, i % 100, dtype=np.int8)


@pytest.mark.parametrize("backpressure", [-1, 4])
def test_what_a_running_generator_has_yielded_comes_again(cluster, until, tmp_path, backpressure):
    node = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    options = {"_generator_backpressure_num_objects": backpressure}
    generator = count.options(**options).remote(6, str(tmp_path), 3)
    first = [next(generator) for _ in range(3)]
    until((tmp_path / "waits").exists)
    cluster.remove_node(node, allow_graceful=False)
    (tmp_path / "passed").touch()
    cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    # Before the generator has come as far again.
    assert [int(ray.get(ref, timeout=50)[0]) for ref in first] == [0, 1, 2]
    assert [int(ray.get(ref, timeout=50)[0]) for ref in generator] == [3, 4, 5]


def test_what_has_come_again_may_be_lost_again(cluster, until, tmp_path):
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)]
    generator = count.remote(6, str(tmp_path), 5)
    refs = [next(generator) for _ in range(5)]
    for _ in range(2):
        until((tmp_path / "waits").exists)
        (tmp_path / "waits").unlink()
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        nodes.append(cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20))
    until((tmp_path / "waits").exists)
    (tmp_path / "passed").touch()
    refs += list(generator)
    assert [int(ray.get(ref, timeout=50)[0]) for ref in refs] == list(range(6))


def test_a_generator_is_finished_when_it_has_ended_and_all_is_taken(shared):
    @ray.remote
    def two():
        yield 1
        yield 2

    generator = two.remote()
    ray.get(generator.completed())
    assert generator.next_ready() and not generator.is_finished()
    assert [ray.get(next(generator)), ray.get(next(generator))] == [1, 2]
    assert generator.is_finished()
    assert not generator.next_ready()
    # Whoever waits for it is not kept from hearing that there is no more.
    assert ray.wait([generator], timeout=30) == ([generator], [])
    with pytest.raises(StopIteration):
        next(generator)
    assert generator.is_finished()
    assert not generator.next_ready()


def test_names_of_coroutines_tell_where_they_are_written(shared):
    @ray.remote(num_cpus=0)
    class Waits:
        async def name(self):
            return ray.get_runtime_context().get_task_function_name()

    @ray.remote(num_cpus=0)
    class Runs:
        def name(self):
            return ray.get_runtime_context().get_task_function_name()

    here = "test_names_of_coroutines_tell_where_they_are_written.<locals>"
    assert ray.get(Waits.remote().name.remote()) == f"{__name__}.{here}.Waits.name"
    assert ray.get(Runs.remote().name.remote()) == f"{__name__}.Runs.name"
