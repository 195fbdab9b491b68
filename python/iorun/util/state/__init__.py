"""The state of the network: what there is of actors, tasks, objects, nodes and so on."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from iorun import _init
from iorun._core.objects import HANDLE_SUFFIX
from iorun.util.state.exception import RayStateApiException
from iorun.util.state.rows import (
    ClusterEventState,
    ObjectState,
    RuntimeEnvState,
    StateRow,
    fields_of,
    row_of,
)

__all__ = [
    "RayStateApiException",
    "StateApiClient",
    "StateRow",
    "get_actor",
    "get_job",
    "get_log",
    "get_node",
    "get_objects",
    "get_placement_group",
    "get_task",
    "get_worker",
    "list_actors",
    "list_cluster_events",
    "list_jobs",
    "list_logs",
    "list_nodes",
    "list_objects",
    "list_placement_groups",
    "list_runtime_envs",
    "list_tasks",
    "list_workers",
    "summarize_actors",
    "summarize_objects",
    "summarize_tasks",
]

#: How many rows a list has unless told otherwise; Ray's number.
DEFAULT_LIMIT = 100
MAXIMUM_LIMIT = 10_000

Filter = Tuple[str, str, Any]


def _fetch(kind: str, limit: int) -> List[StateRow]:
    worker = _init.connected_worker()
    if kind == "nodes":
        answer, _ = worker.request(50, {})
        items = answer.get("nodes", [])
    elif kind == "placement-groups":
        answer, _ = worker.request(33, {})
        items = answer.get("groups", [])
    else:
        if kind == "tasks":
            with worker.loop.lock:
                worker.reporter.tell()
        answer, _ = worker.request(52, {"kind": kind, "limit": limit})
        items = answer.get("items", [])
        if kind == "actors":
            items += _own_actors(worker, {item.get("actor") for item in items})
    rows = [row_of(kind, item) for item in items]
    if kind == "tasks":
        _add_own_knowledge(worker, rows)
        _add_places(worker, rows)
    elif kind == "objects":
        rows += _own_objects(worker, {row["object_id"]: row for row in rows})
    return rows


def _add_own_knowledge(worker: Any, rows: List[StateRow]) -> None:
    """What this process knows of its own tasks, and the agents do not."""
    with worker.loop.lock:
        known = worker.reporter.about()
    for row in rows:
        about = known.get(row["task_id"], {})
        state = about.pop("state", None)
        if state is not None and row["end_time_ms"] is None:
            row["state"] = state
        row.update(about)
        row["type"] = row["type"] or "NORMAL_TASK"


def _add_places(worker: Any, rows: List[StateRow]) -> None:
    """The processes of tasks, as far as they live: the agents know of a task only its worker."""
    if not any(row["worker_id"] for row in rows):
        return
    answer, _ = worker.request(52, {"kind": "workers", "limit": MAXIMUM_LIMIT})
    known = {item.get("worker"): item for item in answer.get("items", [])}
    for row in rows:
        item = known.get(row["worker_id"])
        if item is not None:
            row["worker_pid"] = item.get("pid")
            row["node_id"] = row["node_id"] or item.get("node")


#: States of objects in this process, by their number there.
_OBJECT_STATES = {0: "PENDING", 1: "FINISHED", 2: "FINISHED", 3: "FINISHED", 4: "FAILED"}


def _own_objects(worker: Any, listed: Dict[str, StateRow]) -> List[StateRow]:
    """The references of this process: small values are in no shared memory."""
    found = []
    with worker.loop.lock:
        worker.objects.drain()
        needed = {
            id for task in worker.tasks.open.values() for id in (*task.dependencies, *task.nested)
        }
        for id, entry in worker.objects.entries.items():
            if entry.local <= 0 or id.endswith(HANDLE_SUFFIX):
                continue
            about = {
                "reference_type": "USED_BY_PENDING_TASK" if id in needed else "LOCAL_REFERENCE",
                "task_status": _OBJECT_STATES.get(entry.state, "NIL"),
                "pid": os.getpid(),
                "ip": worker.address,
                "type": "WORKER" if worker.role == "worker" else "DRIVER",
            }
            row = listed.get(id.hex())
            if row is not None:
                row.update(about)
                continue
            size = len(entry.data) if isinstance(entry.data, bytes) else None
            item = {"object": id.hex(), "size": size, "job": worker.job_id}
            found.append(ObjectState({**row_of("objects", item), **about}))
    return found


def _own_actors(worker: Any, listed: Set[Any]) -> List[Dict[str, Any]]:
    """Actors that this process knows and no node runs: dead ones, and those without a place."""
    with worker.loop.lock:
        return [
            {
                "actor": client.id.hex(),
                "job": worker.job_id,
                "className": client.class_name,
                "name": client.name or "",
                "namespace": client.namespace or worker.namespace,
                "state": client.state,
                "restarts": client.restarts,
                "cause": client.cause,
                "detached": client.handle_id is None,
            }
            for client in worker.actors.clients.values()
            if client.id.hex() not in listed and client.class_name
        ]


def _check(filters: Sequence[Filter], kind: str) -> None:
    for entry in filters:
        if len(entry) != 3 or entry[1] not in ("=", "!="):
            raise ValueError(f"A filter is (field, '=' or '!=', value), not {entry!r}.")
        if entry[0].lower() not in fields_of(kind):
            known = ", ".join(sorted(fields_of(kind)))
            raise ValueError(f"There is no field {entry[0]!r} of {kind}; there are: {known}.")


def _matches(row: StateRow, filters: Sequence[Filter]) -> bool:
    for key, operator, wanted in filters:
        found = row[key.lower()]
        same = found == wanted or str(found).lower() == str(wanted).lower()
        if same != (operator == "="):
            return False
    return True


def _lister(kind: str, what: str) -> Callable[..., List[StateRow]]:
    def rows(
        address: Optional[str] = None,
        filters: Optional[Sequence[Filter]] = None,
        limit: int = DEFAULT_LIMIT,
        timeout: Optional[float] = None,
        detail: bool = False,
        raise_on_missing_output: bool = True,
    ) -> List[StateRow]:
        if not 0 < limit <= MAXIMUM_LIMIT:
            raise ValueError(f"limit must be between 1 and {MAXIMUM_LIMIT}, not {limit}.")
        _check(filters or (), kind)
        # A filter must see everything before the limit cuts.
        found = _fetch(kind, MAXIMUM_LIMIT if filters else limit)
        return [row for row in found if _matches(row, filters or ())][:limit]

    rows.__name__ = rows.__qualname__ = f"list_{kind.replace('-', '_')}"
    rows.__doc__ = (
        f"{what}, at most `limit`, of which all `filters` hold: (field, '=' or '!=', value)."
    )
    return rows


list_actors = _lister("actors", "The actors")
list_jobs = _lister("jobs", "The jobs")
list_nodes = _lister("nodes", "The nodes")
list_objects = _lister("objects", "The objects in shared memory")
list_placement_groups = _lister("placement-groups", "The placement groups")
list_tasks = _lister("tasks", "The tasks, the newest first")
list_workers = _lister("workers", "The processes")


def list_runtime_envs(**_: Any) -> List[StateRow]:
    """The environments of the living workers, and how many workers each has."""
    counts = Counter(row.get("environment") or "" for row in list_workers(limit=MAXIMUM_LIMIT))
    return [
        RuntimeEnvState({"runtime_env": name, "success": True, "ref_cnt": count, "node_id": None})
        for name, count in counts.items()
        if name
    ]


def list_cluster_events(**_: Any) -> List[StateRow]:
    """Nodes that are lost, as events."""
    return [
        ClusterEventState(
            {
                "severity": "ERROR",
                "message": f"Node {row['node_name']} is {row['state']}: {row['state_message']}",
                "event_id": row["node_id"],
            }
        )
        for row in list_nodes(limit=MAXIMUM_LIMIT)
        if row["state"] != "ALIVE"
    ]


def _getter(lister: Callable[..., List[StateRow]], field: str) -> Callable[..., Any]:
    def one(
        id: str, address: Optional[str] = None, timeout: Optional[float] = None, **_: Any
    ) -> Optional[StateRow]:
        found = lister(filters=[(field, "=", id)], limit=1)
        return found[0] if found else None

    one.__name__ = one.__qualname__ = lister.__name__.replace("list_", "get_")[:-1]
    one.__doc__ = f"The one of this {field}; None where there is none."
    return one


get_actor = _getter(list_actors, "actor_id")
get_job = _getter(list_jobs, "job_id")
get_node = _getter(list_nodes, "node_id")
get_placement_group = _getter(list_placement_groups, "placement_group_id")
get_worker = _getter(list_workers, "worker_id")


def get_task(
    id: str, address: Optional[str] = None, timeout: Optional[float] = None, **_: Any
) -> Any:
    """The task of this id; a list of its attempts where there were several."""
    found = list_tasks(filters=[("task_id", "=", id)], limit=MAXIMUM_LIMIT)
    return found if len(found) > 1 else (found[0] if found else None)


def get_objects(
    id: str, address: Optional[str] = None, timeout: Optional[float] = None, **_: Any
) -> List[StateRow]:
    """What is known of the object of this id."""
    return list_objects(filters=[("object_id", "=", id)], limit=MAXIMUM_LIMIT)


# At the end: they are made of the functions above.
from iorun.util.state.logs import get_log, list_logs  # noqa: E402
from iorun.util.state.summaries import (  # noqa: E402
    summarize_actors,
    summarize_objects,
    summarize_tasks,
)


# It is made of these functions.
from iorun.util.state.client import StateApiClient  # noqa: E402
