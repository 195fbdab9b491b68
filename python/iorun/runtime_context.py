"""What the running code can ask about itself: its ids, its node, its resources."""

from __future__ import annotations

import json
import logging
from typing import Any, Dict, List, Optional

from iorun import _init
from iorun._core.devices import Devices
from iorun.ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID, UniqueID
from iorun.util.annotations import Deprecated

__all__ = ["RuntimeContext", "get_runtime_context"]

logger = logging.getLogger("iorun")


def get_runtime_context() -> "RuntimeContext":
    """The context of the running task, actor or driver."""
    return RuntimeContext(_init.connected_worker())


class RuntimeContext:
    """Ids are hexadecimal texts; what a driver does not have is None."""

    def __init__(self, worker: Any):
        self._worker = worker

    def _task(self) -> Any:
        return self._worker.context()

    def _in_worker(self) -> bool:
        return self._worker.role == "worker"

    def get_job_id(self) -> str:
        """The job: all processes that share a driver."""
        return self._worker.job_id

    def get_node_id(self) -> str:
        """The node that this process runs on."""
        return self._worker.node_id.hex()

    def get_worker_id(self) -> str:
        """This process."""
        return self._worker.worker_id.hex()

    def get_task_id(self) -> Optional[str]:
        """The running task or method; None in a driver."""
        identity = getattr(self._task(), "task_id", None)
        return None if identity is None else bytes(identity).hex()

    def get_task_name(self) -> Optional[str]:
        """The task's name: the option `name`, else `function` or `Class.method`."""
        return getattr(self._task(), "task_name", None)

    def get_task_function_name(self) -> Optional[str]:
        """The function's or method's name with its module."""
        return getattr(self._task(), "function_name", None)

    def get_attempt_number(self) -> int:
        """How often the task was tried before."""
        return getattr(self._task(), "attempt", 0) or 0

    def get_actor_id(self) -> Optional[str]:
        """The actor that this process is; None where it is none."""
        identity = self._actor_id()
        return None if identity is None else identity.hex()

    def _actor_id(self) -> Optional[bytes]:
        identity = getattr(self._task(), "actor_id", None)
        return None if identity is None else bytes(identity)

    def get_actor_name(self) -> Optional[str]:
        """The actor's name ("" without one); None outside of actors."""
        if self._actor_id() is None:
            return None
        return getattr(self._task(), "actor_name", None) or ""

    @property
    def namespace(self) -> str:
        """The namespace of names that are looked up here."""
        return self._worker.namespace

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether this actor was restarted."""
        if self._actor_id() is None:
            raise AssertionError("This method shouldn't be called inside tasks and drivers.")
        return bool(getattr(self._task(), "restarts", 0))

    def get_placement_group_id(self) -> Optional[str]:
        """The placement group of this task or actor."""
        group = getattr(self._task(), "group", None)
        return None if group is None else bytes(group).hex()

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Whether tasks that are started here run in the same placement group."""
        return bool(getattr(self._task(), "capture_child_tasks", False))

    def get_assigned_resources(self) -> Dict[str, float]:
        """What is reserved for this task or actor."""
        if not self._in_worker():
            raise AssertionError(
                "This method is only available when the process is a worker, not in a driver."
            )
        resources = getattr(self._task(), "resources", None) or {}
        return {name: float(amount) for name, amount in resources.items() if amount}

    def get_runtime_env_string(self) -> str:
        """The runtime environment as JSON."""
        return json.dumps(self._runtime_env(), sort_keys=True)

    def _runtime_env(self) -> Dict[str, Any]:
        own = getattr(self._task(), "runtime_env", None)
        if own is None:
            own = getattr(self._worker, "runtime_env", None)
        return dict(own or {})

    @property
    def runtime_env(self) -> Any:
        """The runtime environment."""
        from iorun.runtime_env import RuntimeEnv

        return RuntimeEnv(**self._runtime_env(), _validate=False)

    @property
    def current_actor(self) -> Any:
        """A handle of the actor that this process is."""
        identity = self._actor_id()
        if identity is None:
            raise RuntimeError("This method is only available in an actor.")
        return self._worker.current_actor_handle()

    @property
    def gcs_address(self) -> str:
        """The head's address."""
        return (self._worker.hello or {}).get("head", "")

    def get_accelerator_ids(self) -> Dict[str, List[str]]:
        """The accelerators of this task or actor, by kind: all kinds, also those of which it has none."""
        found = getattr(self._task(), "accelerators", None)
        return Devices().ids() if found is None else found

    get_resource_ids = get_accelerator_ids

    def get_node_labels(self) -> Dict[str, str]:
        """The labels of this node."""
        return dict((self._worker.hello or {}).get("labels") or {})

    def get_temp_dir(self) -> str:
        """The folder of the node's logs."""
        return (self._worker.hello or {}).get("logs", "")

    def get_session_name(self) -> str:
        """A text that is the same in all processes of the network."""
        return f"session_{self.gcs_address}"

    def is_canceled(self) -> bool:
        """Whether somebody cancelled the running task."""
        task = self._task()
        if task is None:
            return False
        if getattr(task, "is_async", False):
            raise RuntimeError(
                "This method is not supported in an async actor: a cancelled method gets an "
                "asyncio.CancelledError."
            )
        return bool(task.is_cancelled())

    is_cancelled = is_canceled

    def get(self) -> Dict[str, Any]:
        """Several ids at once; Ray's old form."""
        found: Dict[str, Any] = {
            "job_id": self.job_id,
            "node_id": self.node_id,
            "namespace": self.namespace,
        }
        if self._in_worker():
            if self.task_id is not None:
                found["task_id"] = self.task_id
            if self.actor_id is not None:
                found["actor_id"] = self.actor_id
        return found

    @property
    @Deprecated(message="Use get_job_id() instead", warning=True)
    def job_id(self) -> JobID:
        """`get_job_id()` as a value."""
        return JobID(self.get_job_id().encode())

    @property
    @Deprecated(message="Use get_node_id() instead", warning=True)
    def node_id(self) -> NodeID:
        """`get_node_id()` as a value."""
        return NodeID(bytes(self._worker.node_id))

    @property
    @Deprecated(message="Use get_task_id() instead", warning=True)
    def task_id(self) -> Optional[TaskID]:
        """`get_task_id()` as a value."""
        text = self.get_task_id()
        if text is None:
            return None
        binary = bytes.fromhex(text)
        return TaskID(binary) if len(binary) == TaskID.SIZE else UniqueID(binary)  # type: ignore

    @property
    @Deprecated(message="Use get_actor_id() instead", warning=True)
    def actor_id(self) -> Optional[ActorID]:
        """`get_actor_id()` as a value."""
        identity = self._actor_id()
        return None if identity is None else ActorID(identity)

    @property
    @Deprecated(message="Use get_placement_group_id() instead", warning=True)
    def current_placement_group_id(self) -> PlacementGroupID:
        """`get_placement_group_id()` as a value."""
        text = self.get_placement_group_id()
        return PlacementGroupID.nil() if text is None else PlacementGroupID.from_hex(text)
