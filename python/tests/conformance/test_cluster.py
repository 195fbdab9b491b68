"""Several nodes."""

import gc
import os
import time

import numpy as np
import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")
strategies = submodule("util.scheduling_strategies")
groups = submodule("util.placement_group")


@pytest.fixture
def cluster(fresh):
    cluster = submodule("cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"head": 1}}
    )
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@ray.remote
def where():
    return ray.get_runtime_context().get_node_id()


def test_nodes_are_added_and_used(cluster):
    cluster.add_node(num_cpus=2, resources={"second": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    assert len([node for node in ray.nodes() if node["Alive"]]) == 2
    assert ray.cluster_resources()["CPU"] == 3
    here = ray.get(where.options(resources={"head": 0.1}).remote())
    there = ray.get(where.options(resources={"second": 0.1}).remote())
    assert here != there and here == ray.get_runtime_context().get_node_id()


def test_memory_that_is_asked_for_is_kept_for_whoever_waits(cluster):
    # A waiting task lends its CPU, and nothing else.
    gib = 1024**3
    cluster.add_node(num_cpus=1, memory=gib, resources={"second": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    there = {node["NodeID"]: node["Resources"] for node in ray.nodes()}
    assert gib in [resources["memory"] for resources in there.values()]

    @ray.remote
    class Gate:
        def __init__(self):
            self.is_open = False
            self.is_asked = False

        def open(self):
            self.is_open = True

        def is_passed(self):
            self.is_asked = True
            return self.is_open

        def was_asked(self):
            return self.is_asked

    need = {"memory": 600 * 2**20, "num_cpus": 0.1, "resources": {"second": 0.1}}
    gate = Gate.options(num_cpus=0).remote()

    @ray.remote
    def hold(gate):
        while not ray.get(gate.is_passed.remote()):
            time.sleep(0.01)

    holding = hold.options(**need).remote(gate)
    while not ray.get(gate.was_asked.remote()):
        time.sleep(0.01)
    actor = Gate.options(**need).remote()
    first = actor.is_passed.remote()
    assert ray.wait([first], timeout=1)[0] == []
    ray.get(gate.open.remote())
    ray.get(holding, timeout=30)
    assert ray.get(first, timeout=30) is False


def test_each_task_with_gpus_sees_its_own(cluster, monkeypatch):
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    for _ in range(2):
        cluster.add_node(num_cpus=2, num_gpus=2, resources={"has_gpus": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()

    def own():
        time.sleep(0.02)
        gpus = ray.get_gpu_ids()
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        return os.getpid(), len(gpus), seen == ",".join(map(str, gpus))

    with_gpus = {count: ray.remote(num_gpus=count)(own) for count in (1, 2)}
    # Nor does one without any see those of others, where that is wanted.
    spread = ray.remote(resources={"has_gpus": 0.1}, scheduling_strategy="SPREAD")
    without = spread(own)
    assert {told[1:] for told in ray.get([without.remote() for _ in range(6)])} == {(0, True)}
    wanted = [1, 2, 1] * 16
    found = ray.get([with_gpus[count].remote() for count in wanted])
    assert [count for _, count, _ in found] == wanted
    assert all(alike for _, _, alike in found)
    # Libraries look when they start: a process shows its GPUs to one task alone.
    assert len({pid for pid, _, _ in found}) == len(wanted)


def test_objects_and_actors_across_nodes(cluster):
    cluster.add_node(num_cpus=2, resources={"second": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()

    @ray.remote(resources={"second": 0.1})
    def make(x):
        return np.full(500_000, x.sum())

    assert ray.get(make.remote(ray.put(np.ones(300_000))))[0] == 300_000

    @ray.remote(resources={"second": 0.1})
    class A:
        def __init__(self):
            self.n = 0

        def add(self, x):
            self.n += x
            return self.n

    actor = A.remote()
    assert ray.get([actor.add.remote(1) for _ in range(100)]) == list(range(1, 101))


def test_affinity_and_spread(cluster):
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    ids = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    for node in ids:
        strategy = strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        assert ray.get(where.options(scheduling_strategy=strategy).remote()) == node


def test_strict_spread_and_strict_pack(cluster):
    cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    spread = groups.placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    assert spread.wait(30)
    nodes = groups.placement_group_table(spread)["bundles_to_node_id"]
    assert len(set(nodes.values())) == 2
    groups.remove_placement_group(spread)
    pack = groups.placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_PACK")
    assert pack.wait(30)
    nodes = groups.placement_group_table(pack)["bundles_to_node_id"]
    assert len(set(nodes.values())) == 1


def test_a_node_that_dies_is_noticed_and_its_tasks_run_again(cluster, until):
    second = cluster.add_node(num_cpus=1, resources={"second": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()

    @ray.remote(num_cpus=0, resources={"second": 0.1})
    class A:
        def pid(self):
            return os.getpid()

    actor = A.remote()
    ray.get(actor.pid.remote())

    @ray.remote(num_cpus=0, resources={"second": 0.1})
    def make():
        return np.ones(300_000)

    ref = make.remote()
    ray.wait([ref], fetch_local=False)
    cluster.remove_node(second, allow_graceful=False)
    cluster.add_node(num_cpus=1, resources={"second": 1})
    with pytest.raises(exceptions.RayActorError):
        for _ in range(600):
            ray.get(actor.pid.remote(), timeout=50)
    # Lost with the node, and made again by running its task on the new one.
    assert ray.get(ref, timeout=50).sum() == 300_000


def test_an_actor_moves_to_another_node(cluster, until):
    second = cluster.add_node(num_cpus=1, resources={"movable": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()

    @ray.remote(num_cpus=0, resources={"movable": 1}, max_restarts=1, max_task_retries=-1)
    class A:
        def node(self):
            return ray.get_runtime_context().get_node_id()

    actor = A.remote()
    first = ray.get(actor.node.remote())
    cluster.add_node(num_cpus=1, resources={"movable": 1})
    cluster.remove_node(second, allow_graceful=False)
    until(lambda: ray.get(actor.node.remote(), timeout=50) != first, seconds=50)


def test_an_argument_that_is_lost_is_made_again(cluster, until):
    second = cluster.add_node(num_cpus=1, resources={"second": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()

    @ray.remote(num_cpus=0, num_returns=2, resources={"second": 0.1})
    def two():
        return np.zeros(300_000), np.ones(300_000)

    @ray.remote(num_cpus=0, resources={"second": 0.1})
    def total(x):
        return x.sum()

    @ray.remote(num_cpus=0, resources={"second": 0.1})
    def yields():
        for i in range(3):
            yield np.full(300_000, i)

    zeros, ones = two.remote()
    items = list(yields.remote())
    assert ray.get(total.remote(ones)) == 300_000
    cluster.remove_node(second, allow_graceful=False)
    cluster.add_node(num_cpus=1, resources={"second": 1})
    assert ray.get([total.remote(ones), total.remote(zeros)], timeout=50) == [300_000, 0]
    # Yielded values are made again by their generator.
    found = ray.get([total.remote(item) for item in items], timeout=50)
    assert found == [0, 300_000, 600_000]


@pytest.mark.timeout(150)
def test_a_lost_result_is_made_again_of_what_nobody_references(cluster, until):
    node = cluster.add_node(num_cpus=1, resources={"there": 1})
    ray.init(address=cluster.address, log_to_driver=False)

    @ray.remote(num_cpus=0)
    def small():
        return 1

    @ray.remote(num_cpus=0, max_retries=0)
    def once():
        return np.ones(300_000)

    @ray.remote(resources={"there": 0.1}, max_retries=3)
    def add(large, number, large_too, inside):
        return large + number + large_too + ray.get(inside[0])

    made = once.options(resources={"head": 0.1}).remote()
    total = add.remote(ray.put(np.ones(300_000)), small.remote(), made, [ray.put(1)])
    ray.wait([total], fetch_local=False)
    del made
    gc.collect()
    for _ in range(2):
        cluster.remove_node(node, allow_graceful=False)
        node = cluster.add_node(num_cpus=1, resources={"there": 1})
        assert ray.get(total, timeout=100).max() == 4


def test_wait_brings_objects_to_this_node(cluster):
    cluster.add_node(num_cpus=1, resources={"second": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()

    @ray.remote(num_cpus=0, resources={"second": 0.1})
    def make():
        return np.ones(300_000)

    far, near = make.remote(), ray.put(1)
    ray.wait([far], fetch_local=False)
    # What is here is ready first, whatever the order.
    assert ray.wait([far, near], fetch_local=True)[0] == [near]
    assert ray.wait([far], fetch_local=True) == ([far], [])
    assert ray.get(far).sum() == 300_000


def test_spread_goes_on_to_the_next_node_each_time(cluster):
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    spread = where.options(scheduling_strategy="SPREAD")
    # One after the other: a lease that is still there would keep them all on its node.
    assert len({ray.get(spread.remote()) for _ in range(6)}) == 2


@pytest.mark.skipif(IS_RAY, reason="Ray's own node prefers itself below half its use")
def test_a_task_goes_where_its_arguments_are(cluster):
    cluster.add_node(num_cpus=8, resources={"second": 8})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()

    @ray.remote(resources={"second": 1})
    def make():
        return np.ones(2_000_000), ray.get_runtime_context().get_node_id()

    @ray.remote
    def use(value):
        return ray.get_runtime_context().get_node_id()

    @ray.remote(num_cpus=0, resources={"head": 0.1})
    def pass_on(refs):
        return ray.get(use.remote(refs[0]))

    ref = make.remote()
    ray.wait([ref], fetch_local=False)
    there = [node["NodeID"] for node in ray.nodes() if "second" in node["Resources"]]
    assert [ray.get(use.remote(ref))] == there
    # Also where the one that calls has only borrowed it.
    assert [ray.get(pass_on.remote([ref]))] == there
    here = ray.put(np.ones(2_000_000))
    assert ray.get(use.remote(here)) == ray.get_runtime_context().get_node_id()


def test_an_actor_makes_a_lost_result_again(cluster):
    node = cluster.add_node(num_cpus=2, resources={"second": 2})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()

    @ray.remote(num_cpus=1, resources={"second": 1}, max_restarts=-1, max_task_retries=-1)
    class Maker:
        def make(self, x):
            return np.full(500_000, x)

        def make_many(self, count):
            for x in range(count):
                yield np.full(500_000, x)

    maker = Maker.remote()
    one = maker.make.remote(7)
    many = list(maker.make_many.remote(3))
    ray.wait([one, *many], num_returns=4, fetch_local=False)
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(num_cpus=2, resources={"second": 2})
    assert ray.get(one, timeout=50)[0] == 7
    assert [ray.get(ref, timeout=50)[0] for ref in many] == [0, 1, 2]


def test_a_group_that_nothing_can_hold_waits_for_a_node_that_does(cluster):
    ray.init(address=cluster.address, log_to_driver=False)
    group = groups.placement_group([{"late": 1}])
    ready = group.ready()
    assert ray.wait([ready], timeout=0.5) == ([], [ready])
    cluster.add_node(num_cpus=1, resources={"late": 1})
    assert ray.get(ready, timeout=30) == group and group.wait(10)
