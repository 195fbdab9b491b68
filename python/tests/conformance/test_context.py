"""The runtime context, `init` and the life of a session."""

import os

import pytest
from module_under_test import IS_RAY, ray, submodule


def test_ids_of_a_driver(shared):
    context = ray.get_runtime_context()
    assert context.get_job_id() and context.get_node_id() and context.get_worker_id()
    assert context.get_actor_id() is None
    assert context.get_placement_group_id() is None


def test_ids_of_a_task(shared):
    @ray.remote
    def f():
        context = ray.get_runtime_context()
        return context.get_job_id(), context.get_node_id(), context.get_task_id()

    context = ray.get_runtime_context()
    first, second = ray.get([f.remote(), f.remote()])
    assert first[0] == context.get_job_id() and first[1] == context.get_node_id()
    assert first[2] and first[2] != second[2]


def test_ids_of_an_actor(shared):
    @ray.remote
    class A:
        def __init__(self):
            self.created_in = ray.get_runtime_context().get_actor_id()

        def ids(self):
            context = ray.get_runtime_context()
            return context.get_actor_id(), self.created_in, context.get_task_id()

    a, b = A.remote(), A.remote()
    ids = ray.get([a.ids.remote(), b.ids.remote()])
    assert ids[0][0] == ids[0][1] and ids[0][0] != ids[1][0]
    assert ids[0][2] != ray.get(a.ids.remote())[2]


def test_names(shared):
    @ray.remote
    class Named:
        def f(self):
            context = ray.get_runtime_context()
            return context.get_actor_name(), context.get_task_name(), context.namespace

    actor = Named.options(name="a-name").remote()
    name, task, namespace = ray.get(actor.f.remote())
    assert name == "a-name" and task == "Named.f"
    assert namespace == ray.get_runtime_context().namespace
    assert ray.get(Named.remote().f.remote())[0] == ""


def test_ids_have_their_forms(shared):
    context = ray.get_runtime_context()
    assert isinstance(context.get_node_id(), str)
    assert ray.NodeID.from_hex(context.get_node_id()).hex() == context.get_node_id()
    ref = ray.put(1)
    assert isinstance(ref.task_id().hex(), str)


def test_assigned_resources_are_for_workers(shared):
    with pytest.raises(AssertionError):
        ray.get_runtime_context().get_assigned_resources()


def test_init_and_shutdown(fresh):
    assert not ray.is_initialized()
    context = ray.init(num_cpus=1, log_to_driver=False)
    assert ray.is_initialized()
    assert context.address_info["node_id"]
    ray.shutdown()
    assert not ray.is_initialized()
    ray.shutdown()


def test_init_twice(fresh):
    ray.init(num_cpus=1, log_to_driver=False)
    with pytest.raises(RuntimeError):
        ray.init()
    ray.init(ignore_reinit_error=True)


def test_init_as_a_context(fresh):
    with ray.init(num_cpus=1, log_to_driver=False):
        assert ray.get(ray.put(1)) == 1
    assert not ray.is_initialized()


def test_init_again_after_shutdown(fresh):
    @ray.remote
    def f(x):
        return x

    for i in range(2):
        ray.init(num_cpus=1, log_to_driver=False)
        assert ray.get(f.remote(i)) == i
        ray.shutdown()


def test_init_by_itself(fresh):
    @ray.remote
    def f():
        return 1

    assert ray.get(f.remote()) == 1
    assert ray.is_initialized()


def test_resources_of_init(fresh):
    ray.init(num_cpus=3, num_gpus=2, resources={"a": 5}, log_to_driver=False)
    total = ray.cluster_resources()
    assert total["CPU"] == 3 and total["GPU"] == 2 and total["a"] == 5

    @ray.remote(num_gpus=1)
    def f():
        return ray.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES")

    ids, visible = ray.get(f.remote())
    assert len(ids) == 1 and visible == str(ids[0])

    @ray.remote(num_gpus=1)
    class A:
        def f(self):
            return ray.get_gpu_ids()[0]

    a, b = A.remote(), A.remote()
    assert sorted(map(str, ray.get([a.f.remote(), b.f.remote()]))) == ["0", "1"]


def test_unknown_options_of_init(fresh):
    with pytest.raises((RuntimeError, TypeError)):
        ray.init(nonsense=1)


def test_an_address_where_nothing_is(fresh):
    with pytest.raises(ConnectionError):
        ray.init(address="auto" if IS_RAY else "127.0.0.1:1")


def test_the_namespace_of_a_job(fresh):
    ray.init(num_cpus=1, namespace="mine", log_to_driver=False)
    assert ray.get_runtime_context().namespace == "mine"

    @ray.remote
    def f():
        return ray.get_runtime_context().namespace

    assert ray.get(f.remote()) == "mine"


def test_references_of_an_earlier_session(fresh):
    ray.init(num_cpus=1, log_to_driver=False)
    old = ray.put("old")
    ray.shutdown()
    ray.init(num_cpus=1, log_to_driver=False)

    @ray.remote
    def f(x):
        return x

    with pytest.raises(ValueError, match="Ray object whose owner is unknown"):
        f.remote(old)
    with pytest.raises(ValueError, match="Ray object whose owner is unknown"):
        f.remote([old])
    with pytest.raises(ValueError, match="Ray objects whose owner is unknown"):
        ray.get(old)
    with pytest.raises(ValueError, match="Ray object whose owner is unknown"):
        ray.wait([old])
    del old
    assert ray.get(f.remote(ray.put("new"))) == "new"


def test_names_of_the_module():
    for name in [
        "init",
        "shutdown",
        "is_initialized",
        "remote",
        "get",
        "put",
        "wait",
        "kill",
        "cancel",
        "get_actor",
        "method",
        "get_runtime_context",
        "nodes",
        "cluster_resources",
        "available_resources",
        "timeline",
        "get_gpu_ids",
        "ObjectRef",
        "ObjectRefGenerator",
        "ActorID",
        "TaskID",
        "JobID",
        "NodeID",
        "exceptions",
        "util",
        "actor",
        "__version__",
    ]:
        assert hasattr(ray, name), name
    for name in [
        "util.placement_group",
        "util.scheduling_strategies",
        "util.queue",
        "util.actor_pool",
        "util.multiprocessing",
        "util.metrics",
        "util.state",
        "runtime_env",
        "exceptions",
        "actor",
        "cluster_utils",
        "types",
    ]:
        assert submodule(name)
    assert submodule("actor").ActorHandle


def test_the_gpus_that_a_program_sees_are_the_ones_that_it_offers(fresh, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "one,two")
    ray.init(num_cpus=1, num_gpus=1, log_to_driver=False)

    @ray.remote(num_gpus=1)
    def f():
        return ray.get_gpu_ids(), os.environ["CUDA_VISIBLE_DEVICES"]

    assert ray.get(f.remote()) == (["one"], "one")
