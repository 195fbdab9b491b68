"""A worker's `sys.stdout` and `sys.stderr`: they say whose lines follow.

A worker runs many tasks, and only it knows which one prints. Before the first line of another task
its name goes down the pipe as a line of its own, which the zygote takes out again (`output.py`).
Who prints nothing pays nothing.
"""

from __future__ import annotations

import io
import sys
from typing import Optional

from iorun._core import global_state

#: How a line begins that is no output, but a name.
MARK = "\x1eiorun:name:"
NAME_LIMIT = 200
#: So many seconds a line may be without its end before it is written.
_PATIENCE = 0.05


class WorkerStream(io.TextIOWrapper):
    """Text to a pipe, by whole lines: one write each, so that lines of threads do not mix."""

    def __init__(self, fd: int):
        super().__init__(
            open(fd, "wb", closefd=False),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        self._announced = ""
        self._at_start = True
        self._is_due = False

    def write(self, text: str) -> int:
        if self._at_start:
            name = _current_name()
            if name != self._announced:
                self._announced = name
                super().write(f"{MARK}{name}\n{text}")
                self._at_start = text.endswith("\n")
                if not self._at_start and not self._is_due:
                    self._flush_soon()
                return len(text)
        written = super().write(text)
        if text:
            self._at_start = text.endswith("\n")
        if not self._at_start and not self._is_due:
            self._flush_soon()
        return written

    def _flush_soon(self) -> None:
        """What has no end of line yet is to be seen, too, in case the end does not come."""
        loop = getattr(global_state.worker(), "loop", None)
        if loop is not None:
            self._is_due = True
            # Without the core's lock: the pipe may be full.
            loop.after(_PATIENCE, lambda: loop.deferred.append((self._flush_rest, ())))

    def _flush_rest(self) -> None:
        self._is_due = False
        self.flush()


def _current_name() -> str:
    """The task that runs, or the actor where it names itself; else nothing."""
    core = global_state.worker()
    executor = getattr(core, "executor", None)
    if executor is None:
        return ""
    if executor.actor_id is not None:
        return _actor_name(getattr(executor, "actor", None))
    call = getattr(executor, "main_call", None)
    name = call.template.name if call is not None else ""
    return _one_line(name)


_named: Optional[object] = None
_name = ""


def _actor_name(actor: object) -> str:
    # As with Ray, a class that has a `__repr__` of its own names its lines with it; the hub knows
    # the names of the others.
    global _named, _name
    if actor is not _named:
        _named, _name = actor, ""
        if actor is not None and type(actor).__repr__ is not object.__repr__:
            try:
                _name = _one_line(repr(actor))
            except Exception as error:
                print(f"The actor's __repr__ failed: {error!r}", file=sys.__stderr__)
    return _name


def _one_line(name: object) -> str:
    return " ".join(str(name).split())[:NAME_LIMIT]
