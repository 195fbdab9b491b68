"""The options of `@remote` and `.options()`: what they mean to the scheduler."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple

from iorun._core.option_checks import (
    ACTOR_OPTIONS,
    METHOD_OPTIONS,
    TASK_OPTIONS,
    check,
    check_returns,
)

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker


_NODE_ID_LABEL = "ray.io/node-id"


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
    return _with_accelerator(amounts, options)


def concurrency_groups(given: Any) -> "Dict[str, int]":
    """Names and limits of `concurrency_groups`, which may be a list of dicts."""
    if isinstance(given, list):
        given = {group["name"]: group.get("max_concurrency", 1) for group in given}
    for name, limit in (given or {}).items():
        if not isinstance(name, str) or isinstance(limit, bool) or not isinstance(limit, int):
            raise TypeError(f"concurrency_groups are names and counts, not {name!r}: {limit!r}.")
        if limit < 1:
            raise ValueError(f"The group {name!r}: max_concurrency must be greater than 0.")
    return dict(given or {})


def _with_accelerator(amounts: Dict[str, float], options: Dict[str, Any]) -> Dict[str, float]:
    if options.get("accelerator_type"):
        amounts[f"accelerator_type:{options['accelerator_type']}"] = 0.001
    return {name: amount for name, amount in amounts.items() if amount}


def request_of(
    core: "CoreWorker",
    options: Dict[str, Any],
    resources: Dict[str, float],
    placement: Optional[Dict[str, float]] = None,
) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """(what the scheduler is asked for, what the executing side is told).

    `placement` is what must be there to be placed, where that is more than `resources`.
    """
    request: Dict[str, Any] = {"resources": resources, "strategy": "DEFAULT"}
    spec: Dict[str, Any] = {"resources": resources}
    strategy = options.get("scheduling_strategy")
    group, index, capture = _group_of(core, options, strategy, placement or resources)
    if group is not None:
        request["bundle"] = {"group": group, "index": index}
        spec["placement_group"] = group
        spec["capture"] = bool(capture)
    elif isinstance(strategy, str):
        request["strategy"] = strategy
    elif strategy is not None and hasattr(strategy, "node_id"):
        request["strategy"] = {"node": strategy.node_id, "soft": bool(strategy.soft)}
        if getattr(strategy, "_fail_on_unavailable", False):
            request["strategy"]["failsWhenBusy"] = True
        elif strategy.soft and getattr(strategy, "_spill_on_unavailable", False):
            # The node while it has room; else any that has, and not only where it never can.
            request["strategy"] = "DEFAULT"
            request["labels"] = {_NODE_ID_LABEL: strategy.node_id}
            request["fallback"] = [{}]
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
    if core.default_lifetime == "detached":
        # Of the whole job: also of what its tasks and actors make.
        spec["default_lifetime"] = core.default_lifetime
    return request, spec


def _group_of(
    core: "CoreWorker", options: Dict[str, Any], strategy: Any, needed: Dict[str, float]
) -> Tuple[Optional[str], int, bool]:
    group = options.get("placement_group")
    index = options.get("placement_group_bundle_index")
    capture = options.get("placement_group_capture_child_tasks")
    if strategy is not None and group not in (None, "default"):
        raise ValueError(
            "Placement groups should be specified via the scheduling_strategy option. The "
            "placement_group option is deprecated, and cannot be given together with it."
        )
    if strategy is not None and hasattr(strategy, "placement_group"):
        group = strategy.placement_group
        index = strategy.placement_group_bundle_index
        capture = strategy.placement_group_capture_child_tasks
    elif "placement_group" in options and group is None:
        # Said outright: not even the group that the task itself runs in.
        return None, -1, False
    index = -1 if index is None else int(index)
    if group is None or group == "default":
        if index != -1:
            raise ValueError("If placement group is not set, the value of bundle index must be -1.")
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
    bundles = group.bundle_specs if index < 0 else [group.bundle_specs[index]]
    if not any(_fits(needed, bundle) for bundle in bundles):
        raise ValueError(
            f"Cannot schedule with the placement group because the resource request {needed} cannot "
            f"fit into any bundles for the placement group, {bundles}."
        )
    return group.id.hex(), index, bool(capture)


def _fits(needed: Dict[str, float], bundle: Dict[str, float]) -> bool:
    return all(
        amount <= bundle.get(name, 0)
        for name, amount in needed.items()
        # What nobody reserves in bundles is the node's.
        if amount and name not in ("memory", "object_store_memory")
    )


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


def is_untold(options: Dict[str, Any], method: Dict[str, Any], actor: Dict[str, Any]) -> bool:
    """Whether `enable_task_events` says that nobody is to hear of a method's calls: the call's own
    option first, then the method's, then the actor's."""
    told = options.get("enable_task_events")
    if told is None:
        told = method.get("told")
    return bool(actor.get("untold")) if told is None else not told


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


__all__ = [
    "ACTOR_OPTIONS",
    "METHOD_OPTIONS",
    "TASK_OPTIONS",
    "check",
    "check_returns",
    "concurrency_groups",
    "is_untold",
    "queue_key",
    "request_of",
    "resources_of",
    "retry_spec",
]
