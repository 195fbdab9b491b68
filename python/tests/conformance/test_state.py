"""The state of the network."""

import os
import time
from collections import Counter

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


def test_summaries(shared, until):
    class Summed:
        def f(self):
            return 1

    @ray.remote
    def task_that_is_summed():
        return 1

    actor = ray.remote(Summed).remote()
    ref = ray.put(b"x" * 2_000_000)
    ray.get([task_that_is_summed.remote() for _ in range(3)] + [actor.f.remote()])

    def tasks(name):
        return state.summarize_tasks()["cluster"]["summary"].get(name)

    until(lambda: tasks("Summed.f"))
    assert tasks("Summed.f")["type"] == "ACTOR_TASK"
    until(lambda: (tasks("task_that_is_summed") or {}).get("state_counts") == {"FINISHED": 3})
    assert tasks("task_that_is_summed")["type"] == "NORMAL_TASK"
    totals = state.summarize_tasks()["cluster"]
    assert totals["total_tasks"] >= 3 and totals["total_actor_tasks"] >= 1
    actors = state.summarize_actors()["cluster"]
    assert actors["summary"]["Summed"]["state_counts"] == {"ALIVE": 1}
    until(lambda: state.summarize_objects()["cluster"]["total_size_mb"] > 1.9)
    objects = state.summarize_objects()["cluster"]
    [group] = objects["summary"].values()
    assert group["total_objects"] == objects["total_objects"]
    assert group["ref_type_counts"]["LOCAL_REFERENCE"] >= 1
    del ref


def test_rows_have_a_class_and_all_of_rays_fields(shared, until):
    common = submodule("util.state.common")
    actor = Named.options(name="of-a-class").remote()
    pid = ray.get(actor.__ray_call__.remote(lambda self: os.getpid()))
    until(lambda: state.list_actors(filters=[("name", "=", "of-a-class")]))
    [row] = state.list_actors(filters=[("name", "=", "of-a-class"), ("pid", "=", pid)])
    assert isinstance(row, common.ActorState)
    assert repr(row).startswith("ActorState(actor_id=") and row.repr_name is None
    assert row.asdict() == {**row} and type(row.asdict()) is dict
    [node] = state.list_nodes(filters=[("is_head_node", "=", True)])
    assert isinstance(node, common.NodeState)
    kinds = {row.worker_type for row in state.list_workers(limit=1000)}
    assert kinds == {"DRIVER", "WORKER"}


def test_filters_by_what_only_the_owner_knows(shared):
    held, pending = ray.put(1), ray.remote(lambda: time.sleep(100)).remote()
    mine = [("pid", "=", os.getpid()), ("reference_type", "=", "LOCAL_REFERENCE")]
    rows = {row.object_id: row for row in state.list_objects(filters=mine, limit=1000)}
    assert held.hex() in rows
    assert rows[pending.hex()].object_size == -1
    ray.cancel(pending, force=True)


def test_where_tasks_run(shared, until):
    @ray.remote
    def where():
        ray.get(release.wait.remote())
        return os.getpid()

    @ray.remote
    class Release:
        def __init__(self):
            import asyncio

            self.event = asyncio.Event()

        async def wait(self):
            await self.event.wait()

        async def set(self):
            self.event.set()

    release = Release.remote()
    ref = where.remote()
    query = [("func_or_class_name", "=", "where"), ("state", "=", "RUNNING")]
    until(lambda: any(row.worker_pid for row in state.list_tasks(filters=query)))
    [row] = state.list_tasks(filters=query)
    ray.get(release.set.remote())
    assert row.worker_pid == ray.get(ref)
    assert row.node_id == ray.get_runtime_context().get_node_id()


def test_the_client_takes_rays_options(shared):
    common = submodule("util.state.common")
    client = submodule("util.state").StateApiClient()
    actor = Named.options(name="by-a-client").remote()
    ray.get(actor.f.remote())
    options = common.ListApiOptions(filters=[("name", "=", "by-a-client")])
    [row] = client.list(common.StateResource.ACTORS, options=options, raise_on_missing_output=True)
    assert row.class_name == "Named"
    with pytest.raises(ValueError, match="predicate"):
        common.ListApiOptions(filters=[("name", "~", "x")])


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


def test_tasks_in_rays_words(shared, until):
    @ray.remote
    def fails_for_the_list():
        raise ValueError("x")

    @ray.remote
    class Slow:
        def sleep(self):
            time.sleep(100)

    def states(name):
        rows = state.list_tasks(filters=[("func_or_class_name", "=", name)], limit=1000)
        return Counter((row.type, row.state, row.error_type) for row in rows)

    with pytest.raises(ValueError):
        ray.get(fails_for_the_list.remote())
    until(
        lambda: (
            states("fails_for_the_list")
            == {("NORMAL_TASK", "FAILED", "TASK_EXECUTION_EXCEPTION"): 1}
        ),
        seconds=30,
    )
    actor = Slow.remote()
    refs = [actor.sleep.remote() for _ in range(3)]
    waiting = "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY"
    until(
        lambda: (
            states("Slow.sleep")
            == {("ACTOR_TASK", "RUNNING", None): 1, ("ACTOR_TASK", waiting, None): 2}
        ),
        seconds=30,
    )
    ray.cancel(refs[2])
    until(lambda: states("Slow.sleep")[("ACTOR_TASK", "FAILED", "TASK_CANCELLED")] == 1, seconds=30)
    dependent = ray.remote(lambda value: value).remote(refs[0])
    rows = state.list_tasks(filters=[("state", "=", "PENDING_ARGS_AVAIL")])
    assert [row.task_id for row in rows] == [dependent.task_id().hex()]
    ray.kill(actor)


def test_own_references(shared):
    ref = ray.put(1)
    [row] = state.list_objects(filters=[("object_id", "=", ref.hex())])
    assert row.reference_type == "LOCAL_REFERENCE" and row.type == "DRIVER"
    id = ref.hex()
    del ref, row
    assert state.list_objects(filters=[("object_id", "=", id)]) == []


def test_the_parents_of_tasks(shared, until):
    @ray.remote
    def child_with_a_parent():
        return ray.get_runtime_context().get_task_id()

    @ray.remote
    def parent():
        return ray.get_runtime_context().get_task_id(), ray.get(child_with_a_parent.remote())

    @ray.remote
    class A:
        def parent(self):
            return ray.get_runtime_context().get_task_id(), ray.get(child_with_a_parent.remote())

    # It lives on: what a process has not told yet goes with it.
    actor = A.remote()
    for call in (parent.remote(), actor.parent.remote()):
        own, child = ray.get(call)
        # The child was submitted by another process than the one that asks.
        until(lambda child=child: state.get_task(child))
        assert state.get_task(child)["parent_task_id"] == own


def test_the_output_of_workers(shared, until):
    @ray.remote
    class Speaker:
        def say(self, count):
            for number in range(count):
                print("line", number)
            return ray.get_runtime_context().get_actor_id()

    @ray.remote
    def speak():
        print("of a task")
        return ray.get_runtime_context().get_task_id()

    def lines(**of):
        return "".join(state.get_log(**of)).splitlines()

    speaker = Speaker.remote()
    actor, task = ray.get([speaker.say.remote(5), speak.remote()])
    until(lambda: lines(actor_id=actor) == [f"line {number}" for number in range(5)])
    assert lines(actor_id=actor, tail=2) == ["line 3", "line 4"]
    assert lines(actor_id=actor, suffix="err") == []
    # The worker may have run other tests' tasks before.
    until(lambda: state.get_task(task) and lines(task_id=task)[-1:] == ["of a task"])
    [process] = [row.pid for row in state.list_actors() if row.actor_id == actor]
    names = state.list_logs(node_id=ray.get_runtime_context().get_node_id())["worker_out"]
    [name] = [name for name in names if name.endswith(f"-{process}.out")]
    assert lines(filename=name, tail=1) == lines(pid=process, tail=1) == ["line 4"]
    followed = state.get_log(actor_id=actor, tail=1, follow=True)
    assert next(followed) == "line 4\n"
    ray.get(speaker.say.remote(1))
    assert next(followed) == "line 0\n"
    with pytest.raises(state.RayStateApiException):
        next(state.get_log(pid=1))
    with pytest.raises(state.RayStateApiException):
        next(state.get_log())


def test_tasks_that_nobody_is_to_hear_of(shared, until):
    @ray.remote
    def told_of():
        return 1

    @ray.remote(enable_task_events=False)
    def untold():
        return 1

    @ray.remote(enable_task_events=False, num_cpus=0)
    class Untold:
        def quiet(self):
            return 1

        @ray.method(enable_task_events=True)
        def loud(self):
            return 1

    actor = Untold.remote()
    ray.get([untold.remote(), actor.quiet.remote(), told_of.remote(), actor.loud.remote()])
    until(
        lambda: {"told_of", "Untold.loud"} <= {task.name for task in state.list_tasks(limit=10_000)}
    )
    assert not {"untold", "Untold.quiet"} & {task.name for task in state.list_tasks(limit=10_000)}
