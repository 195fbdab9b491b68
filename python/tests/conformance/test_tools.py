"""Smaller tools: progress bars, the key-value store, places of objects, joblib, the debugger."""

import os
import socket
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from module_under_test import IS_RAY, ray, submodule


def test_internal_kv(shared):
    kv = submodule("experimental.internal_kv")
    assert kv._internal_kv_initialized()
    assert kv._internal_kv_get("tools:none") is None
    assert not kv._internal_kv_put("tools:a", b"1")
    assert kv._internal_kv_get(b"tools:a") == b"1"
    assert kv._internal_kv_put("tools:a", "2", overwrite=False)
    assert kv._internal_kv_get("tools:a") == b"1"
    kv._internal_kv_put("tools:a", "2")
    kv._internal_kv_put("tools:b", "3", namespace=b"other")
    assert kv._internal_kv_get("tools:a") == b"2"
    assert kv._internal_kv_exists("tools:a")
    assert not kv._internal_kv_exists("tools:b")
    assert kv._internal_kv_list("tools:") == [b"tools:a"]

    @ray.remote
    def read():
        return submodule("experimental.internal_kv")._internal_kv_get("tools:a")

    assert ray.get(read.remote()) == b"2"
    assert kv._internal_kv_del("tools:a")
    assert kv._internal_kv_get("tools:a") is None


def test_where_objects_are(shared):
    locations = submodule("experimental").get_object_locations
    here = ray.get_runtime_context().get_node_id()
    large = ray.put(np.zeros(200_000))

    @ray.remote
    def make():
        return np.zeros(300_000)

    made = make.remote()
    ray.wait([made])
    found = locations([large, made])
    assert found[large]["node_ids"] == [here] == found[made]["node_ids"]
    assert found[large]["object_size"] >= 1_600_000
    assert found[made]["object_size"] >= 2_400_000


def test_bars_of_tasks(tmp_path):
    program = f"""
    import {ray.__name__} as ray
    from {ray.__name__}.experimental import tqdm_ray
    ray.init(num_cpus=2)

    @ray.remote
    def work(n):
        for i in tqdm_ray.tqdm(range(n), desc=f"work {{n}}", position=0):
            pass
        bar = tqdm_ray.tqdm(total=10, desc="by hand")
        bar.update(4)
        bar.set_description("still by hand")
        bar.close()
        tqdm_ray.safe_print("said beside the bars")
        return n

    print(ray.get([work.remote(7), work.remote(7)]))
    tqdm_ray.instance().hide_bars()
    ray.shutdown()
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, timeout=80
    )
    assert done.returncode == 0, done.stderr
    assert "[7, 7]" in done.stdout
    if not IS_RAY:
        assert "work 7: 7/7 it" in done.stdout + done.stderr
        assert "said beside the bars" in done.stdout + done.stderr


def test_joblib(shared):
    joblib = pytest.importorskip("joblib")
    submodule("util.joblib").register_ray()
    with joblib.parallel_backend("ray", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(pow)(i, 2) for i in range(20))
    assert found == [i * i for i in range(20)]


@pytest.mark.skipif(IS_RAY, reason="Ray's debugger listens elsewhere")
def test_the_debugger_in_a_task(shared, until, tmp_path):
    said = tmp_path / "socket"

    @ray.remote
    def stop(path):
        import sys

        class Said:
            def write(self, text):
                if "nc -U " in text:
                    with open(path, "w") as file:
                        file.write(text.split("nc -U ")[1].strip())

            def flush(self):
                pass

        sys.stderr, before = Said(), sys.stderr
        value = 20
        try:
            ray.util.pdb.set_trace()
        finally:
            sys.stderr = before
        return value + 1

    ref = stop.remote(str(said))
    until(lambda: said.exists() and said.read_text())
    assert os.stat(said.read_text()).st_mode & 0o077 == 0
    with socket.socket(socket.AF_UNIX) as talk:
        talk.connect(said.read_text())
        talk.sendall(b"p value * 2\nvalue = 41\ncontinue\n")
        text = b""
        while chunk := talk.recv(4096):
            text += chunk
    assert b"40" in text
    assert ray.get(ref) in (21, 42)


@pytest.mark.skipif(IS_RAY, reason="Ray's needs its own processes")
def test_tools_of_tests(fresh, until, tmp_path):
    tools = submodule("_private.test_utils")
    cluster = submodule("cluster_utils").Cluster(initialize_head=True)
    cluster.add_node(num_cpus=1, resources={"far": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    assert cluster.remaining_processes_alive()
    for node in ray.nodes():
        for key in ("NodeManagerPort", "ObjectManagerPort", "MetricsExportPort"):
            assert isinstance(node[key], int)
        assert node["DeathReason"] == 0
        assert "ObjectStoreSocketName" in node
    assert sum(bool(node["RayletSocketName"]) for node in ray.nodes()) == 1

    errors = tools.init_error_pubsub()

    @ray.remote(max_retries=0)
    def fail():
        raise ValueError("nobody asks")

    fail.remote()
    [error] = tools.get_error_message(errors, 1, "task", timeout=30)
    assert "nobody asks" in error["error_message"]
    errors.close()

    child = subprocess.Popen(["sh", "-c", "sleep 60 & wait"])
    tools.wait_for_children_of_pid(child.pid, 1)
    child.kill()
    child.wait()

    counted = []

    def grows():
        counted.append(1)
        assert len(counted) == 3

    tools.wait_for_assertion(grows)
    assert tools.generate_runtime_env_dict("pip", "python_object", tmp_path)["pip"]

    [far] = [node for node in ray.nodes() if "far" in node["Resources"]]
    tools.kill_raylet(far)
    until(lambda: not cluster.remaining_processes_alive())
    deadline = time.monotonic() + 60
    while sum(node["Alive"] for node in ray.nodes()) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.skipif(IS_RAY, reason="Ray starts nodes on demand")
def test_a_cluster_of_node_types(fresh):
    cluster = submodule("cluster_utils").AutoscalingCluster(
        head_resources={"CPU": 0},
        worker_node_types={
            "cpu": {"resources": {"CPU": 1, "kind": 1}, "min_workers": 0, "max_workers": 2}
        },
    )
    cluster.start()
    try:
        ray.init(address=cluster.address, log_to_driver=False)

        @ray.remote(num_cpus=1, resources={"kind": 1})
        def f():
            return 1

        assert ray.get(f.remote(), timeout=60) == 1
        client = submodule("util.state").StateApiClient()
        assert len(client.list("nodes")) == 2
        ray.shutdown()
    finally:
        cluster.shutdown()
