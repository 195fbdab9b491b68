"""Small tools that tests of Ray programs are written with."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import iorun
from iorun import _network
from iorun._common.test_utils import (
    Semaphore,
    SignalActor,
    async_wait_for_condition,
    wait_for_condition,
)
from iorun._private import state
from iorun.util.queue import Empty, Queue, _QueueActor

__all__ = [
    "BatchQueue",
    "Collector",
    "Semaphore",
    "SignalActor",
    "async_wait_for_condition",
    "chdir",
    "check_call_ray",
    "check_call_subprocess",
    "client_test_enabled",
    "convert_actor_state",
    "dicts_equal",
    "find_free_port",
    "generate_runtime_env_dict",
    "generate_system_config_map",
    "get_actor_node_id",
    "get_error_message",
    "get_non_head_nodes",
    "get_other_nodes",
    "init_error_pubsub",
    "is_placement_group_removed",
    "kill_actor_and_wait_for_failure",
    "kill_raylet",
    "object_memory_usage",
    "placement_group_assert_no_leak",
    "put_object",
    "run_string_as_driver",
    "run_string_as_driver_nonblocking",
    "run_string_as_driver_stdout_stderr",
    "same_elements",
    "skip_flaky_core_test_premerge",
    "wait_for_assertion",
    "wait_for_children_of_pid",
    "wait_for_condition",
    "wait_for_num_actors",
    "wait_for_pid_to_exit",
    "wait_until_server_available",
    "wait_until_succeeded_without_exception",
]


@iorun.remote
class Collector:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.items: List[Any] = []

    def add(self, item: Any) -> None:
        """Keeps one more."""
        self.items.append(item)

    def get(self) -> List[Any]:
        """All of them."""
        return self.items


class _BatchQueueActor(_QueueActor):
    async def get_batch(
        self,
        batch_size: Optional[int] = None,
        total_timeout: Optional[float] = None,
        first_timeout: Optional[float] = None,
    ) -> List[Any]:
        """The first item, waited for, and those that come within `total_timeout` seconds."""
        try:
            batch = [await asyncio.wait_for(self.queue.get(), first_timeout)]
        except asyncio.TimeoutError:
            raise Empty from None
        if batch_size is None and total_timeout is None:
            total_timeout = 0
        deadline = None if total_timeout is None else time.monotonic() + total_timeout
        while batch_size is None or len(batch) < batch_size:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                batch.append(await asyncio.wait_for(self.queue.get(), left))
            except asyncio.TimeoutError:
                break
        return batch


class BatchQueue(Queue):
    """A queue of which several items can be taken at once."""

    _actor_class = _BatchQueueActor

    def get_batch(
        self,
        batch_size: Optional[int] = None,
        total_timeout: Optional[float] = None,
        first_timeout: Optional[float] = None,
    ) -> List[Any]:
        """Up to `batch_size` items; `Empty` where not even one came in time."""
        return iorun.get(self.actor.get_batch.remote(batch_size, total_timeout, first_timeout))


# Processes


def _exists(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_pid_to_exit(pid: int, timeout: float = 20) -> None:
    """Waits until the process is gone, or one that nobody has reaped."""
    deadline = time.monotonic() + timeout
    while _exists(pid):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Timed out while waiting for process {pid} to exit.")
        time.sleep(0.05)


def check_call_subprocess(
    argv: List[str], capture_stdout: bool = False, capture_stderr: bool = False
) -> Tuple[Optional[bytes], Optional[bytes]]:
    """Runs a command that must succeed: what it said."""
    pipe = subprocess.PIPE
    done = subprocess.run(
        argv,
        stdout=pipe if capture_stdout else None,
        stderr=pipe if capture_stderr else None,
        check=True,
    )
    return done.stdout, done.stderr


def check_call_ray(
    args: List[str], capture_stdout: bool = False, capture_stderr: bool = False
) -> Tuple[Optional[bytes], Optional[bytes]]:
    """Runs `iorun` with these arguments; Ray's `start`, `stop` and `status` are translated."""
    known = {"start": ["up", "--nodes", "1"], "stop": ["down"], "status": ["status"]}
    if args and args[0] in known:
        args = known[args[0]]
    return check_call_subprocess([_network.find_binary(), *args], capture_stdout, capture_stderr)


def run_string_as_driver(
    driver_script: str, env: Optional[dict] = None, encode: str = "utf-8"
) -> str:
    """Runs a program in a process of its own; its output, or `CalledProcessError`."""
    done = subprocess.run(
        [sys.executable, "-"],
        input=driver_script.encode(encode),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
    )
    output = done.stdout.decode(encode, "replace")
    if done.returncode:
        print(output)
        raise subprocess.CalledProcessError(done.returncode, done.args, output, driver_script)
    return output


def run_string_as_driver_stdout_stderr(
    driver_script: str, env: Optional[dict] = None, encode: str = "utf-8"
) -> Tuple[str, str]:
    """As `run_string_as_driver`, with the two outputs apart."""
    done = subprocess.run(
        [sys.executable, "-"],
        input=driver_script.encode(encode),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
    )
    said = done.stdout.decode(encode, "replace"), done.stderr.decode(encode, "replace")
    if done.returncode:
        print(*said, sep="\n")
        raise subprocess.CalledProcessError(done.returncode, done.args, *said)
    return said


def run_string_as_driver_nonblocking(driver_script: str, env: Optional[dict] = None):
    """Starts a program in a process of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        file.write(driver_script)
    return subprocess.Popen(
        [sys.executable, file.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    )


def find_free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])


def wait_until_server_available(
    address: str, timeout_ms: int = 5000, retry_interval_ms: int = 100
) -> bool:
    """Whether somebody listens at host:port within that time."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + timeout_ms / 1000
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return True
        except OSError:
            time.sleep(retry_interval_ms / 1000)
    return False


@contextlib.contextmanager
def chdir(d: str) -> Iterator[None]:
    """Another working directory for a while."""
    before = os.getcwd()
    os.chdir(d)
    try:
        yield
    finally:
        os.chdir(before)


# Actors and nodes


def convert_actor_state(state: Any) -> Optional[str]:
    """The state's name: states are texts here."""
    return state or None


def wait_for_num_actors(num_actors: int, state: Any = None, timeout: float = 10) -> None:
    """Waits until there are so many actors (in that state)."""
    from iorun._private.state import actors

    deadline = time.monotonic() + timeout
    while True:
        found = [row for row in actors().values() if state is None or row["State"] == state]
        if len(found) >= num_actors:
            return
        if time.monotonic() > deadline:
            raise TimeoutError("Timed out while waiting for global state.")
        time.sleep(0.1)


def kill_actor_and_wait_for_failure(
    actor: Any, timeout: float = 10, retry_interval_ms: float = 100
) -> None:
    """Kills the actor, and waits until the network knows."""
    id = actor._actor_id.hex()
    restarts = state.actors(id)["NumRestarts"]
    iorun.kill(actor)
    deadline = time.monotonic() + timeout
    while time.monotonic() <= deadline:
        now = state.actors(id)
        if now["State"] == "DEAD" or now["NumRestarts"] > restarts:
            return
        time.sleep(retry_interval_ms / 1000.0)
    raise RuntimeError(f"It took too much time to kill an actor: {id}")


def get_actor_node_id(actor_handle: Any) -> str:
    """The node that the actor runs on."""
    return iorun.get(
        actor_handle.__ray_call__.remote(lambda _: iorun.get_runtime_context().get_node_id())
    )


def get_other_nodes(cluster: Any, exclude_head: bool = False) -> List[Any]:
    """The nodes but the one that this process is attached to."""
    own = iorun.get_runtime_context().get_node_id()
    return [
        node
        for node in cluster.list_all_nodes()
        if node.node_id != own and not (exclude_head and node is cluster.head_node)
    ]


def get_non_head_nodes(cluster: Any) -> List[Any]:
    """The nodes but the first."""
    return [node for node in cluster.list_all_nodes() if node is not cluster.head_node]


def is_placement_group_removed(pg: Any) -> bool:
    """Whether the group is gone."""
    return iorun.util.placement_group_table(pg).get("state") == "REMOVED"


def placement_group_assert_no_leak(pgs_created: Iterable[Any]) -> None:
    """Removes the groups, and waits until all that they held is free again."""
    for group in pgs_created:
        iorun.util.remove_placement_group(group)

    def removed() -> bool:
        return all(
            entry["state"] == "REMOVED" for entry in iorun.util.placement_group_table().values()
        )

    wait_for_condition(removed)
    total = iorun.cluster_resources()

    def recovered() -> bool:
        free = iorun.available_resources()
        return all(
            free.get(name, 0) == amount
            for name, amount in total.items()
            if name not in ("memory", "object_store_memory")
        )

    wait_for_condition(recovered)


def object_memory_usage() -> float:
    """The bytes that objects take in shared memory."""
    total = iorun.cluster_resources().get("object_store_memory", 0)
    return total - iorun.available_resources().get("object_store_memory", 0)


# Values


@iorun.remote
def _put(obj: Any) -> Any:
    return obj


def put_object(obj: Any, use_ray_put: bool) -> Any:
    """A reference to the value: put here, or returned by a task."""
    return iorun.put(obj) if use_ray_put else _put.remote(obj)


def dicts_equal(dict1: Dict[Any, Any], dict2: Dict[Any, Any], abs_tol: float = 1e-4) -> bool:
    """Whether two dicts are equal, numbers nearly so."""
    if dict1.keys() != dict2.keys():
        return False
    for key, value in dict1.items():
        other = dict2[key]
        if isinstance(value, float) and isinstance(other, float):
            if not math.isclose(value, other, abs_tol=abs_tol):
                return False
        elif value != other:
            return False
    return True


def same_elements(elems_a: Iterable[Any], elems_b: Iterable[Any]) -> bool:
    """Whether two collections have the same elements, which need not be hashable."""
    first, second = list(elems_a), list(elems_b)
    return all(x in second for x in first) and all(x in first for x in second)


def generate_system_config_map(**kwargs: Any) -> Dict[str, Any]:
    """Options of Ray's internals as `init` takes (and ignores) them."""
    return {"_system_config": kwargs}


def client_test_enabled() -> bool:
    """There is no second, remote, kind of driver."""
    return False


def skip_flaky_core_test_premerge(reason: str) -> Callable[[Any], Any]:
    """Marks nothing: no test is flaky here."""
    return lambda function: function


def wait_until_succeeded_without_exception(
    func: Callable[..., Any],
    exceptions: Any,
    *args: Any,
    timeout_ms: int = 1000,
    retry_interval_ms: int = 100,
    raise_last_ex: bool = False,
) -> bool:
    """Calls the function until it raises none of these; whether it did in time."""
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            func(*args)
            return True
        except exceptions as error:
            if time.monotonic() > deadline:
                if raise_last_ex:
                    raise RuntimeError(f"Timed out while testing, {error!r}") from error
                return False
        time.sleep(retry_interval_ms / 1000)


def wait_for_children_of_pid(pid: int, num_children: int = 1, timeout: float = 20) -> None:
    """Waits until a process has so many children; else `TimeoutError`."""
    deadline = time.monotonic() + timeout
    while True:
        children = _children(pid)
        if len(children) >= num_children:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"Timed out while waiting for process {pid} children to start "
                f"({len(children)}/{num_children} started: {children})."
            )
        time.sleep(0.05)


def _children(pid: int) -> List[int]:
    found: List[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        pass
    return found


def wait_for_assertion(
    assertion_predictor: Callable[..., Any],
    timeout: float = 10,
    retry_interval_ms: int = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Calls a function until it raises no `AssertionError`; at the end raises its last one."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            assertion_predictor(**kwargs)
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        except Exception:
            if raise_exceptions or time.monotonic() > deadline:
                raise
        time.sleep(retry_interval_ms / 1000)


def generate_runtime_env_dict(
    field: str, spec_format: str, tmp_path: Any, pip_list: Optional[List[str]] = None
) -> Dict[str, Any]:
    """A `runtime_env` of pip packages: as a list, or as the path of a requirements file."""
    packages = pip_list or ["pip-install-test==0.5"]
    if field != "pip":
        raise ValueError(f"runtime_env[{field!r}] is not supported here.")
    if spec_format == "python_object":
        return {"pip": packages}
    file = tmp_path / f"requirements-{abs(hash(str(packages)))}.txt"
    file.write_text("\n".join(packages))
    return {"pip": str(file)}


def kill_raylet(raylet: Dict[str, Any], graceful: bool = False) -> None:
    """Ends the agent of a node of `nodes()`; with it all processes on that node."""
    import signal

    wanted = raylet["NodeID"]
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        folder = _node_folder(pid)
        hub = _network.hub_of_folder(folder) if folder else None
        if hub is not None and hub.node == wanted:
            # Whoever listens there; its helpers look like it.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(hub.socket)
                told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            agent = int.from_bytes(told[:4], sys.byteorder)
            os.kill(agent, signal.SIGTERM if graceful else signal.SIGKILL)
            wait_for_pid_to_exit(agent)
            return
    raise ValueError(f"No agent of the node {wanted} runs on this machine.")


def _node_folder(pid: int) -> Any:
    """The state folder of the agent that a process is; None for other processes."""
    from pathlib import Path

    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode("utf-8", "replace").split("\0")
    except OSError:
        return None
    for option, command in (("--folder", "node"), ("--state-dir", "join")):
        if len(words) > 2 and words[1] == command and option in words[:-1]:
            return Path(words[words.index(option) + 1])
    return None


class _ErrorSubscriber:
    """The errors of tasks that end from now on, in Ray's form."""

    def __init__(self) -> None:
        from iorun._core import unhandled

        self._found: List[Dict[str, Any]] = []
        self._module = unhandled
        self._before = unhandled.handler
        unhandled.handler = self._take

    def _take(self, error: BaseException) -> None:
        kind = "task" if isinstance(error, iorun.exceptions.RayTaskError) else "worker_died"
        self._found.append({"type": kind, "error_message": str(error)})
        self._before(error)

    def poll(self, timeout: Optional[float] = None) -> Tuple[Any, Optional[Dict[str, Any]]]:
        """The next one, or (None, None)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._found:
            if deadline is not None and time.monotonic() > deadline:
                return None, None
            time.sleep(0.02)
        return None, self._found.pop(0)

    def subscribe(self) -> None:
        """It does from the start."""

    def close(self) -> None:
        """Lets errors go where they went before."""
        self._module.handler = self._before


def init_error_pubsub() -> _ErrorSubscriber:
    """Hears of the errors of tasks that nobody asks for. `close()` it."""
    return _ErrorSubscriber()


def get_error_message(
    subscriber: Any, num: float = 1e6, error_type: Optional[str] = None, timeout: float = 20
) -> List[Dict[str, Any]]:
    """At most so many errors (of a kind), as they come within the time."""
    deadline = time.monotonic() + timeout
    messages: List[Dict[str, Any]] = []
    while len(messages) < num and time.monotonic() < deadline:
        _, error = subscriber.poll(timeout=max(0.0, deadline - time.monotonic()))
        if error is None:
            break
        if error_type is None or error["type"] == error_type:
            messages.append(error)
    return messages
