"""Collective operations between actors or tasks: sums, broadcasts and the like of arrays.

A group's members exchange references to arrays through one small actor; the arrays themselves go
from member to member, through shared memory where two are on one node.
"""

from __future__ import annotations

from iorun.util.collective.groups import (
    create_collective_group,
    destroy_collective_group,
    get_collective_group_size,
    get_group_handle,
    get_rank,
    init_collective_group,
    is_group_initialized,
)
from iorun.util.collective.operations import (
    allgather,
    allreduce,
    barrier,
    broadcast,
    recv,
    reduce,
    reducescatter,
    send,
)
from iorun.util.collective.types import Backend, ReduceOp

__all__ = [
    "Backend",
    "ReduceOp",
    "allgather",
    "allreduce",
    "barrier",
    "broadcast",
    "create_collective_group",
    "destroy_collective_group",
    "get_collective_group_size",
    "get_group_handle",
    "get_rank",
    "gloo_available",
    "init_collective_group",
    "is_backend_available",
    "is_group_initialized",
    "nccl_available",
    "recv",
    "reduce",
    "reducescatter",
    "send",
]


def nccl_available() -> bool:
    """There is no NCCL here."""
    return False


def gloo_available() -> bool:
    """Groups of CPU arrays always work; `backend="gloo"` means them."""
    return True


def is_backend_available(backend: str) -> bool:
    """Whether groups of this backend can be made."""
    return backend.upper() in ("GLOO", "TORCH_GLOO")
