"""Why a call of an actor has no result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Union

from iorun._errors.base import RayError
from iorun._errors.task_error import RayTaskError


class RayActorError(RayError):
    """A call to an actor did not end: the actor is dead, or out of reach for now."""

    BASE_ERROR_MSG = "The actor experienced an error before finishing this task."

    def __init__(
        self,
        actor_id: Optional[str] = None,
        error_msg: str = BASE_ERROR_MSG,
        actor_init_failed: bool = False,
        preempted: bool = False,
    ):
        self.actor_id = actor_id
        self.error_msg = error_msg
        self._actor_init_failed = actor_init_failed
        self._preempted = preempted

    def __str__(self) -> str:
        return self.error_msg

    @property
    def actor_init_failed(self) -> bool:
        """Whether the actor's constructor raised."""
        return self._actor_init_failed

    @property
    def preempted(self) -> bool:
        """Whether the actor's node was taken away on notice."""
        return self._preempted


class ActorDeathCause:
    """What is known of an actor's death; becomes the text of an `ActorDiedError`."""

    def __init__(
        self,
        actor_id: Optional[str] = None,
        class_name: str = "",
        name: str = "",
        namespace: str = "",
        pid: int = 0,
        node: str = "",
        message: str = "",
        never_started: bool = False,
        preempted: bool = False,
    ):
        self.actor_id = actor_id
        self.class_name = class_name
        self.name = name
        self.namespace = namespace
        self.pid = pid
        self.node = node
        self.message = message
        self.never_started = never_started
        self.preempted = preempted

    def describe(self) -> str:
        """Several lines: one a known fact, then the reason."""
        facts = [
            ("class_name", self.class_name),
            ("actor_id", self.actor_id),
            ("pid", self.pid),
            ("name", self.name),
            ("namespace", self.namespace),
            ("node", self.node),
        ]
        lines = [ActorDiedError.BASE_ERROR_MSG]
        lines += [f"\t{key}: {value}" for key, value in facts if value]
        if self.message:
            lines.append(self.message)
        if self.never_started:
            lines.append("The actor never ran - it was cancelled before it started running.")
        return "\n".join(lines)


#: How the text of an actor begins whose constructor raised.
CREATION_FAILED = "The actor died because of an error raised in its creation task,"


class ActorDiedError(RayActorError):
    """The actor is dead for good: it will answer no call any more.

    `cause` is the `RayTaskError` of its constructor, an `ActorDeathCause` (or a mapping of its
    fields), or None where nothing is known.
    """

    BASE_ERROR_MSG = "The actor died unexpectedly before finishing this task."

    def __init__(
        self,
        cause: Union[RayTaskError, ActorDeathCause, Mapping[str, Any], None] = None,
    ):
        if cause is None:
            super().__init__(None, ActorDiedError.BASE_ERROR_MSG)
        elif isinstance(cause, RayTaskError):
            super().__init__(
                getattr(cause, "_actor_id", None),
                f"{CREATION_FAILED} {cause}",
                actor_init_failed=True,
            )
        else:
            if not isinstance(cause, ActorDeathCause):
                cause = ActorDeathCause(**cause)
            super().__init__(cause.actor_id, cause.describe(), False, preempted=cause.preempted)

    @staticmethod
    def from_task_error(task_error: RayTaskError) -> ActorDiedError:
        """The error of an actor whose constructor raised."""
        return ActorDiedError(task_error)


class ActorUnavailableError(RayActorError):
    """The actor is out of reach or being restarted; a later call may succeed."""

    def __init__(self, error_message: str, actor_id: Union[bytes, str, None] = None):
        identity = actor_id.hex() if isinstance(actor_id, bytes) else actor_id
        super().__init__(
            identity,
            f"The actor {identity} is unavailable: {error_message} The task may or may not have "
            "been executed on the actor.",
        )


class AsyncioActorExit(RayError):
    """Raised inside an async actor by `exit_actor()`; do not catch it."""


class ActorPlacementGroupRemoved(RayError):
    """The actor's placement group was removed."""

    def __str__(self) -> str:
        return "The placement group corresponding to this Actor has been removed."


class PendingCallsLimitExceeded(RayError):
    """The actor's `max_pending_calls` calls are already waiting."""


class ActorUnschedulableError(RayError):
    """No node of the network can ever hold the actor; the message names the nearest miss."""

    def __init__(self, error_message: str):
        self.error_message = error_message

    def __str__(self) -> str:
        return f"The actor is not schedulable: {self.error_message}"


class ActorAlreadyExistsError(ValueError, RayError):
    """An actor with that name exists in the namespace."""

    def __init__(self, error_message: str):
        super().__init__(error_message)
        self.error_message = error_message

    def __str__(self) -> str:
        return self.error_message


class ActorHandleNotFoundError(ValueError, RayError):
    """The handle's actor is unknown here, for example because it is of an earlier session."""

    def __init__(self, error_message: str):
        super().__init__(error_message)
        self.error_message = error_message

    def __str__(self) -> str:
        return self.error_message
