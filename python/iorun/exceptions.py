"""All errors that tasks, actors and objects can end with, under the names that Ray gave them.

Every class derives from `RayError`, so one `except RayError` catches whatever the runtime itself
reports. Errors of the user's own code arrive as `RayTaskError`, and at the same time as an
instance of the user's class (see `RayTaskError.as_instanceof_cause`).
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import types
from typing import Any, Mapping, Optional, Union

__all__ = [
    "ActorAlreadyExistsError",
    "ActorDeathCause",
    "ActorDiedError",
    "ActorHandleNotFoundError",
    "ActorPlacementGroupRemoved",
    "ActorUnavailableError",
    "ActorUnschedulableError",
    "AsyncioActorExit",
    "AuthenticationError",
    "CREATION_FAILED",
    "CrossLanguageError",
    "GetTimeoutError",
    "LocalRayletDiedError",
    "NodeDiedError",
    "ObjectFetchTimedOutError",
    "ObjectFreedError",
    "ObjectLostError",
    "ObjectReconstructionFailedError",
    "ObjectRefStreamEndOfStreamError",
    "ObjectStoreFullError",
    "OufOfBandObjectRefSerializationException",
    "OutOfDiskError",
    "OutOfMemoryError",
    "OwnerDiedError",
    "PendingCallsLimitExceeded",
    "PlasmaObjectNotAvailable",
    "RAY_EXCEPTION_TYPES",
    "RayActorError",
    "RayCgraphCapacityExceeded",
    "RayChannelError",
    "RayChannelTimeoutError",
    "RayDirectTransportError",
    "RayError",
    "RaySystemError",
    "RayTaskError",
    "ReferenceCountingAssertionError",
    "RpcError",
    "RuntimeEnvSetupError",
    "StreamingGeneratorReplayInconsistentError",
    "TaskCancelledError",
    "TaskPlacementGroupRemoved",
    "TaskUnschedulableError",
    "UnserializableException",
    "UserCodeException",
    "WorkerCrashedError",
]

logger = logging.getLogger(__name__)


class RayError(Exception):
    """The base of all errors that the runtime raises."""


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


# Frames of the SDK itself tell a user nothing about his error.
_PACKAGE_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


def _without_own_frames(text: str) -> str:
    """A traceback's text without the frames that are inside this package."""
    kept = []
    hidden = False
    for line in text.strip().split("\n"):
        if line.startswith('  File "'):
            hidden = line.startswith('  File "' + _PACKAGE_FOLDER)
        elif not line.startswith("    "):
            # Neither a frame nor what stands below one: a header or the error itself.
            hidden = False
        if not hidden:
            kept.append(line)
    return "\n".join(kept)


class RayTaskError(RayError):
    """A task or an actor's method raised; `cause` is what it raised."""

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException,
        proctitle: Optional[str] = None,
        pid: Optional[int] = None,
        ip: Optional[str] = None,
        actor_repr: Optional[str] = None,
        actor_id: Optional[str] = None,
    ):
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.proctitle = proctitle or f"ray::{function_name}"
        self.pid = pid or os.getpid()
        self.ip = ip or os.environ.get("IORUN_NODE_ADDRESS", "127.0.0.1")
        self.actor_repr = actor_repr
        self._actor_id = actor_id
        self.cause = _picklable(cause, traceback_str)
        # What `BaseException.__reduce__` makes the copy in another process from.
        self.args = (
            function_name,
            traceback_str,
            self.cause,
            self.proctitle,
            self.pid,
            self.ip,
            actor_repr,
            actor_id,
        )

    def as_instanceof_cause(self) -> "RayTaskError":
        """This error as an instance of the cause's class too, so that `except` finds it.

        Where the class cannot be subclassed, the plain `RayTaskError`: its `cause` is there.
        """
        if isinstance(self, type(self.cause)):
            return self
        try:
            return self.make_dual_exception_instance()
        except Exception as error:
            logger.warning(
                "%r cannot be subclassed (%s). This exception is raised as RayTaskError only. You "
                "can use `ray_task_error.cause` to access the user exception.",
                type(self.cause),
                error,
            )
            return self

    def make_dual_exception_instance(self) -> "RayTaskError":
        """An error of a class that derives from both `RayTaskError` and the cause's class."""
        return _dual(self.cause, str(self))

    def __str__(self) -> str:
        where = f"pid={self.pid}, ip={self.ip}"
        if self.actor_repr:
            where += f", actor_id={self._actor_id}, repr={self.actor_repr}"
        lines = []
        for line in _without_own_frames(self.traceback_str).split("\n"):
            if line.startswith("Traceback (most recent call last)"):
                line = f"{self.proctitle}() ({where})"
            lines.append(line)
        return "\n".join(lines)


def _picklable(cause: BaseException, traceback_str: str) -> BaseException:
    """The cause, or where it cannot travel, an error that says what it was."""
    # It must load, too: a class whose __init__ wants other arguments than `args` pickles well.
    try:
        pickle.loads(pickle.dumps(cause))
        return cause
    except Exception as plain:
        try:
            import cloudpickle

            pickle.loads(cloudpickle.dumps(cause))
            return cause
        except Exception:
            kind = f"{type(cause).__module__}.{type(cause).__qualname__}"
            return RayError(
                f"Exception {kind} isn't serializable: {plain}.\n"
                f"Original exception details:\n{traceback_str}"
            )


def _dual(cause: BaseException, message: str) -> RayTaskError:
    cause_class = type(cause)
    group = sys.version_info >= (3, 11) and isinstance(
        cause,
        BaseExceptionGroup,  # noqa: F821
    )

    class Dual(RayTaskError, cause_class):  # type: ignore[misc, valid-type]
        if group:
            # A group checks its arguments in __new__.
            def __new__(cls, cause: BaseException) -> "Dual":
                return super().__new__(cls, cause.message, cause.exceptions)

        def __init__(self, cause: BaseException) -> None:
            # Neither base's __init__: what they would need is the cause's business.
            self.cause = cause
            self._dual_args = (cause,)
            _copy_slots(cause, self)

        # The user's class may have made `args` read-only or computed.
        @property
        def args(self) -> tuple:
            return self._dual_args

        @args.setter
        def args(self, value: tuple) -> None:
            self._dual_args = value

        def __reduce__(self) -> tuple:
            return _dual, (self.cause, message)

        def __getattr__(self, name: str) -> Any:
            if name == "cause":  # before __init__: no endless recursion
                raise AttributeError(name)
            return getattr(self.cause, name)

        def __str__(self) -> str:
            return message

    name = f"RayTaskError({cause_class.__name__})"
    Dual.__name__ = name
    Dual.__qualname__ = name
    return Dual(cause)


def _copy_slots(source: BaseException, target: BaseException) -> None:
    """Copies what is no plain attribute, such as `OSError.errno`: it would hide the cause's."""
    for cls in type(source).__mro__:
        if cls in (Exception, BaseException, object):
            continue
        for name, member in vars(cls).items():
            if isinstance(member, types.MemberDescriptorType) and not name.startswith("__"):
                try:
                    setattr(target, name, getattr(source, name))
                except (AttributeError, TypeError):
                    # Never set in the source, or read-only: then there is nothing to copy.
                    continue


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
    def from_task_error(task_error: RayTaskError) -> "ActorDiedError":
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


class RaySystemError(RayError):
    """The runtime itself failed."""

    def __init__(self, client_exc: Any, traceback_str: Optional[str] = None):
        self.client_exc = client_exc
        self.traceback_str = traceback_str

    def __str__(self) -> str:
        text = f"System error: {self.client_exc}"
        return f"{text}\ntraceback: {self.traceback_str}" if self.traceback_str else text


class AuthenticationError(RayError):
    """The network does not know this process's key or token."""

    def __init__(self, message: str = ""):
        super().__init__(message)
        self.message = message


class ObjectStoreFullError(RayError):
    """The object does not fit into the node's object store, not even after spilling."""

    def __str__(self) -> str:
        return (
            super().__str__() + "\nThe object store of the node is full of objects that are still "
            "referenced. Drop references, or start with a larger `object_store_memory`."
        )


class OutOfDiskError(RayError):
    """Neither the object store nor the disk below it has room for the object."""


class _MessageError(RayError):
    """An error that is its message."""

    def __init__(self, message: str = ""):
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class OutOfMemoryError(_MessageError):
    """The worker was ended because the machine ran out of memory."""


class NodeDiedError(_MessageError):
    """The node is dead or out of reach."""


class RpcError(_MessageError):
    """A call to the node's agent failed."""

    def __init__(self, message: str = "", rpc_code: Any = None):
        super().__init__(message)
        self.rpc_code = rpc_code


class ObjectLostError(RayError):
    """No reachable node has a copy of the object any more."""

    #: What the class says after the object's name.
    EXPLANATION = "All copies of the object have been lost: the nodes or processes are gone."

    def __init__(self, object_ref_hex: str, owner_address: Any = None, call_site: str = ""):
        self.object_ref_hex = object_ref_hex
        self.owner_address = owner_address
        self.call_site = call_site

    def _base_str(self) -> str:
        text = f"Failed to retrieve object {self.object_ref_hex}."
        return f"{text} The ObjectRef was created at: {self.call_site}" if self.call_site else text

    def __str__(self) -> str:
        return f"{self._base_str()} {self.EXPLANATION}"


class ObjectFetchTimedOutError(ObjectLostError):
    """The object has an owner, but no copy could be fetched in time."""

    EXPLANATION = "No location of the object answered in time."


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """The object was deleted although this reference to it existed."""

    EXPLANATION = (
        "It was deleted while this reference existed; the reference was probably kept outside "
        "the runtime's sight, for example in a file."
    )


class ObjectFreedError(ObjectLostError):
    """The program itself freed the object."""

    EXPLANATION = "The object was freed by a call of `free`."


class OwnerDiedError(ObjectLostError):
    """The process that made the object is gone; with it went the object's value."""

    EXPLANATION = (
        "The object's owner has exited: the process that first created the ObjectRef with "
        "`.remote()` or `put()`. Keep that process (driver, task or actor) alive while its "
        "objects are in use."
    )

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text} Owner: {self.owner_address}." if self.owner_address else text


class ObjectReconstructionFailedError(ObjectLostError):
    """The object was lost, and running its task again is impossible or failed."""

    def __init__(
        self,
        object_ref_hex: str,
        reason: Any = None,
        reason_message: Optional[str] = None,
        owner_address: Any = None,
        call_site: str = "",
    ):
        super().__init__(object_ref_hex, owner_address, call_site)
        self.reason = reason
        self.reason_message = reason_message or "The object cannot be reconstructed."

    def __str__(self) -> str:
        return f"{self._base_str()} {self.reason_message}"


class GetTimeoutError(RayError, TimeoutError):
    """`get()` did not have its value in time."""


class PlasmaObjectNotAvailable(RayError):
    """The object was not there in time."""


class AsyncioActorExit(RayError):
    """Raised inside an async actor by `exit_actor()`; do not catch it."""


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


class ActorPlacementGroupRemoved(RayError):
    """The actor's placement group was removed."""

    def __str__(self) -> str:
        return "The placement group corresponding to this Actor has been removed."


class PendingCallsLimitExceeded(RayError):
    """The actor's `max_pending_calls` calls are already waiting."""


class TaskUnschedulableError(RayError):
    """No node of the network can ever run the task; the message names the nearest miss."""

    def __init__(self, error_message: str):
        self.error_message = error_message

    def __str__(self) -> str:
        return f"The task is not schedulable: {self.error_message}"


class ActorUnschedulableError(RayError):
    """No node of the network can ever hold the actor; the message names the nearest miss."""

    def __init__(self, error_message: str):
        self.error_message = error_message

    def __str__(self) -> str:
        return f"The actor is not schedulable: {self.error_message}"


class ObjectRefStreamEndOfStreamError(RayError):
    """A streaming generator has no more objects."""


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A generator yielded another number of objects when it was run again."""


# Ray spells it so.
class OufOfBandObjectRefSerializationException(RayError):
    """An ObjectRef was pickled outside the runtime."""


class RayChannelError(RaySystemError):
    """A channel failed."""


class RayChannelTimeoutError(RayChannelError, TimeoutError):
    """A channel's operation did not end in time."""


class RayCgraphCapacityExceeded(RaySystemError):
    """A compiled graph has too many unread results."""


class RayDirectTransportError(RaySystemError):
    """A direct transfer of tensors failed."""


class UnserializableException(RayError):
    """An error came over that cannot be unpickled here; its text is kept."""

    def __init__(self, original_stack_trace: str):
        self._original_stack_trace = original_stack_trace

    def __str__(self) -> str:
        return f"Failed to deserialize exception. Original exception:\n{self._original_stack_trace}"


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


RAY_EXCEPTION_TYPES = [
    PlasmaObjectNotAvailable,
    RayError,
    RayTaskError,
    WorkerCrashedError,
    RayActorError,
    ObjectStoreFullError,
    ObjectLostError,
    ObjectFetchTimedOutError,
    ReferenceCountingAssertionError,
    ObjectReconstructionFailedError,
    OwnerDiedError,
    GetTimeoutError,
    AsyncioActorExit,
    RuntimeEnvSetupError,
    TaskPlacementGroupRemoved,
    ActorPlacementGroupRemoved,
    PendingCallsLimitExceeded,
    LocalRayletDiedError,
    TaskUnschedulableError,
    ActorDiedError,
    ActorUnschedulableError,
    ActorUnavailableError,
    RayChannelError,
    RayChannelTimeoutError,
    OufOfBandObjectRefSerializationException,
    RayCgraphCapacityExceeded,
    UnserializableException,
    ActorAlreadyExistsError,
    ActorHandleNotFoundError,
    AuthenticationError,
]
