"""Eight nodes: objects go from each to each, groups spread, and one node is killed meanwhile."""

import numpy as np
import pytest
from module_under_test import ray, submodule

exceptions = submodule("exceptions")
strategies = submodule("util.scheduling_strategies")
groups = submodule("util.placement_group")

NODES = 8
MAPPERS = 16
ITEMS = 40_000


@pytest.fixture
def nodes(fresh):
    cluster = submodule("cluster_utils").Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "object_store_memory": 100 * 2**20},
    )
    for _ in range(NODES - 1):
        cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@ray.remote(num_returns=NODES, max_retries=5)
def cut(seed):
    numbers = np.random.default_rng(seed).integers(0, 1000, size=NODES * ITEMS)
    return [numbers[part::NODES].copy() for part in range(NODES)]


@ray.remote(max_retries=5)
def add(*parts):
    return int(sum(int(part.sum()) for part in parts))


@ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)
class Member:
    def where(self):
        return ray.get_runtime_context().get_node_id()

    def add(self, *parts):
        return int(sum(int(part.sum()) for part in parts))


@ray.remote(num_cpus=0)
class Frail:
    def ping(self):
        return 1


def expected(part):
    return sum(
        int(np.random.default_rng(seed).integers(0, 1000, size=NODES * ITEMS)[part::NODES].sum())
        for seed in range(MAPPERS)
    )


@pytest.mark.timeout(240)
def test_a_shuffle_among_eight_nodes_survives_one(nodes):
    ids = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    assert len(ids) == NODES
    group = groups.placement_group([{"CPU": 1}] * 6, strategy="STRICT_SPREAD")
    assert group.wait(60)
    members = [
        Member.options(
            scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=index
            )
        ).remote()
        for index in range(6)
    ]
    homes = ray.get([member.where.remote() for member in members], timeout=60)
    assert len(set(homes)) == 6
    victim = next(node for node in nodes.worker_nodes if node.node_id in homes)
    affinity = strategies.NodeAffinitySchedulingStrategy
    frail = Frail.options(scheduling_strategy=affinity(victim.node_id, soft=False)).remote()
    assert ray.get(frail.ping.remote(), timeout=60) == 1
    # Two from each node; each reducer takes something of all.
    cuts = [
        cut.options(scheduling_strategy=affinity(ids[seed % NODES], soft=True)).remote(seed)
        for seed in range(MAPPERS)
    ]
    ray.wait([parts[0] for parts in cuts], num_returns=MAPPERS, timeout=60)
    sums = [
        add.options(scheduling_strategy="SPREAD").remote(*[parts[part] for parts in cuts])
        for part in range(NODES)
    ]
    calls = [
        member.add.remote(*[parts[index] for parts in cuts]) for index, member in enumerate(members)
    ]
    nodes.remove_node(victim, allow_graceful=False)
    wanted = [expected(part) for part in range(NODES)]
    assert ray.get(sums, timeout=120) == wanted
    assert ray.get(calls, timeout=120) == wanted[:6]
    # The lost bundle has another node of its own, and its member lives there.
    homes = ray.get([member.where.remote() for member in members], timeout=60)
    assert len(set(homes)) == 6 and victim.node_id not in homes
    with pytest.raises(exceptions.RayActorError):
        ray.get(frail.ping.remote(), timeout=60)
    groups.remove_placement_group(group)
