"""The functions of the package's top level: they check arguments and hand on to the core."""

from __future__ import annotations

import functools
import inspect
from operator import attrgetter
from typing import Any, Dict, List, Optional, Tuple

from iorun import _init
from iorun._core import global_state
from iorun._core import options as option_rules
from iorun._core.options import METHOD_OPTIONS
from iorun._errors.system import NetworkNotStartedError
from iorun.actor import ActorHandle, make_actor_class
from iorun.object_ref import ObjectRef, ObjectRefGenerator
from iorun.remote_function import RemoteFunction

__all__ = [
    "available_resources",
    "cancel",
    "cluster_resources",
    "get",
    "get_actor",
    "get_gpu_ids",
    "kill",
    "nodes",
    "put",
    "remote",
    "timeline",
    "wait",
]

_WAITABLE = {ObjectRef, ObjectRefGenerator}
_id_of = attrgetter("_id")


def remote(*args: Any, **options: Any) -> Any:
    """Makes a function a task and a class an actor: `@remote`, `@remote(num_cpus=2)`, `remote(f)`."""
    if len(args) == 1 and not options and callable(args[0]):
        return _make_remote(args[0], {})
    if args or not options:
        # Ray's type for it, so that what a program catches is the same.
        raise AssertionError(
            "The @remote decorator must be applied either with no arguments and no parentheses, "
            "for example '@remote', or it must be applied using some of the keyword arguments, for "
            "example '@remote(num_returns=2, resources={\"CustomResource\": 1})'."
        )
    return functools.partial(_make_remote, options=options)


def _make_remote(target: Any, options: Dict[str, Any]) -> Any:
    if inspect.isclass(target):
        return make_actor_class(target, options)
    if inspect.isfunction(target) or inspect.isbuiltin(target):
        return RemoteFunction(target, options)
    raise TypeError("The @remote decorator must be applied to either a function or a class.")


def get(
    object_refs: Any, *, timeout: Optional[float] = None, _use_object_store: bool = False
) -> Any:
    """The value of a ref, or the values of a list of refs; waits until they are there.

    Raises the error of the task that made the value, or `GetTimeoutError` after `timeout`
    seconds.
    """
    worker = global_state.worker() or _init.connected_worker()
    if timeout == -1:
        # Ray's older way to say it.
        timeout = None
    if isinstance(object_refs, ObjectRef):
        return worker.get((object_refs,), timeout)[0]
    if isinstance(object_refs, list):
        for ref in object_refs:
            if not isinstance(ref, ObjectRef):
                raise TypeError(
                    f"Attempting to call `get` on the value {ref!r}, which is not an ObjectRef."
                )
        return worker.get(object_refs, timeout)
    if isinstance(object_refs, ObjectRefGenerator):
        return object_refs
    raise ValueError(
        f"Invalid type of object refs, {type(object_refs)}, is given. 'object_refs' must either be "
        "an ObjectRef or a list of ObjectRefs."
    )


def put(value: Any, *, _owner: Any = None, _tensor_transport: Any = None) -> ObjectRef:
    """Stores a value and returns its ref.

    With the handle of an actor as `_owner` that actor owns the object: it lives while the actor's
    process does, whoever has put it.
    """
    if isinstance(value, ObjectRef):
        raise TypeError(
            "Calling 'put' on an ObjectRef is not allowed. If you really want to do this, you can "
            "wrap the ObjectRef in a list and call 'put' on it."
        )
    if _tensor_transport is not None:
        option_rules.check({"tensor_transport": _tensor_transport}, METHOD_OPTIONS, "put")
    worker = global_state.worker() or _init.connected_worker()
    if _owner is not None:
        if not isinstance(_owner, ActorHandle):
            raise TypeError(f"The parameter _owner must be an actor handle, not {type(_owner)}.")
        return worker.put_for(value, _owner)
    return worker.put(value)


def wait(
    ray_waitables: List[Any],
    *,
    num_returns: int = 1,
    timeout: Optional[float] = None,
    fetch_local: bool = True,
) -> Tuple[List[Any], List[Any]]:
    """Waits until `num_returns` of the refs are ready, at most `timeout` seconds.

    Returns the ready ones (at most `num_returns`) and the others, both in the given order. A
    generator is ready when its next item is.
    """
    worker = global_state.worker() or _init.connected_worker()
    if isinstance(ray_waitables, (ObjectRef, ObjectRefGenerator)):
        raise TypeError(
            "wait() expected a list of ObjectRef or ObjectRefGenerator, got a single "
            f"{type(ray_waitables).__name__}."
        )
    if not isinstance(ray_waitables, list):
        raise TypeError(
            f"wait() expected a list of ObjectRef or ObjectRefGenerator, got {type(ray_waitables)}."
        )
    if timeout is not None and timeout < 0:
        raise ValueError(f"The 'timeout' argument must be nonnegative. Received {timeout}")
    if num_returns == 1 and ray_waitables and worker.is_left_over(ray_waitables):
        return worker.wait(ray_waitables, 1, timeout, fetch_local)
    unknown = set(map(type, ray_waitables)) - _WAITABLE
    if unknown:
        raise TypeError(
            "wait() expected a list of ObjectRef or ObjectRefGenerator, got list containing "
            f"{unknown.pop()}."
        )
    if not ray_waitables:
        return [], []
    try:
        distinct = len(set(map(_id_of, ray_waitables)))
    except AttributeError:
        distinct = len(set(ray_waitables))
    if len(ray_waitables) != distinct:
        raise ValueError("Wait requires a list of unique ray_waitables.")
    if num_returns <= 0:
        raise ValueError(f"Invalid number of objects to return {num_returns}.")
    if num_returns > len(ray_waitables):
        raise ValueError(
            "num_returns cannot be greater than the number of ray_waitables provided to wait."
        )
    return worker.wait(ray_waitables, num_returns, timeout, fetch_local)


def kill(actor: Any, *, no_restart: bool = True) -> None:
    """Ends an actor's process at once; what it was doing fails."""
    worker = _init.connected_worker()
    if not isinstance(actor, ActorHandle):
        raise ValueError(
            f"kill() only supported for actors. For tasks, try cancel(). Got: {type(actor)}."
        )
    worker.kill(actor._actor_id_bytes, no_restart)


def cancel(ray_waitable: Any, *, force: bool = False, recursive: bool = True) -> None:
    """Cancels the task that makes this object.

    A task that has not started never will. One that runs gets a `KeyboardInterrupt` in its main
    thread (`force`: its process is killed); an async actor's method is cancelled as asyncio does;
    methods of other actors can look at `get_runtime_context().is_canceled()`. With `recursive`
    also what the task itself has started.
    """
    worker = _init.connected_worker()
    if isinstance(ray_waitable, ObjectRefGenerator):
        ray_waitable = ray_waitable._generator_ref
    if not isinstance(ray_waitable, ObjectRef):
        raise TypeError(
            "cancel() only supported for object refs. For actors, try kill(). Got: "
            f"{type(ray_waitable)}."
        )
    worker.cancel(ray_waitable, force, recursive)


def get_actor(name: str, namespace: Optional[str] = None) -> Any:
    """The handle of a named actor; `ValueError` where there is none."""
    if not name:
        raise ValueError("Please supply a non-empty value to get_actor")
    if namespace is not None and not isinstance(namespace, str):
        raise TypeError(f'"namespace" must be a text, not {type(namespace).__name__}.')
    if namespace == "":
        raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')
    return _init.connected_worker().get_actor(name, namespace)


def get_gpu_ids() -> List[Any]:
    """The GPUs that this task or actor may use."""
    context = _init.connected_worker().context()
    return list(getattr(context, "gpus", None) or [])


def _require_worker(what: str) -> Any:
    worker = global_state.worker()
    if worker is None:
        raise NetworkNotStartedError(f"{what} needs a network: call init() first.")
    return worker


def nodes() -> List[Dict[str, Any]]:
    """All nodes of the network, those that are lost included."""
    worker = _require_worker("nodes()")
    answer, _ = worker.request(50, {})
    own = worker.hello.get("node")
    found = []
    for node in answer.get("nodes", []):
        found.append(
            {
                "NodeID": node.get("node", ""),
                "Alive": bool(node.get("alive")),
                "NodeManagerAddress": node.get("address", ""),
                "NodeManagerHostname": node.get("hostname", ""),
                "NodeName": node.get("name", ""),
                # One agent is all of it, and listens on no port of its own.
                "NodeManagerPort": 0,
                "ObjectManagerPort": 0,
                "MetricsExportPort": 0,
                "RayletSocketName": worker.hub.path if node.get("node") == own else "",
                "ObjectStoreSocketName": worker.hub.path if node.get("node") == own else "",
                "Resources": dict(node.get("resources") or {}) if node.get("alive") else {},
                "Available": dict(node.get("available") or {}),
                "Labels": dict(node.get("labels") or {}),
                "State": node.get("state", ""),
                # Ray's numbers: 0 for none, 2 for an end that nobody ordered.
                "DeathReason": 0 if node.get("alive") else 2,
                "DeathReasonMessage": node.get("reason") or "",
                "alive": bool(node.get("alive")),
            }
        )
    return found


def _resources(which: str) -> Dict[str, float]:
    answer, _ = _require_worker(f"{which} resources").request(51, {})
    return {name: float(amount) for name, amount in (answer.get(which) or {}).items()}


def cluster_resources() -> Dict[str, float]:
    """What all living nodes have together."""
    return _resources("total")


def available_resources() -> Dict[str, float]:
    """What of `cluster_resources()` is free now; what is used up is left out."""
    _require_worker("available_resources()").tasks.give_back_idle()
    return {name: amount for name, amount in _resources("available").items() if amount > 0}


def timeline(filename: Optional[str] = None) -> Optional[List[Dict[str, Any]]]:
    """What ran when, as events of Chrome's trace format; written to the file if one is named."""
    from iorun.util.state.timeline import chrome_trace

    worker = _require_worker("timeline()")
    events = chrome_trace(worker)
    if filename is None:
        return events
    import json

    with open(filename, "w") as file:
        json.dump(events, file)
    return None
