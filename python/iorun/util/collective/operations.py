"""The operations. Arrays are numpy's, or torch's of the CPU; results are written into them."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

import iorun
from iorun.util.collective.groups import Group, get_group_handle
from iorun.util.collective.types import ReduceOp

__all__ = [
    "allgather",
    "allreduce",
    "barrier",
    "broadcast",
    "recv",
    "reduce",
    "reducescatter",
    "send",
]

#: Arrays up to so many bytes travel inside the messages.
_INLINE = 32 * 1024
#: Arrays up to so many bytes go whole to every rank; of larger ones each rank reduces its share.
_SMALL = 256 * 1024


def _array(tensor: Any) -> Any:
    """A numpy view of the tensor."""
    import numpy

    if isinstance(tensor, numpy.ndarray):
        return tensor
    if type(tensor).__module__.split(".")[0] == "torch":
        if tensor.device.type != "cpu":
            raise RuntimeError("Only tensors of the CPU are supported: call .cpu() first.")
        return tensor.detach().numpy()
    raise RuntimeError(
        "Unrecognized tensor type: only numpy.ndarray and torch.Tensor of the CPU are supported, "
        f"got {type(tensor)}."
    )


def _arrays(tensors: Any) -> List[Any]:
    if not isinstance(tensors, list):
        raise RuntimeError(f"The input must be a list of tensors. Got '{type(tensors)}'.")
    if not tensors:
        raise RuntimeError("Got an empty list of tensors.")
    return [_array(tensor) for tensor in tensors]


def _operator(op: ReduceOp) -> Callable[..., Any]:
    import numpy

    known: Dict[ReduceOp, Callable[..., Any]] = {
        ReduceOp.SUM: numpy.add,
        ReduceOp.PRODUCT: numpy.multiply,
        ReduceOp.MIN: numpy.minimum,
        ReduceOp.MAX: numpy.maximum,
    }
    if op not in known:
        raise RuntimeError(f"Unrecognized reduction: {op!r}.")
    return known[op]


def _reduced(values: List[Any], op: ReduceOp) -> Any:
    combine = _operator(op)
    total = values[0].copy()
    for value in values[1:]:
        if value.shape != total.shape or value.dtype != total.dtype:
            raise RuntimeError(
                f"The tensors of the ranks differ: {total.dtype}{list(total.shape)} and "
                f"{value.dtype}{list(value.shape)}."
            )
        combine(total, value, out=total)
    return total


def _check_rank(group: Group, rank: int) -> None:
    if rank < 0:
        raise ValueError(f"rank '{rank}' is negative.")
    if rank >= group.world_size:
        raise ValueError(f"rank '{rank}' must be less than world size '{group.world_size}'")


def _copied(array: Any) -> Any:
    import numpy

    # Contiguous, and not changed by its owner while others read it.
    return numpy.array(array, order="C", copy=True)


def _bring(array: Any) -> Any:
    """The array as it goes to others: itself, or a reference in a list."""
    if array.nbytes <= _INLINE:
        return _copied(array)
    return [iorun.put(_copied(array))]


def _open(boxes: List[Any]) -> List[Any]:
    """The arrays that others have brought."""
    refs = [box[0] for box in boxes if type(box) is list]
    values = iter(iorun.get(refs) if refs else ())
    return [next(values) if type(box) is list else box for box in boxes]


def _end(group: Group, what: str, boxes: List[Any]) -> None:
    """Until all have read what was brought as references, their owners must live."""
    flat = [item for box in boxes for item in (box if type(box) is tuple else (box,))]
    if any(type(item) is list for item in flat):
        group.swap(f"end of {what}", None)


def barrier(group_name: str = "default") -> None:
    """Waits until all ranks are here."""
    get_group_handle(group_name).swap("barrier", None)


def allreduce(tensor: Any, group_name: str = "default", op: ReduceOp = ReduceOp.SUM) -> None:
    """Replaces the tensor by the sum (or other reduction) of all ranks' tensors."""
    array = _array(tensor)
    group = get_group_handle(group_name)
    if array.nbytes > _SMALL and array.size >= group.world_size:
        _allreduce_shared(group, array, op)
        return
    boxes = group.swap("allreduce", _bring(array))
    array[...] = _reduced(_open(boxes), op)
    _end(group, "allreduce", boxes)


def _allreduce_shared(group: Group, array: Any, op: ReduceOp) -> None:
    """Each rank reduces one share of the array, then gives it to the others."""
    import numpy

    pieces = numpy.array_split(array.reshape(-1), group.world_size)
    boxes = group.swap("allreduce", tuple(_bring(piece) for piece in pieces))
    own = _reduced(_open([box[group.rank] for box in boxes]), op)
    shares = group.swap("allreduce's shares", _bring(own))
    array[...] = numpy.concatenate(_open(shares)).reshape(array.shape)
    # The second swap says that all have read what the first has brought.
    _end(group, "allreduce", shares)


def reduce(
    tensor: Any, dst_rank: int = 0, group_name: str = "default", op: ReduceOp = ReduceOp.SUM
) -> None:
    """As `allreduce`, for one rank only; the others' tensors stay as they are."""
    array = _array(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, dst_rank)
    boxes = group.swap("reduce", _bring(array))
    if group.rank == dst_rank:
        array[...] = _reduced(_open(boxes), op)
    _end(group, "reduce", boxes)


def broadcast(tensor: Any, src_rank: int = 0, group_name: str = "default") -> None:
    """Replaces the tensor by that of one rank."""
    array = _array(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, src_rank)
    boxes = group.swap("broadcast", _bring(array) if group.rank == src_rank else None)
    if group.rank != src_rank:
        array[...] = _open([boxes[src_rank]])[0].reshape(array.shape)
    _end(group, "broadcast", boxes)


def allgather(tensor_list: List[Any], tensor: Any, group_name: str = "default") -> None:
    """Writes all ranks' tensors into the list's, by rank."""
    array = _array(tensor)
    targets = _arrays(tensor_list)
    group = get_group_handle(group_name)
    if len(targets) != group.world_size:
        raise RuntimeError(
            "The length of the tensor list operands to allgather must be equal to world_size."
        )
    boxes = group.swap("allgather", _bring(array))
    for target, value in zip(targets, _open(boxes)):
        target[...] = value
    _end(group, "allgather", boxes)


def reducescatter(
    tensor: Any,
    tensor_list: List[Any],
    group_name: str = "default",
    op: ReduceOp = ReduceOp.SUM,
) -> None:
    """Rank r's tensor becomes the reduction of all ranks' `tensor_list[r]`."""
    array = _array(tensor)
    sources = _arrays(tensor_list)
    group = get_group_handle(group_name)
    if len(sources) != group.world_size:
        raise RuntimeError(
            "The length of the tensor list operands to reducescatter must not be different from "
            "world_size."
        )
    boxes = group.swap("reducescatter", tuple(_bring(source) for source in sources))
    array[...] = _reduced(_open([box[group.rank] for box in boxes]), op).reshape(array.shape)
    _end(group, "reducescatter", boxes)


def send(tensor: Any, dst_rank: int, group_name: str = "default") -> None:
    """Sends the tensor to one rank, which must `recv` it; does not wait for that."""
    array = _array(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, dst_rank)
    if dst_rank == group.rank:
        raise RuntimeError(f"The destination rank '{dst_rank}' is self.")
    number = group.next_letter(group.rank, dst_rank)
    iorun.get(group.exchange.post.remote(group.rank, dst_rank, number, _bring(array)))


def recv(tensor: Any, src_rank: int, group_name: str = "default") -> None:
    """Replaces the tensor by what one rank has sent; waits for it."""
    array = _array(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, src_rank)
    if src_rank == group.rank:
        raise RuntimeError(f"The destination rank '{src_rank}' is self.")
    number = group.next_letter(src_rank, group.rank)
    box = iorun.get(group.exchange.fetch.remote(src_rank, group.rank, number))
    array[...] = _open([box])[0].reshape(array.shape)
