"""How much there is of what: the lists of the state, counted, in the form that Ray's have."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List

from iorun.util import state
from iorun.util.state.rows import StateRow

__all__ = ["summarize_actors", "summarize_objects", "summarize_tasks"]


def _groups(rows: List[StateRow], name: str) -> Dict[str, List[StateRow]]:
    groups: Dict[str, List[StateRow]] = {}
    for row in rows:
        groups.setdefault(row.get(name) or "", []).append(row)
    return dict(sorted(groups.items()))


def _counts(rows: List[StateRow], field: str) -> Dict[str, int]:
    return dict(Counter(row.get(field) or "" for row in rows))


def summarize_tasks(**_: Any) -> Dict[str, Any]:
    """How many tasks of each name are in which state."""
    rows = state.list_tasks(limit=state.MAXIMUM_LIMIT)
    types = Counter(row["type"] for row in rows)
    summary = {
        name: {
            "func_or_class_name": name,
            "type": group[0]["type"],
            "state_counts": _counts(group, "state"),
        }
        for name, group in _groups(rows, "name").items()
    }
    return {
        "cluster": {
            "summary": summary,
            "total_tasks": types["NORMAL_TASK"],
            "total_actor_tasks": types["ACTOR_TASK"],
            "total_actor_scheduled": types["ACTOR_CREATION_TASK"],
            "summary_by": "func_name",
        }
    }


def summarize_actors(**_: Any) -> Dict[str, Any]:
    """How many actors of each class are in which state."""
    rows = state.list_actors(limit=state.MAXIMUM_LIMIT)
    summary = {
        name: {"class_name": name, "state_counts": _counts(group, "state")}
        for name, group in _groups(rows, "class_name").items()
    }
    return {"cluster": {"summary": summary, "total_actors": len(rows), "summary_by": "class"}}


def _megabytes(rows: List[StateRow]) -> float:
    return sum(max(row["object_size"], 0) for row in rows) / 2**20


def summarize_objects(**_: Any) -> Dict[str, Any]:
    """How many objects there are, and how large they are together."""
    rows = state.list_objects(limit=state.MAXIMUM_LIMIT)
    summary = {
        site: {
            "total_objects": len(group),
            "total_size_mb": _megabytes(group),
            "total_num_workers": len({row["pid"] or row["owner"] for row in group}),
            "total_num_nodes": len({row["ip"] or row["node_id"] for row in group}),
            "task_state_counts": _counts(group, "task_status"),
            "ref_type_counts": _counts(group, "reference_type"),
        }
        for site, group in _groups(rows, "call_site").items()
    }
    return {
        "cluster": {
            "summary": summary,
            "total_objects": len(rows),
            "total_size_mb": _megabytes(rows),
            "callsite_enabled": False,
            "summary_by": "callsite",
        }
    }
