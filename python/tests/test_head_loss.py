"""The head, or a node, is killed with SIGKILL under a program that runs."""

import json
import os
import signal
import time

import pytest

import iorun
from iorun import _network
from iorun.util.scheduling_strategies import NodeAffinitySchedulingStrategy

NODES = 3


@pytest.fixture
def folder(tmp_path_factory):
    # Tests before this one may have left a session of theirs.
    iorun.shutdown()
    # Short: a Unix socket's path has at most 107 bytes.
    folder = tmp_path_factory.mktemp("n")
    up(folder)
    yield folder
    iorun.shutdown()
    _network.run_binary(["down", "--state-dir", str(folder)])


def up(folder):
    _network.run_binary(
        ["up", "--nodes", str(NODES), "--cpus", "2", "--state-dir", str(folder)], seconds=60
    )


def kill(folder, name):
    pid = json.loads((folder / "run" / f"{name}.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)


def other_nodes():
    here = iorun.get_runtime_context().get_node_id()
    return [node for node in iorun.nodes() if node["NodeID"] != here]


def on(node):
    return NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)


@iorun.remote(max_restarts=1, max_task_retries=3)
class Counter:
    def __init__(self):
        self.count = 0

    def add(self):
        self.count += 1
        return self.count

    def node(self):
        return iorun.get_runtime_context().get_node_id()


@iorun.remote
def double(number):
    return 2 * number


def test_a_program_outlives_its_head(folder):
    iorun.init(address=str(folder), namespace="loss", log_to_driver=False)
    near, far = other_nodes()
    counter = Counter.options(name="counter", scheduling_strategy=on(near)).remote()
    assert iorun.get(counter.add.remote()) == 1
    kill(folder, "head")
    # This node needs nobody for its own tasks.
    assert iorun.get([double.remote(n) for n in range(4)], timeout=30) == [0, 2, 4, 6]
    up(folder)
    # The actor has lost nothing, and the new head knows its name and place.
    assert iorun.get(counter.add.remote(), timeout=30) == 2
    again = iorun.get_actor("counter")
    assert iorun.get(again.add.remote(), timeout=30) == 3
    fresh = Counter.options(scheduling_strategy=on(far)).remote()
    assert iorun.get(fresh.node.remote(), timeout=30) == far["NodeID"]


def test_an_actor_of_a_killed_node_begins_anew_elsewhere(folder):
    iorun.init(address=str(folder), namespace="loss", log_to_driver=False)
    node = other_nodes()[0]
    counter = Counter.options(scheduling_strategy=on(node)).remote()
    assert iorun.get(counter.node.remote(), timeout=30) == node["NodeID"]
    kill(folder, node["NodeName"])
    assert iorun.get(counter.add.remote(), timeout=60) == 1
    deadline = time.monotonic() + 30
    while any(n["Alive"] for n in iorun.nodes() if n["NodeID"] == node["NodeID"]):
        assert time.monotonic() < deadline, "the node still counts as alive"
        time.sleep(0.1)
