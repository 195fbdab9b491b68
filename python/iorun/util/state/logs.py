"""What workers printed: the lines that came to this driver lately, by worker, task or actor."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

from iorun import _init
from iorun.util.state.exception import RayStateApiException

__all__ = ["get_log", "list_logs"]

#: (node, process id, "out" or "err").
_Source = Tuple[str, int, str]


def list_logs(
    address: Optional[str] = None,
    node_id: Optional[str] = None,
    node_ip: Optional[str] = None,
    glob_filter: Optional[str] = None,
    timeout: int = 30,
) -> Dict[str, List[str]]:
    """Names for `get_log`, by kind, of one node's workers that printed something."""
    if node_id is None and node_ip is None:
        raise AssertionError("At least one of node ip and node id is required")
    nodes = _nodes(node_id, node_ip)
    known = _init.connected_worker().output.recent.known()
    names = sorted(_name(source) for source in known if source[0] in nodes)
    return {
        "worker_out": [name for name in names if _wanted(name, "out", glob_filter)],
        "worker_err": [name for name in names if _wanted(name, "err", glob_filter)],
    }


def get_log(
    address: Optional[str] = None,
    node_id: Optional[str] = None,
    node_ip: Optional[str] = None,
    filename: Optional[str] = None,
    actor_id: Optional[str] = None,
    task_id: Optional[str] = None,
    pid: Optional[int] = None,
    follow: bool = False,
    tail: int = -1,
    timeout: int = 30,
    suffix: str = "out",
    encoding: Optional[str] = "utf-8",
    errors: Optional[str] = "strict",
    submission_id: Optional[str] = None,
    attempt_number: int = 0,
    _interval: Optional[float] = None,
    filter_ansi_code: bool = False,
) -> Iterator[Union[str, bytes]]:
    """The lines that a worker printed, the last `tail` of them (-1: all that are kept).

    At most 1000 are kept of each. The worker is named by a `filename` of `list_logs`, or by its
    process id, actor or task. `suffix` is "out" or "err". With `follow` it goes on with what comes,
    and never ends.

    Raises `RayStateApiException` where no such worker is known, and where it is not said which.
    """
    if suffix not in ("out", "err"):
        raise RayStateApiException(f'suffix must be "out" or "err", not {suffix!r}.')
    source = _source(node_id, node_ip, filename, actor_id, task_id, pid, suffix)
    output = _init.connected_worker().output.recent
    given: List[str] = []
    while True:
        lines = output.lines(*source)
        new = _behind(given, lines)
        if not given and tail >= 0:
            new = new[len(new) - min(tail, len(new)) :]
        for line in new:
            yield line + "\n" if encoding is not None else (line + "\n").encode()
        given = lines
        if not follow:
            return
        time.sleep(_interval or 0.2)


def _behind(given: List[str], lines: List[str]) -> List[str]:
    """What of the lines is newer than those that were given; the oldest may have gone meanwhile."""
    for gone in range(len(given) + 1):
        rest = len(given) - gone
        if given[gone:] == list(islice(lines, rest)):
            return lines[rest:]
    return lines


def _source(
    node_id: Optional[str],
    node_ip: Optional[str],
    filename: Optional[str],
    actor_id: Optional[str],
    task_id: Optional[str],
    pid: Optional[int],
    suffix: str,
) -> _Source:
    if actor_id is not None:
        return _of_worker(_row("actor", actor_id), suffix, "actor", actor_id)
    if task_id is not None:
        return _of_worker(_worker_of(task_id), suffix, "task", task_id)
    if filename is None and pid is None:
        raise RayStateApiException(
            "Say whose output is wanted: filename (of list_logs), pid, actor_id or task_id."
        )
    nodes = _nodes(node_id, node_ip)
    for source in _init.connected_worker().output.recent.known():
        named = _name(source) == filename if filename else source[1:] == (pid, suffix)
        if named and source[0] in nodes:
            return source
    what = filename or f"the process {pid}"
    raise RayStateApiException(
        f"Nothing that {what} printed has come to this driver: list_logs() has what there is."
    )


def _of_worker(row: Any, suffix: str, kind: str, id: str) -> _Source:
    if not row or not row.get("pid") or not row.get("node_id"):
        raise RayStateApiException(f"No process is known that ran the {kind} {id}.")
    return row["node_id"], int(row["pid"]), suffix


def _row(kind: str, id: str) -> Any:
    from iorun.util import state

    return getattr(state, f"get_{kind}")(id)


def _worker_of(task_id: str) -> Any:
    found = _row("task", task_id)
    task = found[-1] if isinstance(found, list) else found
    if not task:
        return None
    if task.get("actor_id"):
        return _row("actor", task["actor_id"])
    return _row("worker", task["worker_id"]) if task.get("worker_id") else None


def _nodes(node_id: Optional[str], node_ip: Optional[str]) -> List[str]:
    from iorun.util import state

    if node_id is not None:
        return [node_id]
    rows = state.list_nodes(limit=state.MAXIMUM_LIMIT)
    return [row["node_id"] for row in rows if node_ip in (None, row["node_ip"])]


def _name(source: _Source) -> str:
    return f"worker-{source[0]}-{source[1]}.{source[2]}"


def _wanted(name: str, suffix: str, pattern: Optional[str]) -> bool:
    return name.endswith("." + suffix) and fnmatchcase(name, pattern or "*")
