"""Loops over many results, in the order in which they come, with a bound on what is in flight."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, List, Optional, Sequence, Tuple

import iorun

__all__ = ["as_completed", "map_unordered"]


def as_completed(
    refs: Sequence[Any],
    *,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
    **options: Any,
) -> Iterator[Any]:
    """Yields the values of the refs (or the refs, with `yield_obj_refs`) as they become ready.

    Waits for `chunk_size` of them at a time; further options go to `wait`. An error of a task is
    raised where its value would have been yielded.
    """
    _check(chunk_size, options)
    pending = list(refs)
    while pending:
        batch, pending = _next_batch(pending, chunk_size, yield_obj_refs, options)
        yield from batch


def map_unordered(
    fn: Any,
    items: Iterable[Any],
    *,
    backpressure_size: Optional[int] = 100,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
    **options: Any,
) -> Iterator[Any]:
    """Calls `fn.remote(item)` for each item, and yields the results as they become ready.

    At most `backpressure_size` calls are in flight (None: all of them), and the items are read no
    further ahead than that.
    """
    if backpressure_size is not None and backpressure_size <= 0:
        raise ValueError("backpressure_size must be positive.")
    _check(chunk_size, options)
    pending: List[Any] = []
    for item in items:
        pending.append(fn.remote(item))
        if backpressure_size is not None and len(pending) >= backpressure_size:
            batch, pending = _next_batch(pending, chunk_size, yield_obj_refs, options)
            yield from batch
    yield from as_completed(
        pending, chunk_size=chunk_size, yield_obj_refs=yield_obj_refs, **options
    )


def _check(chunk_size: int, options: dict) -> None:
    if chunk_size < 1:
        raise ValueError("`chunk_size` must be >= 1")
    if "num_returns" in options:
        raise ValueError("Use the `chunk_size` argument instead of `num_returns`.")


def _next_batch(
    pending: List[Any], chunk_size: int, as_refs: bool, options: dict
) -> Tuple[List[Any], List[Any]]:
    ready, pending = iorun.wait(pending, num_returns=min(chunk_size, len(pending)), **options)
    return (ready if as_refs else iorun.get(ready)), pending
