"""What programs read of `ray._private.worker.global_worker`."""

from __future__ import annotations

from typing import Any, Dict

import iorun
from iorun._core import global_state, unhandled
from iorun._core.objects import ARENA, FULL, HANDLE_SUFFIX, PLAIN
from iorun import cloudpickle as pickle  # noqa: F401 - Ray's programs find it here
from iorun._init import RayContext
from iorun.ids import ActorID, JobID, NodeID

__all__ = ["RayContext", "get", "global_worker", "init", "is_initialized", "put", "shutdown"]

SCRIPT_MODE, WORKER_MODE, LOCAL_MODE = 0, 1, 2

is_initialized = iorun.is_initialized
init, shutdown = iorun.init, iorun.shutdown
get, put, wait, kill, cancel = iorun.get, iorun.put, iorun.wait, iorun.kill, iorun.cancel
get_gpu_ids, remote = iorun.get_gpu_ids, iorun.remote


def _unhandled_error_handler(error: BaseException) -> None:
    """What is done with an error that nobody asks for; tests put their own here."""
    unhandled.log(error)


def _handle(error: BaseException) -> None:
    _unhandled_error_handler(error)


unhandled.handler = _handle


class _CoreWorker:
    """Counts of references, in Ray's words."""

    def get_all_reference_counts(self) -> Dict[bytes, Dict[str, int]]:
        """By id: how many references this process has, and how many of its open tasks need it."""
        core = global_state.require()
        with core.loop.lock:
            core.objects.drain()
            counts = {}
            for id, entry in core.objects.entries.items():
                # What counts an actor's handles is no object.
                if entry.local and not id.endswith(HANDLE_SUFFIX):
                    submitted = sum(
                        id in task.dependencies or id in task.nested
                        for task in core.tasks.open.values()
                    )
                    local = max(0, entry.local - submitted)
                    counts[id.hex().encode()] = {"local": local, "submitted": submitted}
            return counts

    def object_exists(self, object_ref: Any, memory_store_only: bool = False) -> bool:
        """Whether the object has a value that has not been deleted.

        `memory_store_only`: and that this process has itself, outside of shared memory.
        """
        core = global_state.require()
        with core.loop.lock:
            entry = core.objects.entries.get(object_ref.binary())
            kinds = (PLAIN, FULL) if memory_store_only else (PLAIN, FULL, ARENA)
            return entry is not None and entry.state in kinds

    def get_owner_address(self, object_ref: Any) -> str:
        """The owner's worker id as hexadecimal text."""
        return str(object_ref.owner_address())


class _Node:
    """The node, as far as programs ask for it."""

    @property
    def unique_id(self) -> str:
        """Its id."""
        return iorun.get_runtime_context().get_node_id()

    node_id = unique_id

    @property
    def node_ip_address(self) -> str:
        """Its address."""
        return global_state.require().address

    @property
    def address(self) -> str:
        """The head's host:port."""
        return iorun.get_runtime_context().gcs_address

    gcs_address = address


class _GlobalWorker:
    """This process, as far as it is attached to a network."""

    core_worker = _CoreWorker()
    node = _Node()

    @property
    def connected(self) -> bool:
        """Whether it is attached."""
        return global_state.worker() is not None

    @property
    def mode(self) -> Any:
        """`SCRIPT_MODE` in a driver, `WORKER_MODE` in a worker, None where it is not attached."""
        core = global_state.worker()
        if core is None:
            return None
        return WORKER_MODE if core.role == "worker" else SCRIPT_MODE

    @property
    def current_job_id(self) -> Any:
        """The job."""
        return JobID(iorun.get_runtime_context().get_job_id().encode())

    @property
    def current_node_id(self) -> Any:
        """The node."""
        return NodeID.from_hex(iorun.get_runtime_context().get_node_id())

    @property
    def worker_id(self) -> bytes:
        """This process's id."""
        return global_state.require().worker_id

    @property
    def namespace(self) -> str:
        """The namespace of names."""
        return iorun.get_runtime_context().namespace

    @property
    def actor_id(self) -> Any:
        """The actor that this process is."""
        text = iorun.get_runtime_context().get_actor_id()
        return None if text is None else ActorID.from_hex(text)

    def check_connected(self) -> None:
        """Raises where the process is not attached."""
        global_state.require()


global_worker = _GlobalWorker()
