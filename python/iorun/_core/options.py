"""The options of `@remote` and `.options()`: what is allowed, and what it means to the scheduler."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

_COMMON = {
    "_labels",
    "_metadata",
    "accelerator_type",
    "enable_task_events",
    "fallback_strategy",
    "label_selector",
    "memory",
    "name",
    "num_cpus",
    "num_gpus",
    "object_store_memory",
    "placement_group",
    "placement_group_bundle_index",
    "placement_group_capture_child_tasks",
    "resources",
    "runtime_env",
    "scheduling_strategy",
}
TASK_OPTIONS = _COMMON | {
    "_generator_backpressure_num_objects",
    "max_calls",
    "max_retries",
    "num_returns",
    "retry_exceptions",
}
ACTOR_OPTIONS = _COMMON | {
    "allow_out_of_order_execution",
    "concurrency_groups",
    "enable_tensor_transport",
    "get_if_exists",
    "lifetime",
    "max_concurrency",
    "max_pending_calls",
    "max_restarts",
    "max_task_retries",
    "namespace",
}
METHOD_OPTIONS = {
    "_generator_backpressure_num_objects",
    "concurrency_group",
    "enable_task_events",
    "max_task_retries",
    "name",
    "num_returns",
    "retry_exceptions",
    "tensor_transport",
}


def check(options: Dict[str, Any], allowed: "set[str]", kind: str) -> None:
    """Raises ValueError or TypeError for options that do not exist or have no meaning."""
    for name, value in options.items():
        if name not in allowed:
            raise ValueError(
                f"Invalid option keyword {name} for {kind}. Valid ones are {sorted(allowed)}."
            )
        if value is None:
            continue
        if name in ("num_cpus", "num_gpus", "memory", "object_store_memory"):
            _check_amount(name, value)
        elif name == "resources":
            _check_resources(value)
        elif name == "num_returns":
            if value not in ("dynamic", "streaming") and not _is_int(value, 0):
                raise ValueError(
                    "The keyword 'num_returns' only accepts None, a non-negative integer, "
                    f"'dynamic' (for generators), or 'streaming' (for generators): got {value!r}"
                )
        elif name in ("max_retries", "max_restarts", "max_task_retries"):
            if not _is_int(value, -1):
                raise ValueError(
                    f"The keyword '{name}' only accepts None, 0, -1 or a positive integer, where "
                    f"-1 means infinitely often: got {value!r}"
                )
        elif name == "max_calls":
            if not _is_int(value, 0):
                raise ValueError(
                    f"The keyword 'max_calls' only accepts 0 (no limit) or more: got {value!r}"
                )
        elif name == "max_concurrency":
            if not _is_int(value, 1):
                raise ValueError(
                    "The keyword 'max_concurrency' only accepts None or a positive int."
                )
        elif name in ("name", "namespace") and kind == "actors":
            if not isinstance(value, str):
                raise TypeError(f"{name} must be None or a string, got: '{type(value)}'.")
            if value == "":
                raise ValueError(f"Actor {name} cannot be an empty string.")
        elif name == "lifetime" and value not in ("detached", "non_detached"):
            raise ValueError(
                "actor `lifetime` argument must be one of 'detached', 'non_detached' and None: "
                f"got {value!r}"
            )
        elif name == "retry_exceptions":
            _check_retry(value)
        elif name == "scheduling_strategy" and isinstance(value, str):
            if value not in ("DEFAULT", "SPREAD"):
                raise ValueError(f"Invalid scheduling strategy {value!r}: 'DEFAULT' or 'SPREAD'.")
        elif name == "runtime_env" and not hasattr(value, "keys"):
            raise TypeError(
                f"runtime_env must be a dict or RuntimeEnv, not {type(value).__name__}."
            )
        elif name == "concurrency_groups" and not isinstance(value, dict):
            raise TypeError("concurrency_groups must be a dict of names and counts.")
        elif name == "_generator_backpressure_num_objects":
            if value != -1 and not _is_int(value, 1):
                raise ValueError(
                    f"_generator_backpressure_num_objects must be -1 or positive: got {value!r}"
                )
    if options.get("get_if_exists") and not options.get("name"):
        raise ValueError("The actor name must be specified to use `get_if_exists`.")
    if options.get("max_task_retries") and not options.get("max_restarts") and kind == "actors":
        if options["max_task_retries"] > 0 and options.get("max_restarts") == 0:
            raise ValueError("'max_task_retries' cannot be set if 'max_restarts' is 0.")


def _is_int(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _check_amount(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"The type of keyword '{name}' must be a number, got {type(value).__name__}."
        )
    if value < 0:
        raise ValueError(
            f"The keyword '{name}' only accepts None, 0 or a positive number: got {value}"
        )
    if name == "num_gpus" and value > 1 and value != int(value):
        raise ValueError("The resource quantity of num_gpus must be whole where it is above 1.")


def _check_resources(value: Any) -> None:
    if not isinstance(value, dict):
        raise TypeError(
            f"The type of keyword 'resources' must be dict, got {type(value).__name__}."
        )
    for name, amount in value.items():
        if name in ("CPU", "GPU"):
            raise ValueError(
                "Use the 'num_cpus' and 'num_gpus' keywords instead of 'CPU' and 'GPU' "
                "in the 'resources' keyword"
            )
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount < 0:
            raise ValueError(f"The amount of resource {name!r} must be 0 or a positive number.")


def _check_retry(value: Any) -> None:
    if isinstance(value, bool):
        return
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(kind, type) and issubclass(kind, BaseException) for kind in value
    ):
        raise TypeError("retry_exceptions must be a bool or a list of exception classes.")


def resources_of(options: Dict[str, Any], default_cpus: float) -> Dict[str, float]:
    """The resources that a task or actor holds."""
    amounts: Dict[str, float] = {}
    cpus = options.get("num_cpus")
    amounts["CPU"] = default_cpus if cpus is None else cpus
    for option, name in (
        ("num_gpus", "GPU"),
        ("memory", "memory"),
        ("object_store_memory", "object_store_memory"),
    ):
        if options.get(option):
            amounts[name] = options[option]
    for name, amount in (options.get("resources") or {}).items():
        amounts[name] = amount
    if options.get("accelerator_type"):
        amounts[f"accelerator_type:{options['accelerator_type']}"] = 0.001
    return {name: amount for name, amount in amounts.items() if amount}


def request_of(
    core: "CoreWorker", options: Dict[str, Any], resources: Dict[str, float]
) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """(what the scheduler is asked for, what the executing side is told)."""
    request: Dict[str, Any] = {"resources": resources, "strategy": "DEFAULT"}
    spec: Dict[str, Any] = {"resources": resources}
    strategy = options.get("scheduling_strategy")
    group, index, capture = _group_of(core, options, strategy)
    if group is not None:
        request["bundle"] = {"group": group, "index": index}
        spec["placement_group"] = group
        spec["capture"] = bool(capture)
    elif isinstance(strategy, str):
        request["strategy"] = strategy
    elif strategy is not None and hasattr(strategy, "node_id"):
        request["strategy"] = {"node": strategy.node_id, "soft": bool(strategy.soft)}
    elif strategy is not None and hasattr(strategy, "selectors"):
        labels, fallback = strategy.selectors()
        request["labels"] = labels
        request["fallback"] = [entry["label_selector"] for entry in fallback]
    if options.get("label_selector"):
        request["labels"] = dict(options["label_selector"])
    if options.get("fallback_strategy"):
        request["fallback"] = [
            dict(entry.get("label_selector") or {}) for entry in options["fallback_strategy"]
        ]
    environment, text, described = _environment_of(core, options.get("runtime_env"))
    request["environment"] = environment
    request["runtimeEnv"] = text
    if described:
        spec["runtime_env"] = described
    return request, spec


def _group_of(
    core: "CoreWorker", options: Dict[str, Any], strategy: Any
) -> Tuple[Optional[str], int, bool]:
    group = options.get("placement_group")
    index = options.get("placement_group_bundle_index")
    capture = options.get("placement_group_capture_child_tasks")
    if strategy is not None and hasattr(strategy, "placement_group"):
        group = strategy.placement_group
        index = strategy.placement_group_bundle_index
        capture = strategy.placement_group_capture_child_tasks
    index = -1 if index is None else int(index)
    if group is None or group == "default":
        if strategy is not None:
            return None, -1, False
        context = core.context()
        if context is not None and context.capture_child_tasks and context.group is not None:
            return context.group.hex(), -1, True
        return None, -1, False
    if group.id.is_nil():
        return None, -1, False
    count = group.bundle_count
    if index >= count or index < -1:
        raise ValueError(
            f"placement group bundle index {index} is invalid. Valid placement group indexes: "
            f"0-{count - 1}"
        )
    return group.id.hex(), index, bool(capture)


def _environment_of(core: "CoreWorker", runtime_env: Any) -> Tuple[str, str, Dict[str, Any]]:
    from iorun import _environment
    from iorun._environment import sharing

    if not runtime_env:
        environment, text = core.environment
        return environment, text, core.runtime_env
    parent = _environment.decode(core.environment[1]) if core.environment[1] else None
    document = _environment.merge(parent, _environment.resolve(dict(runtime_env)))
    environment, text = _environment.encode(sharing.share(document, core))
    return environment, text, _environment.describe(_environment.decode(text))


def queue_key(request: Dict[str, Any]) -> str:
    """Equal for tasks that can share leases."""
    return json.dumps(request, sort_keys=True)


def retry_spec(value: Any) -> Any:
    """`retry_exceptions` as it travels."""
    if not value:
        return None
    if value is True:
        return True
    from iorun._core import serialization

    return serialization.dump_function(tuple(value))
