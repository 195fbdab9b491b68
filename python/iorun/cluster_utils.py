"""Several nodes on one machine, for tests: each is a process of its own that can be removed."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import iorun
from iorun import _network, _system_config
from iorun._system_config import SystemConfig

__all__ = ["AutoscalingCluster", "Cluster", "ClusterNode", "cluster_not_supported"]

#: Several nodes on one machine work everywhere where this package does.
cluster_not_supported = False

_START_SECONDS = 30.0

# Ray's options of nodes that mean nothing here.
_IGNORED = {
    "enable_object_reconstruction",
    "dashboard_host",
    "dashboard_port",
    "env_vars",
    "include_dashboard",
    "plasma_directory",
    "redis_port",
    "temp_dir",
}


class ClusterNode:
    """One node of a `Cluster`."""

    def __init__(self, hub: _network.Hub, process: Optional[subprocess.Popen]):
        self.hub = hub
        self.process = process

    @property
    def node_id(self) -> str:
        """Its id in hexadecimal digits, as in `nodes()`."""
        return self.hub.node

    unique_id = node_id

    def __repr__(self) -> str:
        return f"ClusterNode({self.hub.name}, {self.node_id})"


class Cluster:
    """A head with a first node, and more nodes on demand.

    The first `add_node` (or `initialize_head` with `head_node_args`) starts the head and the node
    that drivers of this process attach to.
    """

    def __init__(
        self,
        initialize_head: bool = False,
        connect: bool = False,
        head_node_args: Optional[Dict[str, Any]] = None,
        shutdown_at_exit: bool = True,
    ):
        if connect and not initialize_head:
            raise RuntimeError("Cannot connect to uninitialized cluster.")
        self.head_node: Optional[ClusterNode] = None
        self.worker_nodes: List[ClusterNode] = []
        self.connected = False
        self._network: Optional[_network.PrivateNetwork] = None
        self._joined = 0
        if shutdown_at_exit:
            import atexit

            atexit.register(self._stop)
        if initialize_head:
            self.add_node(**(head_node_args or {}))
            if connect:
                self.connect()

    @property
    def address(self) -> Optional[str]:
        """The head's host:port, for `init(address=…)`."""
        return self._network.address if self._network else None

    gcs_address = address

    def connect(self, namespace: Optional[str] = None) -> None:
        """Attaches this process as a driver."""
        if self.connected:
            raise RuntimeError("This process is already connected to the cluster.")
        iorun.init(address=self.address, namespace=namespace, ignore_reinit_error=True)
        self.connected = True

    def add_node(
        self,
        wait: bool = True,
        *,
        num_cpus: Optional[float] = 1,
        num_gpus: Optional[float] = 0,
        resources: Optional[Dict[str, float]] = None,
        labels: Optional[Dict[str, str]] = None,
        object_store_memory: Optional[int] = 150 * 2**20,
        memory: Optional[int] = None,
        node_name: Optional[str] = None,
        **others: Any,
    ) -> ClusterNode:
        """Starts a node (the first one together with the head) and returns it when it is there."""
        unknown = [name for name in others if name not in _IGNORED and not name.startswith("_")]
        if unknown:
            raise TypeError(f"Unknown options of a node: {', '.join(sorted(unknown))}.")
        offers = {
            "num_cpus": num_cpus,
            "num_gpus": num_gpus,
            "resources": resources,
            "labels": labels,
            "object_store_memory": object_store_memory,
            "memory": memory,
        }
        # Of the whole cluster, and of the drivers that this process attaches to it.
        given = others.get("_system_config") or {}
        config = SystemConfig(given)
        _system_config.of_cluster.update(given)
        if self._network is None:
            self._network = _network.PrivateNetwork(**offers, config=config)
            self.head_node = ClusterNode(self._network.hub, None)
            return self.head_node
        node = self._join(self._network, offers, node_name, config)
        self.worker_nodes.append(node)
        # Programs that add nodes before `init` count on them in their first task.
        if wait:
            self._until(lambda: node.node_id in self._alive(), f"{node} is not among the nodes.")
        return node

    def _join(
        self,
        network: _network.PrivateNetwork,
        offers: Dict[str, Any],
        name: Optional[str],
        config: SystemConfig,
    ) -> ClusterNode:
        self._joined += 1
        folder = network.folder / f"joined-{self._joined}"
        name = name or folder.name
        folder.mkdir(mode=0o700)
        ticket = json.loads(
            _network.run_binary(
                ["ticket", "create", "--state-dir", str(network.folder)]
                + ["--role", "supplier", "--json"]
            )
        )["ticket"]
        log = open(network.folder / "log" / f"{folder.name}.log", "wb")
        with log:
            process = subprocess.Popen(
                [_network.find_binary(), "join", "--state-dir", str(folder), "--name", name]
                # A network of one's own: its nodes run programs as ordinary processes, as `up` does.
                + ["--isolation", "open"]
                + _network.node_options(**offers)
                + config.node_options(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The ticket is a secret: not where `ps` shows it.
                env={**os.environ, "IORUN_TICKET": ticket},
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            hub = _network.hub_of_folder(folder)
            if hub is not None:
                return ClusterNode(hub, process)
            if process.poll() is not None or time.monotonic() > deadline:
                said = Path(log.name).read_text("utf-8", "replace")[-2000:]
                _end(process)
                raise RuntimeError(f"The node {name} did not start. It said: {said}")
            time.sleep(0.01)

    def remove_node(self, node: ClusterNode, allow_graceful: bool = True) -> None:
        """Ends a node's agent, and with it all processes on the node.

        `allow_graceful=False` kills it, so that the network must find out by itself.
        """
        if node is self.head_node:
            self.shutdown()
            return
        if node not in self.worker_nodes or node.process is None:
            raise ValueError(f"{node} is not a node of this cluster, or was removed before.")
        self.worker_nodes.remove(node)
        _end(node.process, graceful=allow_graceful)

    def list_all_nodes(self) -> List[ClusterNode]:
        """The nodes that were added and not removed."""
        return ([self.head_node] if self.head_node else []) + list(self.worker_nodes)

    def remaining_processes_alive(self) -> bool:
        """Whether the agents of all nodes run that were not removed."""
        ends = [node.process.poll() for node in self.worker_nodes if node.process is not None]
        return all(end is None for end in ends) and (
            self._network is None or _network.hub_of_folder(self._network.folder) is not None
        )

    def wait_for_nodes(self, timeout: float = 30) -> None:
        """Waits until as many nodes are alive as there should be; else `TimeoutError`."""
        expected = {node.node_id for node in self.list_all_nodes()}
        self._until(
            lambda: self._alive() == expected,
            "Timed out while waiting for nodes to join.",
            timeout,
        )

    def _alive(self) -> set:
        if iorun.is_initialized():
            return {node["NodeID"] for node in iorun.nodes() if node["Alive"]}
        nodes = json.loads(
            _network.run_binary(["nodes", "--json", "--state-dir", str(self._folder())])
        )["nodes"]
        by_name = {node.hub.name: node.node_id for node in self.list_all_nodes()}
        return {by_name.get(node["name"]) for node in nodes if node.get("state") == "alive"}

    def _folder(self) -> Path:
        if self._network is None:
            raise RuntimeError("The cluster has no node yet.")
        return self._network.folder

    def _until(self, condition: Any, complaint: str, timeout: float = _START_SECONDS) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(complaint)
            time.sleep(0.02)

    def shutdown(self) -> None:
        """Ends all nodes and the head; detaches this process if `connect` attached it."""
        if self.connected:
            iorun.shutdown()
            self.connected = False
        self._stop()

    def _stop(self) -> None:
        network, self._network = self._network, None
        _system_config.of_cluster.clear()
        if network is None or os.getpid() != network.owner:
            return
        for node in self.worker_nodes:
            if node.process is not None:
                _end(node.process)
        self.worker_nodes.clear()
        self.head_node = None
        network.stop()


class AutoscalingCluster:
    """A head, and nodes of given types. Nobody adds nodes on demand here: each type's `min_workers`
    (at least one, where `max_workers` allows it) are started at once."""

    def __init__(
        self,
        head_resources: Dict[str, float],
        worker_node_types: Dict[str, Dict[str, Any]],
        autoscaler_v2: bool = False,
        **config_kwargs: Any,
    ):
        self._head = head_resources
        self._types = worker_node_types
        self._cluster: Optional[Cluster] = None

    def start(self, _system_config: Any = None, override_env: Any = None) -> None:
        """Starts head and nodes; `init("auto")` or `init(address=…)` attaches to them."""
        self._cluster = Cluster(initialize_head=True, head_node_args=_offer(self._head))
        for kind in self._types.values():
            least = int(kind.get("min_workers") or 0)
            count = min(int(kind.get("max_workers", least or 1)), max(1, least))
            for _ in range(count):
                self._cluster.add_node(**_offer(kind.get("resources") or {}))

    @property
    def address(self) -> Optional[str]:
        """The head's host:port."""
        return self._cluster.address if self._cluster is not None else None

    def shutdown(self) -> None:
        """Ends them."""
        if self._cluster is not None:
            self._cluster.shutdown()
            self._cluster = None


def _offer(resources: Dict[str, float]) -> Dict[str, Any]:
    """Ray's resources of a node, as arguments of `add_node`."""
    left = dict(resources)
    found: Dict[str, Any] = {"num_cpus": left.pop("CPU", 0), "num_gpus": left.pop("GPU", 0)}
    if "object_store_memory" in left:
        found["object_store_memory"] = left.pop("object_store_memory")
    left.pop("memory", None)
    return {**found, "resources": left or None}


def _end(process: subprocess.Popen, graceful: bool = True) -> None:
    """Ends the process; at once where it does not in order."""
    if graceful:
        process.terminate()
        try:
            process.wait(10)
            return
        except subprocess.TimeoutExpired:
            pass
    process.kill()
    process.wait()
