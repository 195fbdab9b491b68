"""Why a task has no result, other than that it raised."""

from __future__ import annotations

from typing import Any, Optional

from iorun._errors.base import RayError


class CrossLanguageError(RayError):
    """An error that a worker of another language raised; only its text came over."""


class TaskCancelledError(RayError):
    """The task was cancelled, by `cancel()` or because the task that started it was."""

    def __init__(self, task_id: Any = None, error_message: Optional[str] = None):
        self.task_id = task_id
        self.error_message = error_message

    def __str__(self) -> str:
        parts = []
        if self.task_id:
            parts.append(f"Task: {self.task_id} was cancelled.")
        if self.error_message:
            parts.append(self.error_message)
        return " ".join(parts) or "This task or its dependency was cancelled."


class UserCodeException(RayError):
    """Wraps an error of the user's code inside a library's task."""


class WorkerCrashedError(RayError):
    """The worker process died in the middle of the task; the message says of what."""

    def __init__(self, message: Optional[str] = None):
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        text = "The worker died unexpectedly while executing this task."
        return f"{text} {self.message}" if self.message else text


class LocalRayletDiedError(RayError):
    """The agent of this node is gone, and with it all of the job's processes on the node."""

    def __init__(self, message: Optional[str] = None):
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        text = "The agent of the task's node is gone."
        return f"{text} {self.message}" if self.message else text


class RuntimeEnvSetupError(RayError):
    """The runtime environment of a task, actor or job could not be built."""

    def __init__(self, error_message: Optional[str] = None):
        self.error_message = error_message

    def __str__(self) -> str:
        text = "Failed to set up runtime environment."
        return f"{text}\n{self.error_message}" if self.error_message else text


class TaskPlacementGroupRemoved(RayError):
    """The task's placement group was removed."""

    def __str__(self) -> str:
        return "The placement group corresponding to this task has been removed."


class TaskEndedByForce(TaskCancelledError, WorkerCrashedError):
    """The task was cancelled with `force=True`, and its process ended: to Ray now the one, now the
    other."""


class TaskEndedWithPlacementGroup(TaskPlacementGroupRemoved, WorkerCrashedError):
    """The task was running when its placement group was removed: programs catch it as either."""


class TaskUnschedulableError(RayError):
    """No node of the network can ever run the task; the message names the nearest miss."""

    def __init__(self, error_message: str):
        self.error_message = error_message

    def __str__(self) -> str:
        return f"The task is not schedulable: {self.error_message}"


class ObjectRefStreamEndOfStreamError(RayError):
    """A streaming generator has no more objects."""
