"""Where things go by preference: busy nodes, soft targets of groups, labels of bundles."""

import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")
strategies = submodule("util.scheduling_strategies")
groups = submodule("util.placement_group")


@pytest.fixture
def nodes(fresh):
    """The ids of two nodes of two CPUs, in the zones a and b."""
    cluster = submodule("cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "labels": {"zone": "a"}}
    )
    cluster.add_node(num_cpus=2, labels={"zone": "b"})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    zones = {node["Labels"]["zone"]: node["NodeID"] for node in ray.nodes()}
    yield zones["a"], zones["b"]
    ray.shutdown()
    cluster.shutdown()


@ray.remote(num_cpus=1)
class Member:
    def where(self):
        return ray.get_runtime_context().get_node_id()


def test_a_busy_node_is_passed_over_or_refused(nodes, until):
    for node in nodes:
        hard = strategies.NodeAffinitySchedulingStrategy(
            node, soft=False, _fail_on_unavailable=True
        )
        spilling = strategies.NodeAffinitySchedulingStrategy(
            node, soft=True, _spill_on_unavailable=True
        )
        members = [Member.options(scheduling_strategy=hard).remote() for _ in range(2)]
        assert ray.get([member.where.remote() for member in members]) == [node, node]
        refused = Member.options(scheduling_strategy=hard).remote()
        with pytest.raises(exceptions.ActorUnschedulableError):
            ray.get(refused.where.remote(), timeout=30)
        elsewhere = Member.options(scheduling_strategy=spilling).remote()
        assert ray.get(elsewhere.where.remote(), timeout=30) != node
        for member in [*members, elsewhere]:
            ray.kill(member)
        until(all_is_free)
        back = Member.options(scheduling_strategy=spilling).remote()
        assert ray.get(back.where.remote(), timeout=30) == node
        ray.kill(back)
        until(all_is_free)


def test_what_does_not_go_together_is_refused():
    if IS_RAY:
        pytest.skip("Ray takes it")
    with pytest.raises(ValueError):
        strategies.NodeAffinitySchedulingStrategy("00", True, _fail_on_unavailable=True)
    with pytest.raises(ValueError):
        strategies.NodeAffinitySchedulingStrategy("00", False, _spill_on_unavailable=True)


def all_is_free():
    return ray.available_resources().get("CPU") == 4


def nodes_of(group):
    return set(groups.placement_group_table(group)["bundles_to_node_id"].values())


def test_a_groups_soft_target(nodes, until):
    for node in nodes:
        wished = ray.util.placement_group(
            [{"CPU": 1}, {"CPU": 1}], strategy="STRICT_PACK", _soft_target_node_id=node
        )
        ray.get(wished.ready(), timeout=30)
        assert nodes_of(wished) == {node}
        # Its target has no room any more: it is made all the same.
        second = ray.util.placement_group(
            [{"CPU": 1}, {"CPU": 1}], strategy="STRICT_PACK", _soft_target_node_id=node
        )
        ray.get(second.ready(), timeout=30)
        assert nodes_of(second) == set(nodes) - {node}
        for group in (wished, second):
            ray.util.remove_placement_group(group)
        until(all_is_free)
    with pytest.raises(ValueError, match="STRICT_PACK"):
        ray.util.placement_group([{"CPU": 1}], strategy="PACK", _soft_target_node_id=nodes[0])


def test_labels_of_bundles(nodes):
    group = ray.util.placement_group(
        [{"CPU": 1}, {"CPU": 1}], bundle_label_selector=[{"zone": "b"}, {"zone": "a"}]
    )
    ray.get(group.ready(), timeout=30)
    table = groups.placement_group_table(group)["bundles_to_node_id"]
    assert (table[0], table[1]) == (nodes[1], nodes[0])
    members = [
        Member.options(
            scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(group, index)
        ).remote()
        for index in range(2)
    ]
    assert ray.get([member.where.remote() for member in members]) == [nodes[1], nodes[0]]
    with pytest.raises(ValueError):
        ray.util.placement_group([{"CPU": 1}] * 2, bundle_label_selector=[{"zone": "a"}])
    nowhere = ray.util.placement_group([{"CPU": 1}], bundle_label_selector=[{"zone": "c"}])
    assert not nowhere.wait(1)
