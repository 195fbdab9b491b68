"""Rows of the state, with the fields that Ray's have."""

from __future__ import annotations

from typing import Any, Dict, Set, Type

__all__ = [
    "ActorState",
    "ClusterEventState",
    "FIELDS",
    "JobState",
    "NodeState",
    "ObjectState",
    "PlacementGroupState",
    "RuntimeEnvState",
    "StateRow",
    "TaskState",
    "WorkerState",
    "fields_of",
    "row_of",
]


class StateRow(dict):
    """A row whose fields are also attributes."""

    def asdict(self) -> Dict[str, Any]:
        """The row as a plain dict."""
        return dict(self)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.items())
        return f"{type(self).__name__}({fields})"

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"This row has no field {name!r}: {sorted(self)}") from None


class ActorState(StateRow):
    """A row of `list_actors`."""


class TaskState(StateRow):
    """A row of `list_tasks`."""


class ObjectState(StateRow):
    """A row of `list_objects`."""


class WorkerState(StateRow):
    """A row of `list_workers`."""


class JobState(StateRow):
    """A row of `list_jobs`."""


class NodeState(StateRow):
    """A row of `list_nodes`."""


class PlacementGroupState(StateRow):
    """A row of `list_placement_groups`."""


class RuntimeEnvState(StateRow):
    """A row of `list_runtime_envs`."""


class ClusterEventState(StateRow):
    """A row of `list_cluster_events`."""


_CLASSES: Dict[str, Type[StateRow]] = {
    "actors": ActorState,
    "jobs": JobState,
    "nodes": NodeState,
    "objects": ObjectState,
    "placement-groups": PlacementGroupState,
    "tasks": TaskState,
    "workers": WorkerState,
}


#: Ray's name -> the name in the answers of the node's agent.
FIELDS: Dict[str, Dict[str, str]] = {
    "actors": {
        "actor_id": "actor",
        "class_name": "className",
        "state": "state",
        "job_id": "job",
        "name": "name",
        "node_id": "node",
        "pid": "pid",
        "ray_namespace": "namespace",
        "num_restarts": "restarts",
        "death_cause": "cause",
        "required_resources": "resources",
        "is_detached": "detached",
        "placement_group_id": "group",
    },
    "tasks": {
        "task_id": "task",
        "name": "name",
        "func_or_class_name": "function",
        "type": "type",
        "parent_task_id": "parent",
        "required_resources": "resources",
        "state": "state",
        "attempt_number": "attempt",
        "job_id": "job",
        "actor_id": "actor",
        "node_id": "node",
        "worker_id": "worker",
        "error_type": "errorType",
    },
    "objects": {
        "object_id": "object",
        "object_size": "size",
        "job_id": "job",
        "owner": "owner",
        "node_id": "node",
        "pins": "pins",
        "state": "state",
    },
    "workers": {
        "worker_id": "worker",
        "worker_type": "kind",
        "node_id": "node",
        "pid": "pid",
        "job_id": "job",
        "actor_id": "actor",
        "state": "state",
    },
    "jobs": {"job_id": "job", "name": "name", "status": "state", "state": "state"},
    "nodes": {
        "node_id": "node",
        "node_ip": "address",
        "node_name": "name",
        "state": "state",
        "state_message": "reason",
        "resources_total": "resources",
        "labels": "labels",
    },
    "placement-groups": {
        "placement_group_id": "group",
        "name": "name",
        "state": "state",
        "creator_job_id": "job",
        "bundles": "bundles",
        "is_detached": "detached",
        "strategy": "strategy",
    },
}

#: Fields of Ray's that the agents do not tell, with what they are where nothing else is known.
_OTHERS: Dict[str, Dict[str, Any]] = {
    "actors": {
        "serialized_runtime_env": None,
        "repr_name": None,
        "call_site": None,
        "label_selector": None,
    },
    "jobs": {
        "type": "DRIVER",
        "submission_id": None,
        "message": None,
        "error_type": None,
        "start_time": None,
        "end_time": None,
    },
    "nodes": {"is_head_node": False, "start_time_ms": None, "end_time_ms": None},
    "objects": {
        "task_status": "NIL",
        "attempt_number": 1,
        "reference_type": "UNKNOWN_STATUS",
        "call_site": "disabled",
        "type": None,
        "pid": None,
        "ip": None,
    },
    "placement-groups": {"stats": None},
    "tasks": {
        "worker_pid": None,
        "language": "PYTHON",
        "runtime_env_info": None,
        "placement_group_id": None,
        "events": None,
        "creation_time_ms": None,
        "start_time_ms": None,
        "end_time_ms": None,
        "error_message": None,
        "is_debugger_paused": None,
        "call_site": None,
        "label_selector": None,
    },
    "workers": {
        "is_alive": True,
        "exit_type": None,
        "exit_detail": None,
        "ip": None,
        "start_time_ms": None,
        # Only living ones are known.
        "end_time_ms": 0,
    },
}


def fields_of(kind: str) -> Set[str]:
    """The fields that every row of this kind has: what a filter may name."""
    return {*FIELDS[kind], *_OTHERS[kind]}


#: Our classes of errors -> Ray's names of what a task failed of.
_ERROR_TYPES = {
    "": None,
    "ActorDiedError": "ACTOR_DIED",
    "ActorUnavailableError": "ACTOR_UNAVAILABLE",
    "ActorUnschedulableError": "ACTOR_UNSCHEDULABLE_ERROR",
    "NodeDiedError": "NODE_DIED",
    "ObjectLostError": "OBJECT_LOST",
    "ObjectReconstructionFailedError": "OBJECT_UNRECONSTRUCTABLE",
    "OutOfMemoryError": "OUT_OF_MEMORY",
    "OwnerDiedError": "OWNER_DIED",
    "RayTaskError": "TASK_EXECUTION_EXCEPTION",
    "RuntimeEnvSetupError": "RUNTIME_ENV_SETUP_FAILED",
    "TaskCancelledError": "TASK_CANCELLED",
    "TaskEndedByForce": "TASK_CANCELLED",
    "TaskPlacementGroupRemoved": "TASK_PLACEMENT_GROUP_REMOVED",
    "TaskUnschedulableError": "TASK_UNSCHEDULABLE_ERROR",
    "WorkerCrashedError": "WORKER_DIED",
}


def row_of(kind: str, item: Dict[str, Any]) -> StateRow:
    """One item of an answer as a row: Ray's fields, and whatever else the agent says."""
    names = FIELDS[kind]
    row = _CLASSES[kind]({name: item.get(source) for name, source in names.items()})
    row.update({name: value for name, value in _OTHERS[kind].items() if name not in row})
    known = set(names.values())
    row.update({key: value for key, value in item.items() if key not in known and key not in row})
    for name in names:
        # What has no place, or is of no actor, has no id of it.
        if name.endswith("_id") and row[name] == "":
            row[name] = None
    if kind == "nodes":
        row["state"] = "ALIVE" if item.get("alive") else "DEAD"
        row["node_ip"] = row["node_ip"] or ""
        row["is_head_node"] = "node:__internal_head__" in (row["resources_total"] or {})
    if kind == "jobs" and item.get("startedAt"):
        row["start_time"] = int(item["startedAt"] * 1000)
    if kind == "objects" and row["object_size"] is None:
        # Ray's number for a size that nobody knows yet.
        row["object_size"] = -1
    if kind == "tasks":
        row["state"] = "PENDING_NODE_ASSIGNMENT" if row["state"] == "PENDING" else row["state"]
        if row["state"] == "CANCELLED":
            row["state"], row["error_type"] = "FAILED", "TASK_CANCELLED"
        row["error_type"] = _ERROR_TYPES.get(row["error_type"] or "", row["error_type"])
        row["func_or_class_name"] = row["func_or_class_name"] or row["name"]
        ended = item.get("state") in ("FINISHED", "FAILED", "CANCELLED")
        row["start_time_ms"] = (item.get("startedAt") or 0) * 1000.0 or None
        row["end_time_ms"] = (item.get("seconds") or 0) * 1000.0 if ended else None
    if kind == "workers":
        row["is_alive"] = item.get("state", "ALIVE") == "ALIVE"
        # To Ray a process of an actor is a worker like others.
        row["worker_type"] = "WORKER" if row["worker_type"] == "ACTOR" else row["worker_type"]
    if kind == "actors":
        # PLACED is a stage of starting that Ray does not have.
        row["state"] = "PENDING_CREATION" if row["state"] in ("PENDING", "PLACED") else row["state"]
    return row
