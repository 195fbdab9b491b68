"""What programs read through `ray._private.state` although `ray.util.state` has it, too."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import iorun
from iorun.util import state as rows

__all__ = [
    "actors",
    "available_resources",
    "available_resources_per_node",
    "cluster_resources",
    "current_node_id",
    "jobs",
    "node_ids",
    "nodes",
    "timeline",
    "total_resources_per_node",
]

nodes = iorun.nodes
cluster_resources = iorun.cluster_resources
available_resources = iorun.available_resources
timeline = iorun.timeline


def _actor(row: Any) -> Dict[str, Any]:
    return {
        "ActorID": row["actor_id"],
        "ActorClassName": row["class_name"],
        "Name": row["name"],
        "JobID": row["job_id"],
        "State": row["state"],
        "NumRestarts": int(row["num_restarts"] or 0),
        "Address": {"NodeID": row["node_id"], "WorkerID": row.get("worker"), "Pid": row["pid"]},
        "Pid": row["pid"],
        "Namespace": row["ray_namespace"],
        "DeathCause": row["death_cause"],
    }


def actors(actor_id: Optional[str] = None, *_: Any) -> Dict[str, Any]:
    """The actors by id; with an id, that one ({} where there is none)."""
    if actor_id is not None:
        row = rows.get_actor(actor_id)
        return _actor(row) if row is not None else {}
    return {row["actor_id"]: _actor(row) for row in rows.list_actors(limit=rows.MAXIMUM_LIMIT)}


def jobs() -> List[Dict[str, Any]]:
    """The jobs."""
    return [
        {"JobID": row["job_id"], "IsDead": row["status"] not in ("RUNNING", None), **row}
        for row in rows.list_jobs()
    ]


def current_node_id() -> str:
    """The resource that only this node has."""
    return f"node:{iorun.get_runtime_context().get_node_id()}"


def node_ids() -> List[str]:
    """The ids of the living nodes."""
    return [node["NodeID"] for node in iorun.nodes() if node["Alive"]]


def available_resources_per_node() -> Dict[str, Dict[str, float]]:
    """What is free, by node."""
    return {node["NodeID"]: dict(node["Available"]) for node in iorun.nodes() if node["Alive"]}


def total_resources_per_node() -> Dict[str, Dict[str, float]]:
    """What there is, by node."""
    return {node["NodeID"]: dict(node["Resources"]) for node in iorun.nodes() if node["Alive"]}
