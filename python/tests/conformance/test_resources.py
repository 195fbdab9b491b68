"""Resources, strategies and labels on one node."""

import os
import time

import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")
strategies = submodule("util.scheduling_strategies")


def test_cluster_resources(shared):
    total = ray.cluster_resources()
    assert total["CPU"] == 4 and total["custom"] == 2 and total["special"] == 1
    assert total["memory"] > 0 and total["object_store_memory"] > 0


def test_available_resources_shrink_while_they_are_used(shared, until):
    until(lambda: ray.available_resources().get("custom") == 2)

    @ray.remote(num_cpus=0, resources={"custom": 1.5})
    class Holder:
        def ping(self):
            return True

    holder = Holder.remote()
    ray.get(holder.ping.remote())
    until(lambda: abs(ray.available_resources().get("custom", 0) - 0.5) < 1e-6)
    ray.kill(holder)
    until(lambda: ray.available_resources().get("custom") == 2)


def test_nodes(shared):
    [node] = ray.nodes()
    assert node["Alive"] and node["Resources"]["CPU"] == 4
    assert node["NodeID"] == ray.get_runtime_context().get_node_id()


def test_a_custom_resource_bounds_what_runs_at_once(shared):
    @ray.remote(num_cpus=0, resources={"special": 1})
    def span():
        start = time.monotonic()
        time.sleep(0.05)
        return start, time.monotonic()

    spans = sorted(ray.get([span.remote() for _ in range(4)]))
    for (_, end), (start, _) in zip(spans, spans[1:]):
        assert start >= end


def test_fractions_of_a_cpu(shared):
    @ray.remote(num_cpus=0.25)
    class A:
        def ping(self):
            return 1

    actors = [A.remote() for _ in range(8)]
    assert ray.get([actor.ping.remote() for actor in actors]) == [1] * 8


def test_cpus_bound_what_runs_at_once(shared):
    @ray.remote
    class Gauge:
        def __init__(self):
            self.now = self.most = 0

        def enter(self):
            self.now += 1
            self.most = max(self.most, self.now)

        def leave(self):
            self.now -= 1

        def read(self):
            return self.most

    gauge = Gauge.options(num_cpus=0).remote()

    @ray.remote(num_cpus=2)
    def work(gauge):
        gauge.enter.remote()
        time.sleep(0.1)
        gauge.leave.remote()

    ray.get([work.remote(gauge) for _ in range(6)])
    assert ray.get(gauge.read.remote()) <= 2


def test_a_task_learns_what_is_reserved_for_it(shared):
    @ray.remote(num_cpus=2, resources={"custom": 1})
    def f():
        return ray.get_runtime_context().get_assigned_resources()

    assert ray.get(f.remote()) == {"CPU": 2.0, "custom": 1.0}

    @ray.remote
    def g():
        return ray.get_runtime_context().get_assigned_resources()

    assert ray.get(g.remote()) == {"CPU": 1.0}


def test_an_actor_learns_what_is_reserved_for_it(shared):
    @ray.remote
    class A:
        def f(self):
            return ray.get_runtime_context().get_assigned_resources()

    assert ray.get(A.remote().f.remote()) == {}
    assert ray.get(A.options(num_cpus=1).remote().f.remote()) == {"CPU": 1.0}


def test_memory_as_a_resource(shared):
    @ray.remote(memory=10 * 2**20)
    def f():
        return 1

    assert ray.get(f.remote()) == 1


def test_no_gpus_without_gpus(shared):
    @ray.remote
    def f():
        return ray.get_gpu_ids()

    assert ray.get(f.remote()) == []


@pytest.mark.skipif(IS_RAY, reason="Ray waits for ever; here an infeasible task is refused")
def test_an_infeasible_task_is_refused(shared):
    @ray.remote(num_cpus=1000)
    def f():
        return 1

    with pytest.raises(exceptions.TaskUnschedulableError, match="CPU"):
        ray.get(f.remote(), timeout=30)

    @ray.remote(resources={"nowhere": 1})
    def g():
        return 1

    with pytest.raises(exceptions.TaskUnschedulableError, match="nowhere"):
        ray.get(g.remote(), timeout=30)


@pytest.mark.skipif(IS_RAY, reason="Ray waits for ever; here an infeasible actor is refused")
def test_an_infeasible_actor_is_refused(shared):
    @ray.remote(resources={"nowhere": 1})
    class A:
        def f(self):
            return 1

    with pytest.raises(exceptions.ActorUnschedulableError, match="nowhere"):
        ray.get(A.remote().f.remote(), timeout=30)


def test_spread_and_default(shared):
    @ray.remote
    def f():
        return ray.get_runtime_context().get_node_id()

    assert ray.get(f.options(scheduling_strategy="SPREAD").remote())
    assert ray.get(f.options(scheduling_strategy="DEFAULT").remote())
    with pytest.raises(ValueError):
        f.options(scheduling_strategy="NONSENSE").remote()


def test_node_affinity(shared):
    here = ray.get_runtime_context().get_node_id()

    @ray.remote
    def f():
        return ray.get_runtime_context().get_node_id()

    hard = strategies.NodeAffinitySchedulingStrategy(node_id=here, soft=False)
    assert ray.get(f.options(scheduling_strategy=hard).remote()) == here
    nowhere = "ff" * (len(here) // 2 - 1) + "00"
    soft = strategies.NodeAffinitySchedulingStrategy(node_id=nowhere, soft=True)
    assert ray.get(f.options(scheduling_strategy=soft).remote()) == here
    lost = strategies.NodeAffinitySchedulingStrategy(node_id=nowhere, soft=False)
    with pytest.raises(exceptions.TaskUnschedulableError):
        ray.get(f.options(scheduling_strategy=lost).remote(), timeout=30)
    for wrong in ("", "zz", here[:-2], here + "00"):
        with pytest.raises(ValueError):
            strategies.NodeAffinitySchedulingStrategy(node_id=wrong, soft=True)


def test_affinity_of_actors(shared):
    here = ray.get_runtime_context().get_node_id()

    @ray.remote
    class A:
        def f(self):
            return ray.get_runtime_context().get_node_id()

    hard = strategies.NodeAffinitySchedulingStrategy(node_id=here, soft=False)
    assert ray.get(A.options(scheduling_strategy=hard).remote().f.remote()) == here


def test_labels(fresh):
    ray.init(num_cpus=2, labels={"zone": "a", "tier": "gold"}, log_to_driver=False)

    @ray.remote
    def f():
        return ray.get_runtime_context().get_node_labels()

    labels = ray.get(f.options(label_selector={"zone": "a"}).remote())
    assert labels["zone"] == "a" and labels["tier"] == "gold"
    for selector in [{"zone": "in(a,b)"}, {"zone": "!b"}, {"zone": "!in(b,c)"}]:
        assert ray.get(f.options(label_selector=selector).remote())
    fallback = f.options(
        label_selector={"zone": "b"}, fallback_strategy=[{"label_selector": {"zone": "a"}}]
    )
    assert ray.get(fallback.remote(), timeout=30)


def test_label_strategy(fresh):
    ray.init(num_cpus=2, labels={"zone": "a"}, log_to_driver=False)

    @ray.remote
    class A:
        def f(self):
            return 1

    for match in [strategies.In("a", "b"), strategies.NotIn("c"), strategies.Exists()]:
        strategy = strategies.NodeLabelSchedulingStrategy(hard={"zone": match})
        actor = A.options(scheduling_strategy=strategy).remote()
        assert ray.get(actor.f.remote(), timeout=30) == 1
    with pytest.raises(ValueError):
        strategies.NodeLabelSchedulingStrategy(hard={})


def test_libraries_start_as_many_threads_as_a_task_has_cpus(shared):
    @ray.remote
    def threads():
        return os.environ["OMP_NUM_THREADS"]

    assert ray.get(threads.options(num_cpus=2).remote()) == "2"
    assert ray.get(threads.options(num_cpus=1).remote()) == "1"
    given = {"env_vars": {"OMP_NUM_THREADS": "7"}}
    assert ray.get(threads.options(num_cpus=2, runtime_env=given).remote()) == "7"


def test_what_fits_into_no_bundle_is_refused(shared):
    group = submodule("util.placement_group").placement_group([{"custom": 1}])
    assert group.wait(10)
    strategy = submodule("util.scheduling_strategies").PlacementGroupSchedulingStrategy(group)

    @ray.remote
    def one_cpu():
        return 1

    with pytest.raises(ValueError, match="cannot fit into any bundles"):
        one_cpu.options(scheduling_strategy=strategy).remote()
    assert ray.get(one_cpu.options(num_cpus=0, scheduling_strategy=strategy).remote()) == 1
    submodule("util.placement_group").remove_placement_group(group)


def test_what_has_ended_holds_nothing(shared, until):
    @ray.remote(num_cpus=2, resources={"custom": 1})
    def task():
        return 1

    # What the test before has dropped ends in its own time.
    until(lambda: ray.available_resources().get("custom") == 2)
    assert ray.get(task.remote()) == 1
    if IS_RAY:
        until(lambda: ray.available_resources().get("CPU") == 4)
    resources = ray.available_resources()
    assert resources["CPU"] == 4 and resources["custom"] == 2
