"""Rows of the state, with the fields that Ray's have."""

from __future__ import annotations

from typing import Any, Dict

__all__ = ["FIELDS", "StateRow", "row_of"]


class StateRow(dict):
    """A row whose fields are also attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"This row has no field {name!r}: {sorted(self)}") from None


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
        "func_or_class_name": "name",
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


def row_of(kind: str, item: Dict[str, Any]) -> StateRow:
    """One item of an answer as a row: Ray's fields, and whatever else the agent says."""
    names = FIELDS[kind]
    row = StateRow({name: item.get(source) for name, source in names.items()})
    known = set(names.values())
    row.update({key: value for key, value in item.items() if key not in known and key not in row})
    if kind == "nodes":
        row["state"] = "ALIVE" if item.get("alive") else "DEAD"
        row["node_ip"] = row["node_ip"] or ""
    if kind == "tasks":
        row["state"] = "PENDING_NODE_ASSIGNMENT" if row["state"] == "PENDING" else row["state"]
        ended = item.get("state") in ("FINISHED", "FAILED", "CANCELLED")
        row["start_time_ms"] = (item.get("startedAt") or 0) * 1000.0 or None
        row["end_time_ms"] = (item.get("seconds") or 0) * 1000.0 if ended else None
    if kind == "workers":
        row["is_alive"] = item.get("state", "ALIVE") == "ALIVE"
    if kind == "actors":
        # PLACED is a stage of starting that Ray does not have.
        row["state"] = "PENDING_CREATION" if row["state"] in ("PENDING", "PLACED") else row["state"]
    return row
