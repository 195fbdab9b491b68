"""Requests about placement groups that nobody waits for yet: a hundred are made in one go."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from iorun._core.loop import Waiter
from iorun._init import connected_worker

# Operations of the local protocol.
CREATE, WAIT, REMOVE, TABLE, NAMED = 30, 31, 32, 33, 34

#: More removals than that are not under way at once.
_MOST = 1000

_removals: List["Asked"] = []


class Asked:
    """A request that is under way."""

    __slots__ = ("_answer", "_error", "_waiter", "_worker")

    def __init__(self, operation: int, message: Dict[str, Any]):
        self._worker = connected_worker()
        self._answer: Dict[str, Any] = {}
        self._error: Optional[Exception] = None
        self._waiter = Waiter(1)
        with self._worker.loop.lock:
            self._worker.hub.start(operation, message, self._done)

    def _done(self, answer: Dict[str, Any], _blob: bytes, error: Optional[Exception]) -> None:
        self._answer = answer
        self._error = error
        self._waiter.count_down()

    @property
    def is_answered(self) -> bool:
        """Whether the answer is here."""
        return self._waiter.left <= 0

    @property
    def is_void(self) -> bool:
        """Whether the session that asked has ended: there will be no answer."""
        return self._worker.loop.closed

    def answer(self, timeout: Optional[float] = None) -> Optional[Dict[str, Any]]:
        """The answer; None where it has not come in time. Raises the agent's refusal."""
        if not self._worker.loop.wait(self._waiter, timeout):
            return None
        if self._error is not None:
            raise self._error
        return self._answer


def ask(operation: int, message: Dict[str, Any]) -> Dict[str, Any]:
    """Asks and waits, once all removals have been done: an answer tells of them."""
    while _removals:
        _settle(_removals.pop(0))
    answer, _ = connected_worker().request(operation, message)
    return answer


def remove(group: str) -> None:
    """Has a group removed, and does not wait for it."""
    while _removals and (_removals[0].is_answered or len(_removals) >= _MOST):
        _settle(_removals.pop(0))
    _removals.append(Asked(REMOVE, {"group": group}))


def fits_here(bundles: List[Dict[str, float]]) -> bool:
    """Whether an idle node like this one holds all bundles: then the group is no impossible one."""
    total = connected_worker().hello.get("resources") or {}
    wanted: Dict[str, float] = {}
    for bundle in bundles:
        for name, amount in bundle.items():
            wanted[name] = wanted.get(name, 0.0) + amount
    return all(amount <= total.get(name, 0.0) for name, amount in wanted.items())


def _settle(removal: Asked) -> None:
    if removal.is_void and not removal.is_answered:
        return
    try:
        removal.answer()
    except Exception as error:
        # Removed by somebody else, or of a session that is over: it is gone either way.
        if getattr(error, "code", "") not in ("IOR-1305", "IOR-1504"):
            raise
