"""Collective operations between actors or tasks: sums, broadcasts and the like of arrays.

A group's members exchange references to arrays through one small actor; the arrays themselves go
from member to member, through shared memory where two are on one node.
"""

from __future__ import annotations

from typing import Any

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
    "allgather_multigpu",
    "allreduce",
    "allreduce_multigpu",
    "barrier",
    "broadcast",
    "broadcast_multigpu",
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
    "recv_multigpu",
    "reduce",
    "reduce_multigpu",
    "reducescatter",
    "reducescatter_multigpu",
    "send",
    "send_multigpu",
    "synchronize",
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


def _of_gpus(name: str) -> Any:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError(
            f"{name} needs NCCL, which groups have not here: they are of arrays of the CPU. GPUs "
            "of a gang (`iorun submit --ranks`) use torch.distributed."
        )

    refuse.__name__ = name
    return refuse


allgather_multigpu = _of_gpus("allgather_multigpu")
allreduce_multigpu = _of_gpus("allreduce_multigpu")
broadcast_multigpu = _of_gpus("broadcast_multigpu")
recv_multigpu = _of_gpus("recv_multigpu")
reduce_multigpu = _of_gpus("reduce_multigpu")
reducescatter_multigpu = _of_gpus("reducescatter_multigpu")
send_multigpu = _of_gpus("send_multigpu")
synchronize = _of_gpus("synchronize")
