"""Tools on top of tasks and actors, under the names that Ray gave them."""

from __future__ import annotations

from typing import Any, List

from iorun import _init
from iorun.util import scheduling_strategies
from iorun.util.actor_pool import ActorPool
from iorun.util.check_serialize import inspect_serializability
from iorun.util.client_connect import connect, disconnect
from iorun.util.debug import disable_log_once_globally, enable_periodic_logging, log_once
from iorun.util.helpers import as_completed, map_unordered
from iorun.util.placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from iorun.util.serialization import deregister_serializer, register_serializer

__all__ = [
    "ActorPool",
    "as_completed",
    "connect",
    "deregister_serializer",
    "disable_log_once_globally",
    "disconnect",
    "enable_periodic_logging",
    "get_current_placement_group",
    "get_node_ip_address",
    "get_placement_group",
    "inspect_serializability",
    "list_named_actors",
    "log_once",
    "map_unordered",
    "placement_group",
    "placement_group_table",
    "register_serializer",
    "remove_placement_group",
    "scheduling_strategies",
]


def list_named_actors(all_namespaces: bool = False) -> List[Any]:
    """The names of the living actors of this namespace.

    With `all_namespaces`, of all: as dicts of "name" and "namespace".
    """
    answer, _ = _init.connected_worker().request(24, {"allNamespaces": all_namespaces})
    actors = answer.get("actors", [])
    if all_namespaces:
        return [{"name": actor["name"], "namespace": actor["namespace"]} for actor in actors]
    return [actor["name"] for actor in actors]


def get_node_instance_id() -> str:
    """The id that the cloud gave this machine: not known."""
    return ""


def __getattr__(name: str) -> Any:
    # Loaded when a program asks for them: `import iorun` stays quick.
    module = {"pdb": "rpdb", "ray_debugpy": "debugpy"}.get(name, name)
    if module in (
        "accelerators",
        "annotations",
        "collective",
        "debugpy",
        "iter",
        "metrics",
        "multiprocessing",
        "queue",
        "rpdb",
        "state",
        "tracing",
    ):
        import importlib

        return importlib.import_module(f"iorun.util.{module}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_node_ip_address() -> str:
    """The address at which other machines reach this node."""
    from iorun._core import global_state

    worker = global_state.worker()
    return ((getattr(worker, "hello", None) or {}).get("address")) or "127.0.0.1"
