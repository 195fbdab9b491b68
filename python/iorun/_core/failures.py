"""From causes that the agent reports to the errors that programs know."""

from __future__ import annotations

from typing import Any, Dict, Optional

from iorun import exceptions
from iorun._core import ops
from iorun._core.hub import HubError
from iorun._errors.tasks import TaskEndedByForce, TaskEndedWithPlacementGroup


def of_unknown(id: bytes, what: str = "a Ray object") -> ValueError:
    """The error of whoever uses a reference that this session has not given out."""
    return ValueError(
        f"A program uses {what} whose owner is unknown: ObjectRef({id.hex()}) is nil, or was made "
        "before the last `init()`."
    )


#: What the head says of an actor that `kill` has ended.
_KILLED = ("it was killed", "it was killed before it was placed")


def describe(cause: Optional[Dict[str, Any]]) -> str:
    """What is known of a lost process, in a sentence or two and its last lines."""
    cause = cause or {}
    detail = cause.get("detail") or {}
    text = str(cause.get("message") or "")
    if text in _KILLED and detail.get("intended"):
        text = "The actor is dead because it was killed by `ray.kill`."
    facts = []
    if detail.get("pid"):
        facts.append(f"pid {detail['pid']}")
    if detail.get("signal"):
        facts.append(f"ended by signal {detail['signal']} ({detail.get('signalName', '?')})")
    elif detail.get("exitStatus") is not None:
        facts.append(f"exit status {detail['exitStatus']}")
    if detail.get("outOfMemory"):
        facts.append("out of memory")
    if detail.get("maxResidentBytes"):
        facts.append(f"at most {detail['maxResidentBytes'] / 2**20:.0f} MiB resident")
    if facts:
        text = f"{text} ({', '.join(facts)})".strip()
    lines = detail.get("lastLines") or []
    if lines:
        text += "\nIts last lines:\n" + "\n".join(f"  {line}" for line in lines)
    if cause.get("remedy"):
        text += f"\n{cause['remedy']}"
    return text


#: What the agent says of a worker that ended with its placement group.
GROUP_REMOVED = "its placement group was removed"


def of_worker(task: Any, cause: Dict[str, Any]) -> Exception:
    """The error of a task whose worker is gone."""
    detail = cause.get("detail") or {}
    if task.cancelled:
        return TaskEndedByForce(
            error_message="The task was cancelled with force=True, and its worker was ended."
        )
    name = task.template.name
    if cause.get("message") == GROUP_REMOVED:
        return TaskEndedWithPlacementGroup(GROUP_REMOVED)
    if detail.get("outOfMemory"):
        return exceptions.OutOfMemoryError(_out_of_memory(f"Task {name}", cause))
    if cause.get("code") == "IOR-NODE":
        return exceptions.NodeDiedError(f"Task {name} was lost with its node: {describe(cause)}")
    return exceptions.WorkerCrashedError(f"Task {name}: {describe(cause)}")


#: In the agent's account of workers that it ended because the node had no memory left.
_LOW_ON_MEMORY = "killed due to the node running low on memory"


def is_low_on_memory(cause: Dict[str, Any]) -> bool:
    """Whether the agent ended the process because its node had hardly any memory left."""
    return _LOW_ON_MEMORY in str(cause.get("message") or "")


def _out_of_memory(who: str, cause: Dict[str, Any]) -> str:
    if not is_low_on_memory(cause):
        return f"{who} was ended because memory ran out: {describe(cause)}"
    return (
        f"{describe(cause)}\n{who} was one of them. To adjust the threshold, set the environment "
        "variable `RAY_memory_usage_threshold` when the network is started; with "
        "`RAY_memory_monitor_refresh_ms` as 0 no worker is ended so."
    )


def of_lease(error: HubError, request: Dict[str, Any]) -> Exception:
    """The error of tasks for which there is no worker."""
    if error.code == ops.NO_PLACEMENT:
        return exceptions.TaskUnschedulableError(str(error))
    if error.code == ops.ENVIRONMENT_FAILED:
        return exceptions.RuntimeEnvSetupError(str(error))
    if request.get("bundle") and error.code in (ops.NOT_FOUND, ops.WRONG_STATE):
        return exceptions.TaskPlacementGroupRemoved(str(error))
    if error.code == ops.PROCESS_LOST and error.detail.get("pid"):
        cause = {"message": error.message, "detail": error.detail}
        return exceptions.WorkerCrashedError(
            f"A worker ended before its first task: {describe(cause)}"
        )
    if error.code == ops.PROCESS_LOST:
        return exceptions.LocalRayletDiedError(str(error))
    return exceptions.RaySystemError(str(error))


def is_lost(error: Optional[HubError]) -> bool:
    """Whether an object that did not come here is nowhere; else it may come later."""
    return error is None or error.code == ops.OBJECT_LOST


def of_transfer(error: HubError) -> Exception:
    """The error of whoever wants an object that is somewhere and cannot be brought to this node."""
    if error.code in (ops.STORE_FULL, ops.TOO_LARGE):
        return exceptions.ObjectStoreFullError(
            f"An object cannot be brought to this node: {error}"
        )
    if error.code == ops.PROCESS_LOST:
        return exceptions.LocalRayletDiedError(str(error))
    return exceptions.RaySystemError(f"An object cannot be brought to this node: {error}")


def of_actor(client: Any, cause: Optional[Dict[str, Any]]) -> Exception:
    """The error of calls to an actor that is dead for good."""
    cause = cause or {}
    code = cause.get("code")
    if client.creation_error is not None:
        return client.creation_error
    if code == ops.NO_PLACEMENT:
        return exceptions.ActorUnschedulableError(describe(cause))
    if code == ops.ENVIRONMENT_FAILED:
        return exceptions.RuntimeEnvSetupError(describe(cause))
    detail = cause.get("detail") or {}
    message = str(cause.get("message") or "")
    if message.startswith(exceptions.CREATION_FAILED):
        error = exceptions.ActorDiedError()
        error.actor_id = client.id.hex()
        error.error_msg = message
        error._actor_init_failed = True
        return error
    if detail.get("outOfMemory"):
        return exceptions.OutOfMemoryError(_out_of_memory(f"Actor {client.class_name}", cause))
    return exceptions.ActorDiedError(
        exceptions.ActorDeathCause(
            actor_id=client.id.hex(),
            class_name=client.class_name,
            name=client.name or "",
            namespace=client.namespace or "",
            pid=detail.get("pid") or 0,
            node=detail.get("node") or "",
            message=_in_rays_words(cause, describe(cause)),
            never_started=client.incarnation < 0,
        )
    )


def _in_rays_words(cause: Dict[str, Any], text: str) -> str:
    """Programs look for the kind of an actor's end at the beginning of the text."""
    message = str(cause.get("message") or "")
    detail = cause.get("detail") or {}
    for beginning, words in _ENDS.items():
        if message.startswith(beginning):
            return f"{words} {text}"
    if detail.get("pid") and not detail.get("intended"):
        return f"The actor is dead because its worker process has died. {text}"
    return text


#: How the head's words of an end begin -> Ray's.
_ENDS = {
    "its node ": "The actor died because its node has died.",
    "nobody had a handle": "The actor is dead because all references to the actor were removed.",
    "the actor that made it": "The actor is dead because its owner has died.",
    "the node of its maker": "The actor is dead because its owner has died.",
    "the process that made it": "The actor is dead because its owner has died.",
}
