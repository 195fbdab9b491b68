"""Iterators over items that actors make: `from_items([1, 2, 3]).for_each(f).gather_async()`.

Ray keeps this module for old programs; new ones use generators and `util.ActorPool`.
"""

from __future__ import annotations

from typing import Any, Iterable, List, Optional, Sequence

import iorun
from iorun.util.iter.local import LocalIterator
from iorun.util.iter.parallel import ParallelIterator, Shards
from iorun.util.iter.worker import ParallelIteratorWorker

__all__ = [
    "LocalIterator",
    "ParallelIterator",
    "ParallelIteratorWorker",
    "from_actors",
    "from_items",
    "from_iterators",
    "from_range",
]


def from_items(items: Sequence[Any], num_shards: int = 2, repeat: bool = False) -> ParallelIterator:
    """The items, dealt out to the shards in turn; `repeat`: over and over."""
    kind = type(items[0]).__name__ if items else "None"
    name = f"from_items[{kind}, {len(items)}, shards={num_shards}{_repeating(repeat)}]"
    return from_iterators([items[i::num_shards] for i in range(num_shards)], repeat, name)


def from_range(n: int, num_shards: int = 2, repeat: bool = False) -> ParallelIterator:
    """The numbers below `n`, a part of them in each shard."""
    size = n // num_shards
    ends = [*(size * i for i in range(num_shards)), n]
    name = f"from_range[{n}, shards={num_shards}{_repeating(repeat)}]"
    return from_iterators([range(a, b) for a, b in zip(ends, ends[1:])], repeat, name)


def from_iterators(
    generators: Sequence[Iterable[Any]], repeat: bool = False, name: Optional[str] = None
) -> ParallelIterator:
    """A shard of each: something to iterate over, or a function that returns such."""
    worker = iorun.remote(ParallelIteratorWorker)
    actors = [worker.remote(generator, repeat) for generator in generators]
    name = name or f"from_iterators[shards={len(actors)}{_repeating(repeat)}]"
    return from_actors(actors, name)


def from_actors(actors: List[Any], name: Optional[str] = None) -> ParallelIterator:
    """A shard of each actor, whose class inherits `ParallelIteratorWorker`."""
    name = name or f"from_actors[shards={len(actors)}]"
    return ParallelIterator([Shards(actors, [])], name, [])


def _repeating(repeat: bool) -> str:
    return ", repeat=True" if repeat else ""
