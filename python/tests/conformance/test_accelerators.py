"""`accelerator_type`: tasks that ask for a kind of GPU."""

import shutil
import subprocess

import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")

# The driver's library, with two GPUs in it.
NVML = """
#include <stdio.h>
struct memory { unsigned long long total, free, used; };
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  *device = (void *)(unsigned long)(index + 1); return 0;
}
int nvmlDeviceGetName(void *device, char *name, unsigned size) {
  snprintf(name, size, "NVIDIA H200"); return 0;
}
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size) {
  snprintf(uuid, size, "GPU-%lu", (unsigned long)device); return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory) {
  memory->total = 141ull << 30; memory->free = memory->total; memory->used = 0; return 0;
}
"""


@pytest.fixture
def machine(fresh, tmp_path, monkeypatch):
    """A machine with two H200, as far as the driver's library says."""
    if IS_RAY:
        pytest.skip("Ray brings its own way to the driver's library")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to make a driver's library with")
    (tmp_path / "nvml.c").write_text(NVML)
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", tmp_path / "nvml.c", "-o", library], check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    return fresh


@ray.remote
def where():
    return ray.get_gpu_ids()


def test_a_task_is_placed_by_the_kind_of_gpu(machine):
    ray.init(num_cpus=2, log_to_driver=False)
    resources = ray.cluster_resources()
    assert resources["GPU"] == 2
    assert resources["accelerator_type:H200"] == 1
    assert ray.nodes()[0]["Labels"]["ray.io/accelerator-type"] == "H200"
    kind = submodule("util.accelerators").NVIDIA_H200
    found = ray.get(where.options(accelerator_type=kind, num_gpus=1).remote())
    assert len(found) == 1
    # Without a GPU of its own, too: a task that only prepares something for them.
    assert ray.get(where.options(accelerator_type=kind).remote()) == []
    by_label = where.options(label_selector={"ray.io/accelerator-type": "in(H100,H200)"})
    assert ray.get(by_label.remote()) == []
    with pytest.raises(exceptions.TaskUnschedulableError, match="accelerator_type:A100"):
        ray.get(where.options(accelerator_type="A100").remote())


def test_an_actor_is_placed_by_the_kind_of_gpu(machine):
    ray.init(num_cpus=2, log_to_driver=False)

    @ray.remote(num_gpus=1, accelerator_type="H200")
    class Model:
        def gpus(self):
            return ray.get_gpu_ids()

    first, second = Model.remote(), Model.remote()
    assert sorted(ray.get([first.gpus.remote(), second.gpus.remote()])) in (
        [[0], [1]],
        [["0"], ["1"]],
    )
    resources = ray.available_resources()
    assert 0.99 < resources["accelerator_type:H200"] < 1


def test_a_kind_that_an_operator_names(fresh):
    ray.init(num_cpus=2, resources={"accelerator_type:V100": 1}, log_to_driver=False)
    assert ray.get(where.options(accelerator_type="V100").remote()) == []


def test_the_heads_node_can_be_asked_for(fresh):
    ray.init(num_cpus=2, log_to_driver=False)
    assert ray.cluster_resources()["node:__internal_head__"] == 1
    here = where.options(resources={"node:__internal_head__": 0.001}, num_cpus=0)
    assert ray.get(here.remote()) == []


_KINDS = {
    "TPU": "TPU_VISIBLE_CHIPS",
    "neuron_cores": "NEURON_RT_VISIBLE_CORES",
    "NPU": "ASCEND_RT_VISIBLE_DEVICES",
    "HPU": "HABANA_VISIBLE_MODULES",
    "RBLN": "RBLN_DEVICES",
    "MBLT": "QBRUNTIME_VISIBLE_DEVICES",
    "TTNPU": "TT_VISIBLE_DEVICES",
}


@ray.remote
class Seen:
    """The accelerators that this process has, and the variables that say so to libraries."""

    def seen(self):
        return seen()


def seen():
    import os

    ids = ray.get_runtime_context().get_accelerator_ids()
    names = ["FURIOSA_DEVICES", *_KINDS.values()]
    return (
        {kind: found for kind, found in ids.items() if found},
        {name: os.environ[name] for name in names if name in os.environ},
    )


@pytest.fixture
def accelerators(fresh):
    """A node with two of each kind, as its operator says."""
    ray.init(
        num_cpus=8,
        resources={**dict.fromkeys(_KINDS, 2), "FURIOSA": 1, "mine": 2},
        log_to_driver=False,
    )


def test_all_kinds_are_named_where_there_are_none(accelerators):
    nothing = dict.fromkeys(["GPU", "FURIOSA", *_KINDS], [])
    assert ray.get_runtime_context().get_accelerator_ids() == nothing
    assert ray.cluster_resources()["neuron_cores"] == 2
    assert ray.get(ray.remote(resources={"mine": 1})(seen).remote()) == ({}, {})


@pytest.mark.parametrize("kind", _KINDS)
def test_each_actor_has_accelerators_of_its_own(accelerators, kind):
    actors = [Seen.options(num_cpus=0, resources={kind: 1}).remote() for _ in range(2)]
    found = ray.get([actor.seen.remote() for actor in actors])
    assert sorted(ids[kind] for ids, _ in found) == [["0"], ["1"]]
    for ids, variables in found:
        assert list(ids) == [kind]
        assert variables == {_KINDS[kind]: ids[kind][0]}


def test_a_task_has_the_accelerators_that_it_asks_for(accelerators):
    work = ray.remote(seen)
    ids, variables = ray.get(work.options(resources={"neuron_cores": 2, "HPU": 1}).remote())
    assert ids["neuron_cores"] == ["0", "1"] and ids["HPU"] in (["0"], ["1"])
    assert variables["NEURON_RT_VISIBLE_CORES"] == "0,1"
    ids, variables = ray.get(work.options(resources={"FURIOSA": 1}).remote())
    assert (ids, variables) == ({"FURIOSA": ["0"]}, {"FURIOSA_DEVICES": "npu:0"})
    # Who comes later to the same process has none.
    assert ray.get(work.remote()) == ({}, {})


def test_parts_of_an_npu_share_it(accelerators):
    half = Seen.options(num_cpus=0, resources={"NPU": 0.5})
    actors = [half.remote() for _ in range(4)]
    found = [ids["NPU"] for ids, _ in ray.get([actor.seen.remote() for actor in actors])]
    assert sorted(found) == [["0"], ["0"], ["1"], ["1"]]
    assert "NPU" not in ray.available_resources()


def test_the_next_task_finds_the_process_that_has_the_accelerator(accelerators):
    @ray.remote(resources={"NPU": 1})
    def own():
        import os

        return os.getpid(), seen()

    # While nobody else wants it: a process may keep a model there.
    assert ray.get(own.remote()) == ray.get(own.remote())


def test_chips_of_a_tpu_with_their_bounds(accelerators):
    @ray.remote(resources={"TPU": 2})
    def bounds():
        import os

        return [os.environ[f"TPU_{name}"] for name in ("CHIPS_PER_HOST_BOUNDS", "HOST_BOUNDS")]

    assert ray.get(bounds.remote()) == ["1,2,1", "1,1,1"]


@pytest.mark.parametrize(
    "resources", [{"TPU": 3}, {"TPU": 0.5}, {"neuron_cores": 0.5}, {"HPU": 1.5}]
)
def test_amounts_that_no_accelerator_has(accelerators, resources):
    with pytest.raises(ValueError, match=next(iter(resources))):
        ray.get(ray.remote(seen).options(resources=resources).remote())


def test_accelerators_of_a_placement_group(accelerators):
    placement_group = submodule("util.placement_group").placement_group
    strategy = submodule("util.scheduling_strategies").PlacementGroupSchedulingStrategy
    group = placement_group([{"CPU": 1, "NPU": 2}])
    assert group.wait(30)
    inside = Seen.options(
        num_cpus=1, resources={"NPU": 1}, scheduling_strategy=strategy(group)
    ).remote()
    ids, variables = ray.get(inside.seen.remote())
    assert ids["NPU"] == [variables["ASCEND_RT_VISIBLE_DEVICES"]]


def test_a_variable_that_is_the_users_own(fresh, monkeypatch):
    monkeypatch.setenv("RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("ASCEND_RT_VISIBLE_DEVICES", "1,0")
    ray.init(num_cpus=2, resources={"NPU": 2}, log_to_driver=False)
    ids, variables = ray.get(ray.remote(seen).options(resources={"NPU": 1}).remote())
    assert len(ids["NPU"]) == 1 and variables["ASCEND_RT_VISIBLE_DEVICES"] == "1,0"


@pytest.mark.parametrize("wanted", [None, "1"])
def test_who_has_no_gpu_keeps_the_variable_unless_none_shall_be_seen(fresh, monkeypatch, wanted):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    if wanted:
        monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", wanted)
    ray.init(num_cpus=2, num_gpus=2, log_to_driver=False)

    def shown():
        import os

        return os.environ["CUDA_VISIBLE_DEVICES"]

    class Shows:
        def shown(self):
            return shown()

    expected = "" if wanted else "1,0"
    assert ray.get(ray.remote(shown).remote()) == expected
    assert ray.get(ray.remote(Shows).remote().shown.remote()) == expected
    assert ray.get(ray.remote(num_gpus=1)(shown).remote()) in ("0", "1")


def test_every_kind_has_a_name():
    names = submodule("util.accelerators")
    assert names.AWS_NEURON_CORE == "aws-neuron-core"
    assert names.GOOGLE_TPU_V6E == "TPU-V6E" and names.INTEL_GAUDI == "Intel-GAUDI"
    assert names.AMD_INSTINCT_MI300x == "AMD-Instinct-MI300X-OAM"
