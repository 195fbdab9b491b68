"""Groups: who is in them, and this process's part in each."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, Dict, List, Optional

import iorun
from iorun.util.collective.exchange import Exchange
from iorun.util.collective.types import Backend

__all__ = [
    "Group",
    "create_collective_group",
    "destroy_collective_group",
    "get_collective_group_size",
    "get_group_handle",
    "get_rank",
    "init_collective_group",
    "is_group_initialized",
]

_NAMESPACE = "iorun-collective"
_TIMEOUT_MS = 30_000


class Group:
    """This process's part in a group."""

    def __init__(self, name: str, exchange: Any, world_size: int, rank: int, backend: str):
        self.group_name = name
        self.exchange = exchange
        self.world_size = world_size
        self.rank = rank
        self.backend = backend
        self._rounds = 0
        self._letters: Counter = Counter()

    def swap(self, what: str, brought: Any) -> List[Any]:
        """What all ranks bring to this operation: all call the same operations in one order."""
        self._rounds += 1
        return iorun.get(self.exchange.swap.remote((self._rounds, what), self.rank, brought))

    def next_letter(self, source: int, target: int) -> int:
        """The number of the next message from one rank to another."""
        self._letters[source, target] += 1
        return self._letters[source, target]


_groups: Dict[str, Group] = {}
_lock = threading.Lock()


def _key(name: str) -> str:
    # A worker runs many tasks one after the other: each has groups of its own.
    context = iorun.get_runtime_context()
    return f"{context.get_actor_id() or context.get_task_id() or ''}/{name}"


def _exchange_name(name: str) -> str:
    return f"{iorun.get_runtime_context().get_job_id()}/{name}"


def _exchange(name: str, world_size: int, backend: str, timeout_ms: int) -> Any:
    return (
        iorun.remote(Exchange)
        .options(
            name=_exchange_name(name),
            namespace=_NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            num_cpus=0,
            max_concurrency=10_000,
        )
        .remote(world_size, backend, timeout_ms / 1000)
    )


def _checked(backend: str) -> str:
    checked = str(Backend(backend))
    if checked == Backend.NCCL:
        raise RuntimeError(
            "NCCL is not available: use backend='gloo' for arrays of the CPU, or torch.distributed "
            "inside a gang for those of GPUs."
        )
    return checked


def _check_name(name: Any) -> None:
    if not name or not isinstance(name, str):
        raise ValueError(f"group_name '{name}' needs to be a string.")


def init_collective_group(
    world_size: int,
    rank: int,
    backend: str = "gloo",
    group_name: str = "default",
    gloo_timeout: int = _TIMEOUT_MS,
) -> None:
    """Makes this actor or task a member of a group; each member calls it.

    `gloo_timeout`: for so many milliseconds an operation waits for the other members.
    """
    _check_name(group_name)
    if not iorun.get_runtime_context().get_worker_id():
        raise RuntimeError("A group needs a network: call init() first.")
    backend = _checked(backend)
    if world_size <= 0 or not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not below world_size {world_size}, or negative.")
    with _lock:
        if _key(group_name) in _groups:
            raise RuntimeError("Trying to initialize a group twice.")
        exchange = _exchange(group_name, world_size, backend, gloo_timeout)
        member = iorun.get_runtime_context().get_task_id() or _key(group_name)
        iorun.get(exchange.join.remote(rank, world_size, member))
        _groups[_key(group_name)] = Group(group_name, exchange, world_size, rank, backend)


def create_collective_group(
    actors: List[Any],
    world_size: int,
    ranks: List[int],
    backend: str = "gloo",
    group_name: str = "default",
    gloo_timeout: int = _TIMEOUT_MS,
) -> None:
    """Makes actors the members of a group, from outside: they join with their first operation."""
    _check_name(group_name)
    backend = _checked(backend)
    if len(ranks) != len(actors):
        raise RuntimeError(
            f"Each actor should correspond to one rank. Got '{len(ranks)}' ranks but "
            f"'{len(actors)}' actors"
        )
    if sorted(ranks) != list(range(len(ranks))):
        raise RuntimeError(
            f"Ranks must be a permutation from 0 to '{len(ranks) - 1}'. Got '{ranks}'."
        )
    if world_size <= 0:
        raise RuntimeError(f"World size must be greater than zero. Got '{world_size}'.")
    if world_size != len(actors):
        raise RuntimeError("All actors of the group must be given: world_size differs.")
    try:
        iorun.get_actor(_exchange_name(group_name), _NAMESPACE)
    except ValueError:
        pass
    else:
        raise RuntimeError("Trying to initialize a group twice.")
    exchange = _exchange(group_name, world_size, backend, gloo_timeout)
    members = {actor._actor_id.hex(): rank for actor, rank in zip(actors, ranks)}
    iorun.get(exchange.declare.remote(members))


def _find(name: str) -> Optional[Group]:
    with _lock:
        group = _groups.get(_key(name))
        if group is not None:
            return group
        # Somebody else may have declared this actor a member.
        actor = iorun.get_runtime_context().get_actor_id()
        if actor is None:
            return None
        try:
            exchange = iorun.get_actor(_exchange_name(name), _NAMESPACE)
        except ValueError:
            return None
        world_size, backend, _, ranks = iorun.get(exchange.facts.remote())
        if actor not in ranks:
            return None
        group = _groups[_key(name)] = Group(name, exchange, world_size, ranks[actor], backend)
        iorun.get(exchange.join.remote(group.rank, world_size, actor))
        return group


def get_group_handle(group_name: str = "default") -> Group:
    """This process's part in a group. Raises RuntimeError where it is not a member."""
    group = _find(group_name)
    if group is None:
        raise RuntimeError(
            f"The collective group '{group_name}' is not initialized in the process: call "
            "init_collective_group there, or create_collective_group outside."
        )
    return group


def is_group_initialized(group_name: str) -> bool:
    """Whether this actor or task is a member."""
    with _lock:
        return _key(group_name) in _groups


def get_rank(group_name: str = "default") -> int:
    """This process's rank; -1 where it is no member."""
    group = _find(group_name)
    return -1 if group is None else group.rank


def get_collective_group_size(group_name: str = "default") -> int:
    """How many members there are; -1 where this process is none of them."""
    group = _find(group_name)
    return -1 if group is None else group.world_size


def destroy_collective_group(group_name: str = "default") -> None:
    """Leaves the group; the last one ends it. Called from outside, ends a created group."""
    _check_name(group_name)
    with _lock:
        group = _groups.pop(_key(group_name), None)
    if group is not None:
        if iorun.get(group.exchange.leave.remote(group.rank)) == 0:
            iorun.kill(group.exchange)
        return
    if iorun.get_runtime_context().get_actor_id() is None:
        try:
            iorun.kill(iorun.get_actor(_exchange_name(group_name), _NAMESPACE))
        except ValueError:
            pass
