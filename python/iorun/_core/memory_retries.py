"""Tasks whose worker was ended because its node had no memory left: they have retries of their own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Dict

from iorun._core import failures

if TYPE_CHECKING:
    from iorun._core.submitter import TaskSubmitter
    from iorun._core.tasks import Task

logger = logging.getLogger("iorun")

#: Seconds of the longest pause before a task runs again.
_LONGEST = 60.0
#: So many retries are told of; then each time that their number has doubled.
_TOLD = 4


class MemoryRetries:
    """How often each unfinished task was lost so. With the lock held."""

    def __init__(self, tasks: "TaskSubmitter"):
        self._tasks = tasks
        self._lost: Dict[int, int] = {}

    def lost(self, task: "Task", cause: Dict[str, Any]) -> None:
        """Runs the task again after a pause, or fails it.

        The retries for other losses stay as they are: memory may be short for reasons that are no
        fault of the task's, and for longer than a few tries take.
        """
        config = self._tasks.core.config
        lost = self._lost.pop(task.number, 0)
        most = config["task_oom_retries"] if task.retries != 0 or lost else 0
        if 0 <= most <= lost:
            self._tasks.fail(task, failures.of_worker(task, cause))
            return
        self._lost[task.number] = lost + 1
        # On the wire it has 16 bits.
        task.attempt = min(task.attempt + 1, 0xFFFF)
        if lost < _TOLD or lost & (lost - 1) == 0:
            left = "infinite" if most < 0 else most - lost
            logger.warning(
                "Task %s failed due to oom. There are %s oom retries remaining, so the task will be "
                "retried. Error: %s",
                task.template.name,
                left,
                failures.describe(cause).splitlines()[0],
            )
        # A float has no room for 2**1024.
        doubled = 2.0 ** min(lost, 30)
        pause = min(_LONGEST, config["task_oom_retry_delay_base_ms"] / 1000 * doubled)
        self._tasks.core.loop.after(pause, lambda: self._again(task))

    def _again(self, task: "Task") -> None:
        if task.finished:
            self._lost.pop(task.number, None)
        else:
            self._tasks.queue_again(task)

    def count(self, number: int) -> int:
        """How often the task was lost so."""
        return self._lost.get(number, 0)

    def finished(self, number: int) -> None:
        """The task has a result."""
        self._lost.pop(number, None)
