"""What can be said of the public surface without a network."""

import pickle
import subprocess
import sys

import pytest

import iorun
from iorun import _network, ids
from iorun.runtime_env import RuntimeEnv
from iorun.util import scheduling_strategies as strategies
from iorun.util import state
from iorun.util.metrics import Counter, Histogram


@pytest.fixture
def detached():
    """No network: what other tests share is let go of."""
    iorun.shutdown()


def test_ids_are_values():
    node = ids.NodeID.from_random()
    assert ids.NodeID.from_hex(node.hex()) == node and len(node.binary()) == 16
    assert pickle.loads(pickle.dumps(node)) == node
    assert node != ids.WorkerID(node.binary())
    assert ids.ActorID.nil().is_nil() and not node.is_nil()
    with pytest.raises(ValueError):
        ids.NodeID(b"short")


def test_nothing_is_initialised_by_an_import():
    code = "import iorun; assert not iorun.is_initialized()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_state_has_the_modules_that_programs_import():
    from iorun.util.state import api, exception

    assert api.list_actors is state.list_actors
    assert exception.RayStateApiException is state.RayStateApiException


def test_everything_that_is_named_exists():
    for name in iorun.__all__:
        assert hasattr(iorun, name), name


def test_functions_that_need_a_network_say_so(detached):
    for function in (iorun.nodes, iorun.cluster_resources, iorun.available_resources):
        with pytest.raises(RuntimeError, match="init") as caught:
            function()
        # What a program expects that was written for Ray.
        assert isinstance(caught.value, iorun.exceptions.RaySystemError)


def test_what_an_environment_must_not_be_is_said_where_it_is_written():
    with pytest.raises(TypeError):
        iorun.remote(runtime_env={"env_vars": {"A": 1}})(len)
    with pytest.raises(ValueError):
        iorun.remote(len).options(runtime_env={"no_such_field": 1})


def test_the_default_lifetime_of_actors_is_checked():
    assert iorun.JobConfig().default_actor_lifetime == "non_detached"
    assert iorun.JobConfig(default_actor_lifetime="detached").default_actor_lifetime == "detached"
    with pytest.raises(ValueError):
        iorun.JobConfig(default_actor_lifetime="for ever")


def test_wishes_for_machines_are_taken_and_checked():
    from iorun.autoscaler.sdk import request_resources

    request_resources(num_cpus=100, bundles=[{"CPU": 1}])
    with pytest.raises(TypeError):
        request_resources(num_cpus="many")
    with pytest.raises(TypeError):
        request_resources(bundles={"CPU": 1})


def test_an_unknown_option_of_init(detached):
    with pytest.raises(RuntimeError, match="nonsense"):
        iorun.init(nonsense=1)


def test_resources_that_a_node_cannot_have():
    with pytest.raises(ValueError):
        _network.check_resources({"CPU": 1})
    with pytest.raises(ValueError):
        _network.check_resources({"a": -1})
    with pytest.raises(TypeError):
        _network.check_resources([("a", 1)])
    with pytest.raises(ValueError):
        _network.node_options(1.5, None, None, None, None)


def test_a_missing_program_is_explained(monkeypatch):
    monkeypatch.setenv("IORUN_BIN", "/nowhere/iorun")
    with pytest.raises(FileNotFoundError, match="IORUN_BIN"):
        _network.find_binary()
    monkeypatch.delenv("IORUN_BIN")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError, match="swift build"):
        _network.find_binary()


def test_networks_that_are_gone_are_forgotten(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("IORUN_STATE_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("IORUN_HUB", raising=False)
    registry = _network.registry()
    registry.mkdir()
    entry = registry / "gone.json"
    entry.write_text('{"state_dir": "%s"}' % (tmp_path / "gone"))
    (registry / "broken.json").write_text("{")
    with pytest.raises(ConnectionError, match="iorun up"):
        _network.find("auto")
    assert not entry.exists()
    assert _network.find(None) is None
    with pytest.raises(ConnectionError, match="10.0.0.1:5"):
        _network.find("10.0.0.1:5")


def test_labels_of_a_strategy():
    strategy = strategies.NodeLabelSchedulingStrategy(
        hard={"zone": strategies.In("a", "b"), "disk": strategies.Exists()},
        soft={"tier": strategies.NotIn("slow")},
    )
    strict, fallback = strategy.selectors()
    assert strict == {"zone": "in(a,b)", "disk": "*", "tier": "!in(slow)"}
    assert fallback == [{"label_selector": {"zone": "in(a,b)", "disk": "*"}}]
    for wrong in [{}, {"a": "b"}, {1: strategies.Exists()}, {"a": strategies.In()}, "x"]:
        with pytest.raises(ValueError):
            strategies.NodeLabelSchedulingStrategy(hard=wrong)


def test_runtime_environments_are_checked(tmp_path):
    assert RuntimeEnv(env_vars={"a": "b"}) == {"env_vars": {"a": "b"}}
    for wrong in [
        {"env_vars": {"a": 1}},
        {"working_dir": str(tmp_path / "missing")},
        {"pip": 5},
        {"pip": ["a"], "uv": ["b"]},
        {"conda": "x"},
        {"nonsense": 1},
    ]:
        with pytest.raises((TypeError, ValueError)):
            RuntimeEnv(**wrong)


def test_metrics_are_checked():
    with pytest.raises(ValueError):
        Counter("no spaces")
    with pytest.raises(TypeError):
        Counter("name", tag_keys="k")
    with pytest.raises(ValueError):
        Counter("name").inc(-1)
    with pytest.raises(ValueError):
        Histogram("name", boundaries=[2, 1])
    with pytest.raises(ValueError):
        Histogram("name")


def test_filters_of_the_state_are_checked(detached):
    for wrong in [("state", "~", "x"), ("no_such_field", "=", 1), ("state", "=")]:
        with pytest.raises(ValueError):
            state.list_actors(filters=[wrong])


NAMES = {
    "util": "connect disconnect iter pdb ray_debugpy collective state metrics queue",
    "util.collective.collective": "allreduce allreduce_multigpu init_collective_group Backend",
    "util.collective.types": "AllReduceOptions BarrierOptions ReduceScatterOptions SendOptions",
    "util.debug": "log_once reset_log_once",
    "util.annotations": "AnnotationType Deprecated",
    "util.accelerators": "NVIDIA_H200 NVIDIA_TESLA_A100",
    "util.state": "StateApiClient list_actors",
    "util.state.exception": "DataSourceUnavailable ServerUnavailable",
    "dag": "DAGContext BIND_INDEX_KEY InputNode",
    "experimental": "set_resource get_object_locations",
    "experimental.queue": "Queue Empty Full",
    "experimental.tqdm_ray": "instance tqdm safe_print",
    "actor": "ActorHandle ActorProxy ActorClass",
    "cluster_utils": "AutoscalingCluster Cluster",
    "_private.worker": "get_gpu_ids global_worker",
    "_private.test_utils": "init_error_pubsub get_error_message wait_for_children_of_pid "
    "kill_raylet check_call_ray wait_for_assertion generate_runtime_env_dict",
}


@pytest.mark.parametrize("module", NAMES)
def test_names_that_programs_take_from_modules(module):
    import importlib

    found = importlib.import_module(f"iorun.{module}")
    missing = [name for name in NAMES[module].split() if not hasattr(found, name)]
    assert not missing


def test_small_tools():
    from iorun.actor import ActorClass, ActorHandle
    from iorun.experimental import dynamic_resources, tqdm_ray
    from iorun.job_config import JobConfig
    from iorun.util.collective import allreduce_multigpu
    from iorun.util.debug import log_once, reset_log_once
    from iorun.util.timer import _Timer

    assert ActorHandle[int] is ActorHandle and ActorClass["X"] is ActorClass
    config = JobConfig.from_json({"runtime_env": {"env_vars": {"A": "1"}}, "ray_namespace": "n"})
    assert (config.runtime_env, config.ray_namespace) == ({"env_vars": {"A": "1"}}, "n")
    assert log_once("small tools") and not log_once("small tools")
    reset_log_once("small tools")
    assert log_once("small tools")
    timer = _Timer()
    for _ in range(3):
        with timer:
            pass
    assert timer.count == 3 and timer.mean >= 0
    with pytest.raises(DeprecationWarning):
        dynamic_resources.set_resource("a", 1)
    with pytest.raises(RuntimeError, match="NCCL"):
        allreduce_multigpu([])
    tqdm_ray.instance().hide_bars()
    tqdm_ray.instance().unhide_bars()
