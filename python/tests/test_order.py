"""Calls of one caller to one actor run in the order in which they were made: 100,000 of them."""

import os
import shutil
import subprocess
import threading

import pytest

import iorun as ray
from iorun.cluster_utils import Cluster

CALLS = 100_000


class Log:
    """Counts calls, and those that did not come in their turn."""

    def __init__(self):
        self.next = {}
        self.inversions = 0

    def add(self, caller, number):
        self.inversions += number != self.next.get(caller, 0)
        self.next[caller] = number + 1

    def read(self):
        return sum(self.next.values()), self.inversions


@pytest.fixture
def cluster():
    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    cluster.add_node(num_cpus=1, resources={"far": 1})
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_on_one_node_by_several_threads():
    ray.shutdown()
    ray.init(num_cpus=2, log_to_driver=False)
    try:
        log = ray.remote(Log).remote()

        def call(caller):
            for number in range(CALLS // 4):
                log.add.remote(caller, number)

        threads = [threading.Thread(target=call, args=(caller,)) for caller in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ray.get(log.read.remote()) == (CALLS, 0)
    finally:
        ray.shutdown()


def cut(port):
    """Ends all TCP connections to the port, as a firewall that forgets them does."""
    done = subprocess.run(
        ["ss", "-K", "-t", "state", "established", f"( dport = :{port} )"],
        capture_output=True,
        text=True,
    )
    return done.stdout.count("127.0.0.1")


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("ss") is None,
    reason="cutting connections of other processes needs root and `ss -K`",
)
def test_across_nodes_whose_connections_are_cut(cluster):
    log = ray.remote(Log).options(num_cpus=0, resources={"far": 0.1}).remote()
    ray.get(log.read.remote())
    port = cluster.address.rsplit(":", 1)[1]
    cuts = 0
    for number in range(CALLS):
        log.add.remote(0, number)
        if number % 30_000 == 20_000:
            cuts += cut(port)
    if not cuts:
        pytest.skip("`ss -K` ends nothing on this kernel (CONFIG_INET_DIAG_DESTROY)")
    assert ray.get(log.read.remote()) == (CALLS, 0)
