"""Placement groups on one node."""

import time

import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")
strategies = submodule("util.scheduling_strategies")
groups = submodule("util.placement_group")


def test_a_placement_group_is_created_used_and_removed(shared, until):
    group = groups.placement_group([{"CPU": 1}, {"CPU": 1, "custom": 1}], strategy="PACK")
    assert group.wait(20)
    assert ray.get(group.ready(), timeout=20) is not None
    assert group.bundle_count == 2
    assert group.bundle_specs == [{"CPU": 1.0}, {"CPU": 1.0, "custom": 1.0}]

    @ray.remote(num_cpus=1)
    def where():
        return ray.get_runtime_context().get_placement_group_id()

    strategy = strategies.PlacementGroupSchedulingStrategy(placement_group=group)
    assert ray.get(where.options(scheduling_strategy=strategy).remote()) == group.id.hex()
    assert ray.get(where.remote()) is None
    groups.remove_placement_group(group)
    until(lambda: ray.available_resources().get("custom") == 2)


def test_bundles_by_index(shared):
    group = groups.placement_group([{"CPU": 1}, {"CPU": 1, "custom": 1}])
    ray.get(group.ready())

    @ray.remote(num_cpus=1, resources={"custom": 1})
    def f():
        return 1

    second = strategies.PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=1)
    assert ray.get(f.options(scheduling_strategy=second).remote()) == 1
    with pytest.raises(ValueError):
        bad = strategies.PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=2)
        f.options(scheduling_strategy=bad).remote()
    groups.remove_placement_group(group)


def test_actors_in_a_group_end_with_it(shared, until):
    group = groups.placement_group([{"CPU": 1}])
    ray.get(group.ready())

    @ray.remote(num_cpus=1)
    class A:
        def f(self):
            return groups.get_current_placement_group()

    actor = A.options(
        scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(group)
    ).remote()
    assert ray.get(actor.f.remote()) == group
    groups.remove_placement_group(group)
    with pytest.raises(exceptions.RayActorError):
        for _ in range(200):
            ray.get(actor.f.remote())
            time.sleep(0.05)


def test_a_groups_bundle_bounds_what_runs_in_it(shared):
    group = groups.placement_group([{"CPU": 1}])
    ray.get(group.ready())
    strategy = strategies.PlacementGroupSchedulingStrategy(group)

    @ray.remote(num_cpus=1)
    def span():
        start = time.monotonic()
        time.sleep(0.05)
        return start, time.monotonic()

    spans = sorted(ray.get([span.options(scheduling_strategy=strategy).remote() for _ in range(3)]))
    for (_, end), (start, _) in zip(spans, spans[1:]):
        assert start >= end
    groups.remove_placement_group(group)


def test_child_tasks_are_captured_by_option(shared):
    group = groups.placement_group([{"CPU": 2}])
    ray.get(group.ready())

    @ray.remote
    def child():
        return ray.get_runtime_context().get_placement_group_id()

    @ray.remote
    def parent():
        return ray.get(child.remote())

    def under(capture):
        strategy = strategies.PlacementGroupSchedulingStrategy(
            group, placement_group_capture_child_tasks=capture
        )
        return ray.get(parent.options(scheduling_strategy=strategy).remote())

    assert under(True) == group.id.hex()
    assert under(False) is None
    groups.remove_placement_group(group)


def test_a_group_that_has_to_wait(shared):
    first = groups.placement_group([{"CPU": 4}])
    assert first.wait(20)
    second = groups.placement_group([{"CPU": 4}])
    assert not second.wait(0.2)
    groups.remove_placement_group(first)
    assert second.wait(20)
    groups.remove_placement_group(second)


def test_named_groups(shared):
    group = groups.placement_group([{"CPU": 1}], name="my-group")
    ray.get(group.ready())
    found = groups.get_placement_group("my-group")
    assert found.id == group.id and found.bundle_count == 1
    groups.remove_placement_group(group)
    with pytest.raises(ValueError):
        groups.get_placement_group("no-such-group")


def test_the_table_of_groups(shared, until):
    group = groups.placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_PACK", name="t")
    ray.get(group.ready())
    row = groups.placement_group_table(group)
    assert row["state"] == "CREATED" and row["strategy"] == "STRICT_PACK" and row["name"] == "t"
    assert row["bundles"] == {0: {"CPU": 1.0}, 1: {"CPU": 1.0}}
    assert group.id.hex() in groups.placement_group_table()
    groups.remove_placement_group(group)
    until(lambda: groups.placement_group_table(group)["state"] == "REMOVED")
    row = groups.placement_group_table(group)
    assert row["strategy"] == "STRICT_PACK" and row["name"] == "t"
    assert row["bundles"] == {0: {"CPU": 1.0}, 1: {"CPU": 1.0}}


def test_wrong_groups_are_refused(shared):
    for bundles in [[], [{}], [{"CPU": 0}], {"CPU": 1}, ["CPU"]]:
        with pytest.raises(ValueError):
            groups.placement_group(bundles)
    with pytest.raises(ValueError):
        groups.placement_group([{"CPU": 1}], strategy="NONSENSE")
    with pytest.raises(ValueError):
        groups.placement_group([{"CPU": 1}], lifetime="forever")


def test_an_impossible_group_stays_pending(shared):
    group = groups.placement_group([{"CPU": 1000}])
    assert not group.wait(0.1)
    ready = group.ready()
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(ready, timeout=0.5)
    assert groups.placement_group_table(group)["state"] == "PENDING"
    groups.remove_placement_group(group)
    with pytest.raises(ray.exceptions.RayError):
        ray.get(ready, timeout=20)


@pytest.mark.skipif(IS_RAY, reason="Ray says it in the driver's output, and later")
def test_an_impossible_group_warns_of_what_comes_nearest(shared, caplog):
    group = groups.placement_group([{"CPU": 1000}], name="vast")
    assert any("vast" in line and "1000 CPU" in line for line in caplog.messages)
    assert groups.placement_group_table(group)["stats"]["scheduling_state"] == "INFEASIBLE"
    groups.remove_placement_group(group)


def test_old_options_are_warned_of(shared):
    group = groups.placement_group([{"CPU": 1}])

    @ray.remote
    def task():
        return 1

    with pytest.warns(DeprecationWarning, match="placement_group parameter is deprecated"):
        ref = task.options(placement_group=group).remote()
    assert ray.get(ref) == 1
    groups.remove_placement_group(group)
    with pytest.warns(DeprecationWarning, match="'object_store_memory' for bundles is deprecated"):
        group = groups.placement_group([{"object_store_memory": 1}])
    groups.remove_placement_group(group)


def test_no_group_can_be_said_outright(shared):
    group = groups.placement_group([{"CPU": 2}])
    group.wait(30)

    @ray.remote(num_cpus=1)
    def current():
        return groups.get_current_placement_group()

    @ray.remote(num_cpus=1)
    def both():
        return ray.get([current.remote(), current.options(placement_group=None).remote()])

    inside = strategies.PlacementGroupSchedulingStrategy(
        group, placement_group_capture_child_tasks=True
    )
    assert ray.get(both.options(scheduling_strategy=inside).remote()) == [group, None]
    with pytest.raises(ValueError, match="bundle index must be -1"):
        current.options(placement_group_bundle_index=0).remote()
    groups.remove_placement_group(group)


def test_a_task_that_runs_ends_with_its_group(shared):
    group = groups.placement_group([{"CPU": 1}])

    @ray.remote
    class Begun:
        def __init__(self):
            self.count = 0

        def add(self):
            self.count += 1

        def get(self):
            return self.count

    begun = Begun.remote()

    @ray.remote(num_cpus=1, max_retries=0)
    def long():
        ray.get(begun.add.remote())
        time.sleep(600)

    ref = long.options(
        scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(group)
    ).remote()
    while not ray.get(begun.get.remote()):
        time.sleep(0.05)
    groups.remove_placement_group(group)
    with pytest.raises(exceptions.WorkerCrashedError):
        ray.get(ref, timeout=30)
