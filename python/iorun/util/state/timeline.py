"""Events of Chrome's trace format: who ran which task, from when to when."""

from __future__ import annotations

from typing import Any, Dict, List

__all__ = ["chrome_trace"]

_LIMIT = 10_000


def chrome_trace(worker: Any) -> List[Dict[str, Any]]:
    """The finished and running tasks of the job, one event each."""
    answer, _ = worker.request(52, {"kind": "tasks", "limit": _LIMIT})
    events = []
    for task in answer.get("items", []):
        started = task.get("startedAt")
        if not started:
            # It waits, or ended in so busy a time that nobody told when it began.
            continue
        ended = max(started, task.get("seconds") or started)
        events.append(
            {
                "cat": f"task::{task.get('name', '')}",
                "name": f"task::{task.get('name', '')}",
                "ph": "X",
                "ts": started * 1e6,
                "dur": (ended - started) * 1e6,
                "pid": task.get("node") or "",
                "tid": task.get("worker") or "",
                "cname": "generic_work" if task.get("state") != "FAILED" else "terrible",
                "args": {
                    "task_id": task.get("task"),
                    "state": task.get("state"),
                    "attempt": task.get("attempt"),
                },
            }
        )
    return events
