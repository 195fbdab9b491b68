"""The state of the network."""

import pytest
from module_under_test import IS_RAY, ray, submodule

if IS_RAY:
    pytest.skip("Ray's needs its dashboard", allow_module_level=True)

state = submodule("util.state")


@ray.remote
class Named:
    def f(self):
        return 1


def test_actors(shared, until):
    actor = Named.options(name="listed").remote()
    ray.get(actor.f.remote())
    until(lambda: state.list_actors(filters=[("name", "=", "listed")]))
    [row] = state.list_actors(filters=[("name", "=", "listed")])
    assert row.class_name == "Named" and row["state"] == "ALIVE"
    assert state.get_actor(row.actor_id).name == "listed"


def test_tasks(shared, until):
    @ray.remote
    def a_task_that_is_listed():
        return 1

    ray.get(a_task_that_is_listed.remote())

    def rows():
        return [
            row
            for row in state.list_tasks(limit=1000)
            if "a_task_that_is_listed" in row.name and row.state == "FINISHED"
        ]

    until(rows)


def test_nodes_workers_jobs(shared):
    [node] = state.list_nodes()
    assert node.state == "ALIVE" and node.node_id == ray.get_runtime_context().get_node_id()
    ray.get(Named.remote().f.remote())
    assert state.list_workers()
    assert any(row.job_id == ray.get_runtime_context().get_job_id() for row in state.list_jobs())


def test_objects(shared, until):
    ref = ray.put(b"x" * 500_000)
    until(lambda: any(row.object_id == ref.hex() for row in state.list_objects(limit=1000)))


def test_placement_groups(shared):
    group = ray.util.placement_group([{"CPU": 1}], name="listed-group")
    group.wait(20)
    assert any(row.name == "listed-group" for row in state.list_placement_groups())
    ray.util.remove_placement_group(group)


def test_summaries(shared):
    assert "cluster" in state.summarize_tasks()
    assert "cluster" in state.summarize_actors()
    assert "cluster" in state.summarize_objects()


def test_filters_are_checked(shared):
    with pytest.raises(ValueError):
        state.list_actors(filters=[("state", "~", "x")])
    with pytest.raises(ValueError):
        state.list_actors(limit=0)


def test_timeline(shared, tmp_path, until):
    @ray.remote
    def f():
        return 1

    ray.get([f.remote() for _ in range(3)])
    until(lambda: ray.timeline())
    assert ray.timeline(str(tmp_path / "trace.json")) is None
    assert (tmp_path / "trace.json").stat().st_size > 2
