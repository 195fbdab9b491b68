"""Which options there are, and which values they take; complaints are in Ray's words."""

from __future__ import annotations

import functools
import logging
import warnings
from typing import Any, Callable, Dict, Optional, Tuple, Union

from iorun._core import devices
from iorun.runtime_env import RuntimeEnv

__all__ = ["ACTOR_OPTIONS", "METHOD_OPTIONS", "TASK_OPTIONS", "Option", "check", "check_returns"]

logger = logging.getLogger("iorun")

_NONE = type(None)
#: The least amount of a resource.
_PRECISION = 0.0001


class Option:
    """The types of an option's value, and what else must hold of it."""

    def __init__(
        self,
        types: Union[None, type, Tuple[type, ...]] = None,
        wrong: Optional[Callable[[Any], Optional[str]]] = None,
        default: Any = None,
    ):
        self.type_constraint = types
        self.value_constraint = wrong
        self.default_value = default

    def validate(self, keyword: str, value: Any) -> None:
        """Raises TypeError or ValueError where the value has no meaning."""
        if self.type_constraint is not None and not isinstance(value, self.type_constraint):
            raise TypeError(
                f"The type of keyword '{keyword}' must be {self.type_constraint}, but received "
                f"type {type(value)}"
            )
        if self.value_constraint is not None:
            complaint = self.value_constraint(value)
            if complaint:
                raise ValueError(complaint)


def _count(name: str, least: int = 0, default: Any = None) -> Option:
    words = (
        "0, -1 or a positive integer, where -1 represents infinity."
        if least < 0
        else "0 or a positive integer."
    )

    def wrong(value: Any) -> Optional[str]:
        if value is None or value >= least:
            return None
        return f"The keyword '{name}' only accepts None, {words}"

    return Option((int, _NONE), wrong, default)


def _wrong_amount(name: str, amount: Any) -> Optional[str]:
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        return f"The quantity of resource {name} must be a number, not {type(amount).__name__}."
    if amount < 0:
        return f"The quantity of resource {name} cannot be negative"
    if 0 < amount < _PRECISION:
        return (
            f"The precision of the fractional quantity of resource {name} cannot go beyond 0.0001"
        )
    if name == "num_gpus" and amount > 1 and amount != int(amount):
        return f"The resource quantity of {name} must be whole where it is above 1: got {amount}"
    return None


def _amount(name: str, default: Any = None) -> Option:
    def wrong(value: Any) -> Optional[str]:
        return None if value is None else _wrong_amount(name, value)

    return Option((float, int, _NONE), wrong, default)


def _wrong_resources(value: Any) -> Optional[str]:
    for name, amount in (value or {}).items():
        if name in ("CPU", "GPU"):
            return (
                "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in "
                "'resources' keyword"
            )
        complaint = _wrong_amount(name, amount) or devices.wrong_amount(name, amount)
        if complaint:
            return complaint
    return None


def _wrong_returns(value: Any) -> Optional[str]:
    if value in (None, "dynamic", "streaming"):
        return None
    if not isinstance(value, str) and value >= 0:
        return None
    return (
        "Default None. When None is passed, the default value is 1 for a task and actor task, and "
        "'streaming' for generator tasks and generator actor tasks. The keyword 'num_returns' only "
        "accepts None, a non-negative integer, 'streaming' (for generators), or 'dynamic'."
    )


def _wrong_retry(value: Any) -> Optional[str]:
    if isinstance(value, bool):
        return None
    if all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in value):
        return None
    return "retry_exceptions must be either a boolean or a list of exceptions"


def _wrong_backpressure(value: Any) -> Optional[str]:
    if value is None or value == -1 or value > 0:
        return None
    return (
        "_generator_backpressure_num_objects=0 is not allowed. Use a value > 0: with 1 the task "
        "goes on when the value before was taken. Use -1 for no bound."
    )


def _wrong_strategy(value: Any) -> Optional[str]:
    if isinstance(value, str) and value not in ("DEFAULT", "SPREAD"):
        return f"Invalid scheduling strategy {value!r}: 'DEFAULT' or 'SPREAD'."
    return None


def _wrong_lifetime(value: Any) -> Optional[str]:
    if value in (None, "detached", "non_detached"):
        return None
    return "actor `lifetime` argument must be one of 'detached', 'non_detached' and 'None'."


_COMMON: Dict[str, Option] = {
    "_labels": Option((dict, _NONE)),
    "_metadata": Option((dict, _NONE)),
    "accelerator_type": Option((str, _NONE)),
    "enable_task_events": Option((bool, _NONE), default=True),
    "fallback_strategy": Option((list, _NONE)),
    "label_selector": Option((dict, _NONE)),
    "memory": _amount("memory"),
    "name": Option((str, _NONE)),
    "num_cpus": _amount("num_cpus"),
    "num_gpus": _amount("num_gpus"),
    "object_store_memory": _count("object_store_memory"),
    "placement_group": Option(default="default"),
    "placement_group_bundle_index": Option((int, _NONE), default=-1),
    "placement_group_capture_child_tasks": Option((bool, _NONE)),
    "resources": Option((dict, _NONE), _wrong_resources),
    "runtime_env": Option(),
    "scheduling_strategy": Option(None, _wrong_strategy),
}
TASK_OPTIONS: Dict[str, Option] = {
    **_COMMON,
    "_generator_backpressure_num_objects": Option((int, _NONE), _wrong_backpressure),
    "max_calls": _count("max_calls", default=0),
    "max_retries": _count("max_retries", -1, 3),
    "num_cpus": _amount("num_cpus", 1),
    "num_returns": Option((int, str, _NONE), _wrong_returns),
    "retry_exceptions": Option((bool, list, tuple, _NONE), lambda v: v and _wrong_retry(v), False),
}
ACTOR_OPTIONS: Dict[str, Option] = {
    **_COMMON,
    "_actor_generator_backpressure_num_objects": Option((int, _NONE), _wrong_backpressure),
    "allow_out_of_order_execution": Option((bool, _NONE)),
    "concurrency_groups": Option((list, dict, _NONE)),
    "enable_tensor_transport": Option((bool, _NONE)),
    "get_if_exists": Option((bool, _NONE), default=False),
    "lifetime": Option((str, _NONE), _wrong_lifetime),
    "max_concurrency": _count("max_concurrency", 0),
    "max_pending_calls": _count("max_pending_calls", -1, -1),
    "max_restarts": _count("max_restarts", -1, 0),
    "max_task_retries": _count("max_task_retries", -1, 0),
    "namespace": Option((str, _NONE)),
}
METHOD_OPTIONS: Dict[str, Option] = {
    "_generator_backpressure_num_objects": TASK_OPTIONS["_generator_backpressure_num_objects"],
    "concurrency_group": Option((str, _NONE)),
    "enable_task_events": _COMMON["enable_task_events"],
    "max_task_retries": ACTOR_OPTIONS["max_task_retries"],
    "name": _COMMON["name"],
    "num_returns": TASK_OPTIONS["num_returns"],
    "retry_exceptions": TASK_OPTIONS["retry_exceptions"],
    "tensor_transport": Option(),
}
#: Fields of runtime environments that may name files.
_NAMES_FILES = ("working_dir", "py_modules", "pip", "uv")
#: What only the decorator takes.
_NOT_IN_OPTIONS = ("max_calls", "concurrency_groups")


def check(
    options: Dict[str, Any], allowed: Dict[str, Option], kind: str, in_options: bool = False
) -> None:
    """Raises ValueError or TypeError for options that do not exist or have no meaning."""
    for name, value in options.items():
        option = allowed.get(name)
        if option is None:
            raise ValueError(
                f"Invalid option keyword {name} for {kind}. Valid ones are {sorted(allowed)}."
            )
        if value is None:
            continue
        option.validate(name, value)
        if name in ("name", "namespace") and kind == "actors" and value == "":
            raise ValueError(f"Actor {name} cannot be an empty string.")
        if name == "runtime_env" and not hasattr(value, "keys"):
            raise TypeError(
                f"runtime_env must be a dict or RuntimeEnv, not {type(value).__name__}."
            )
        if name == "runtime_env":
            # Wrong where it is written, not where it is first used; but whether files are there is
            # of no interest where a function only arrives.
            RuntimeEnv(**{key: value[key] for key in value if key not in _NAMES_FILES})
        if in_options and name in _NOT_IN_OPTIONS:
            raise ValueError(f"Setting '{name}' is not supported in '.options()'.")
    _check_together(options, kind)
    _warn_of_transport(options)
    _warn_of_old_ones(options, kind)


def _warn_of_old_ones(options: Dict[str, Any], kind: str) -> None:
    """Of what Ray warns of, too."""
    old = {
        "placement_group": "default",
        "placement_group_bundle_index": -1,
        "placement_group_capture_child_tasks": None,
    }
    for name, unset in old.items():
        if options.get(name, unset) not in (unset, None):
            _deprecated(
                f"{name} parameter is deprecated. Use "
                "scheduling_strategy=PlacementGroupSchedulingStrategy(...) instead."
            )
    if kind == "actors" and options.get("object_store_memory") is not None:
        _deprecated(
            "Setting 'object_store_memory' for actors is deprecated since it doesn't actually "
            "reserve the required object store memory: objects that do not fit are spilled."
        )


def _warn_of_transport(options: Dict[str, Any]) -> None:
    if options.get("enable_tensor_transport") or options.get("tensor_transport"):
        without_effect(
            "tensor_transport",
            "Tensors travel as other values do, through shared memory and between nodes by the "
            "agents; a gang's GPUs use torch.distributed.",
        )


@functools.lru_cache(maxsize=None)
def without_effect(option: str, instead: str) -> None:
    """Says, once in a process, that an option of Ray's is taken and does nothing."""
    logger.warning("%s has no effect here. %s", option, instead)


def _deprecated(text: str) -> None:
    # The caller of `.options()` or of the decorator.
    warnings.warn(text, DeprecationWarning, stacklevel=6)


def _check_together(options: Dict[str, Any], kind: str) -> None:
    if options.get("get_if_exists") and not options.get("name"):
        raise ValueError("The actor name must be specified to use `get_if_exists`.")
    group = options.get("placement_group")
    if group not in ("default", None) and options.get("scheduling_strategy") is not None:
        raise ValueError(
            "Placement groups should be specified via the scheduling_strategy option. "
            "The placement_group option is deprecated."
        )
    if kind == "actors" and options.get("max_restarts") == 0:
        if (options.get("max_task_retries") or 0) > 0:
            raise ValueError("'max_task_retries' cannot be set if 'max_restarts' is 0.")


def check_returns(returns: Any, is_generator: bool) -> None:
    """Raises ValueError where a plain function is said to yield."""
    if returns in ("streaming", "dynamic") and not is_generator:
        raise ValueError(
            f"num_returns='{returns}' can only be used with generator functions (functions that "
            "use 'yield'). The decorated function is not a generator function."
        )
