"""The state of the network."""

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
