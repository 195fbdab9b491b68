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
