"""Programs of their own: several at once, what outlives them, what they print."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from module_under_test import ray, submodule


DRIVER = """
import importlib, sys
ray = importlib.import_module(sys.argv[1])
ray.init(address=sys.argv[2], namespace=sys.argv[3], log_to_driver=False)
{}
ray.shutdown()
"""


def run_driver(code, address, namespace="shared-space"):
    done = subprocess.run(
        [sys.executable, "-c", DRIVER.format(code), ray.__name__, address, namespace],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.timeout(150)
def test_what_a_detached_actor_made_outlives_the_driver(fresh, until):
    context = ray.init(num_cpus=4, namespace="shared-space", log_to_driver=False)
    address = context.address_info["address"]
    run_driver(
        """
groups = importlib.import_module(sys.argv[1] + ".util.placement_group")
@ray.remote(num_cpus=0)
class Child:
    def ping(self): return "alive"
@ray.remote(num_cpus=0)
class Parent:
    def make(self):
        self.group = groups.placement_group([{"CPU": 1}] * 2)
        ray.get(self.group.ready())
        self.child = Child.remote()
        self.kept = ray.put(b"kept" * 50_000)
        return ray.get(self.child.ping.remote())
    def look(self):
        return ray.get(self.child.ping.remote()), len(ray.get(self.kept))
parent = Parent.options(name="parent", lifetime="detached").remote()
ray.get(parent.make.remote())
plain = Parent.options(name="plain").remote()
ray.get(plain.make.remote())
""",
        address,
    )
    until(lambda: ray.available_resources().get("CPU") == 2)
    parent = ray.get_actor("parent")
    assert ray.get(parent.look.remote(), timeout=30) == ("alive", 200_000)
    with pytest.raises(ValueError):
        ray.get_actor("plain")
    ray.kill(parent)
    until(lambda: ray.available_resources().get("CPU") == 4)


@pytest.mark.timeout(150)
def test_several_drivers(fresh):
    context = ray.init(num_cpus=2, namespace="shared-space", log_to_driver=False)
    address = context.address_info["address"]

    @ray.remote
    class Store:
        def __init__(self):
            self.x = 1

        def set(self, x):
            self.x = x

        def get(self):
            return self.x

    store = Store.options(name="store", lifetime="detached").remote()
    ray.get(store.get.remote())
    code = "store = ray.get_actor('store'); ray.get(store.set.remote(5)); print('set')"
    assert run_driver(code, address).endswith("set")
    assert ray.get(store.get.remote()) == 5
    code = "try:\n    ray.get_actor('store')\nexcept ValueError:\n    print('not found')\n"
    assert run_driver(code, address, "elsewhere").endswith("not found")
    ray.kill(store)


@pytest.mark.timeout(150)
def test_a_placement_groups_name_is_one_of_its_namespace(fresh):
    context = ray.init(num_cpus=4, namespace="shared-space", log_to_driver=False)
    groups = submodule("util.placement_group")
    group = groups.placement_group([{"CPU": 1}], name="same")
    ray.get(group.ready())
    code = """
groups = importlib.import_module(sys.argv[1] + ".util.placement_group")
try:
    found = groups.get_placement_group("same")
except ValueError:
    found = groups.placement_group([{"CPU": 2}], name="same")
print("bundle of", int(found.bundle_specs[0]["CPU"]))
"""
    address = context.address_info["address"]
    assert run_driver(code, address).endswith("bundle of 1")
    assert run_driver(code, address, "elsewhere").endswith("bundle of 2")
    assert groups.get_placement_group("same").id == group.id


@pytest.mark.timeout(150)
def test_a_detached_placement_group_outlives_its_driver(fresh):
    context = ray.init(num_cpus=4, namespace="shared-space", log_to_driver=False)
    groups = submodule("util.placement_group")
    code = """
groups = importlib.import_module(sys.argv[1] + ".util.placement_group")
stays = groups.placement_group([{"CPU": 1}], name="stays", lifetime="detached")
goes = groups.placement_group([{"CPU": 1}], name="goes")
ray.get([stays.ready(), goes.ready()])
"""
    run_driver(code, context.address_info["address"])
    deadline = time.monotonic() + 30
    while ray.available_resources().get("CPU") != 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with pytest.raises(ValueError):
        groups.get_placement_group("goes")
    found = groups.get_placement_group("stays")
    strategy = submodule("util.scheduling_strategies").PlacementGroupSchedulingStrategy(found, 0)

    @ray.remote(num_cpus=1, scheduling_strategy=strategy)
    def f():
        return 1

    assert ray.get(f.remote(), timeout=60) == 1
    groups.remove_placement_group(found)
    while ray.available_resources().get("CPU") != 4:
        assert time.monotonic() < deadline + 30
        time.sleep(0.1)


@pytest.mark.timeout(150)
def test_a_detached_actor_outlives_its_driver(fresh):
    context = ray.init(num_cpus=2, namespace="shared-space", log_to_driver=False)
    address = context.address_info["address"]
    code = """
@ray.remote
class A:
    def f(self):
        return 7
actor = A.options(name="survivor", lifetime="detached").remote()
ray.get(actor.f.remote())
other = A.options(name="mortal").remote()
ray.get(other.f.remote())
"""
    run_driver(code, address)
    assert ray.get(ray.get_actor("survivor").f.remote(), timeout=30) == 7
    with pytest.raises(ValueError):
        for _ in range(100):
            ray.get_actor("mortal")
            time.sleep(0.1)
    ray.kill(ray.get_actor("survivor"))


@pytest.mark.timeout(150)
def test_a_detached_actor_calls_tasks_and_actors_after_its_drivers_end(fresh):
    context = ray.init(num_cpus=3, namespace="shared-space", log_to_driver=False)
    code = """
@ray.remote
def task():
    return "task"
@ray.remote
class Other:
    def f(self):
        return "actor"
@ray.remote
class A:
    def ping(self):
        return 1
    def f(self):
        other = Other.remote()
        return ray.get([task.remote(), other.f.remote()])
actor = A.options(name="heir", lifetime="detached").remote()
ray.get(actor.ping.remote())
"""
    run_driver(code, context.address_info["address"])
    heir = ray.get_actor("heir")
    for _ in range(3):
        assert ray.get(heir.f.remote(), timeout=60) == ["task", "actor"]
        # Also when what ran for the driver is long gone.
        time.sleep(0.5)
    ray.kill(heir)


@pytest.mark.timeout(150)
def test_a_detached_actor_restarts_after_its_drivers_end(fresh):
    context = ray.init(num_cpus=2, namespace="shared-space", log_to_driver=False)
    code = """
import os
@ray.remote
def task():
    return "task"
@ray.remote(max_restarts=3)
class A:
    def pid(self):
        return os.getpid()
    def f(self):
        return ray.get(task.remote())
actor = A.options(name="phoenix", lifetime="detached").remote()
ray.get(actor.pid.remote())
"""
    run_driver(code, context.address_info["address"])
    phoenix = ray.get_actor("phoenix")
    first = ray.get(phoenix.pid.remote(), timeout=30)
    for _ in range(2):
        os.kill(first, signal.SIGKILL)
        second = None
        deadline = time.monotonic() + 60
        while second in (None, first) and time.monotonic() < deadline:
            try:
                second = ray.get(phoenix.pid.remote(), timeout=30)
            except ray.exceptions.ActorUnavailableError:
                time.sleep(0.1)
        assert second not in (None, first)
        assert ray.get(phoenix.f.remote(), timeout=60) == "task"
        first = second
    ray.kill(phoenix)


def test_jobs_have_ids_of_their_own(fresh):
    context = ray.init(num_cpus=2, log_to_driver=False)
    code = "print(ray.get_runtime_context().get_job_id())"
    other = run_driver(code, context.address_info["address"])
    assert other != ray.get_runtime_context().get_job_id()


def test_the_output_of_tasks_comes_to_the_driver(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        "import importlib, sys, time\n"
        "ray = importlib.import_module(sys.argv[1])\n"
        "ray.init(num_cpus=1)\n"
        "@ray.remote\n"
        "def f():\n"
        "    print('said in a task')\n"
        "ray.get(f.remote())\n"
        "time.sleep(1)\n"
        "ray.shutdown()\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), ray.__name__], capture_output=True, text=True, timeout=90
    )
    assert "said in a task" in done.stdout + done.stderr
    assert "pid=" in done.stdout + done.stderr


def test_functions_of_main_and_of_modules_beside_the_program(tmp_path):
    (tmp_path / "beside.py").write_text("def value():\n    return 41\n")
    script = tmp_path / "program.py"
    script.write_text(
        "import importlib, sys\n"
        "import beside\n"
        "ray = importlib.import_module(sys.argv[1])\n"
        "class Point:\n"
        "    def __init__(self, x):\n"
        "        self.x = x\n"
        "def helper(x):\n"
        "    return Point(x + beside.value())\n"
        "@ray.remote\n"
        "def f(point):\n"
        "    return helper(point.x)\n"
        "if __name__ == '__main__':\n"
        "    ray.init(num_cpus=1)\n"
        "    result = ray.get(f.remote(Point(1)))\n"
        "    assert isinstance(result, Point)\n"
        "    print('result', result.x)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), ray.__name__], capture_output=True, text=True, timeout=90
    )
    assert "result 42" in done.stdout, done.stderr


def test_a_driver_that_ends_without_shutdown(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        "import importlib, sys\n"
        "ray = importlib.import_module(sys.argv[1])\n"
        "f = ray.remote(lambda: 1)\n"
        "print('got', ray.get(f.remote()))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), ray.__name__], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0 and "got 1" in done.stdout, done.stderr


def test_an_error_ends_a_driver_with_a_traceback(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        "import importlib, sys\n"
        "ray = importlib.import_module(sys.argv[1])\n"
        "f = ray.remote(lambda: 1 / 0)\n"
        "ray.get(f.remote())\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), ray.__name__], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr


@pytest.mark.timeout(150)
def test_large_objects_between_drivers(fresh):
    context = ray.init(num_cpus=2, namespace="shared-space", log_to_driver=False)

    @ray.remote
    class A:
        def ones(self, count):
            return np.ones(count)

        def total(self, array):
            return array.sum()

        def total_of(self, refs):
            return ray.get(refs[0]).sum()

    actor = A.options(name="large", lifetime="detached").remote()
    ray.get(actor.total.remote(np.ones(3)))
    code = """
import numpy as np
a = ray.get_actor("large")
ref = ray.put(np.ones(400_000))
print(
    ray.get(a.ones.remote(500_000)).sum(),
    ray.get(a.total.remote(np.ones(300_000))),
    ray.get(a.total.remote(ref)),
    ray.get(a.total_of.remote([ref])),
)
"""
    said = run_driver(code, context.address_info["address"])
    assert said.endswith("500000.0 300000.0 400000.0 400000.0")
    ray.kill(actor)
