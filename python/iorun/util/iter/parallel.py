"""Iterators whose items are made by actors, a shard by each."""

from __future__ import annotations

import collections
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import iorun
from iorun.util.iter.local import LocalIterator, NotReady
from iorun.util.iter.worker import ParallelIteratorWorker
from iorun.util.iter_metrics import SharedMetrics

__all__ = ["ParallelIterator", "Shards"]

Transform = Callable[[LocalIterator], LocalIterator]


class Shards(NamedTuple):
    """Actors, and the steps that each applies to the items of its own."""

    actors: List[Any]
    transforms: List[Transform]


def _started(shards: Iterable[Shards]) -> List[Any]:
    """The actors, each with a new iterator."""
    actors: List[Any] = []
    starts: List[Any] = []
    for some in shards:
        actors += some.actors
        starts += [actor.par_iter_init.remote(some.transforms) for actor in some.actors]
    iorun.get(starts)
    return actors


def _as_they_come(
    actors: List[Any],
    ask: Callable[[Any], Any],
    timeout: Optional[float],
    at_a_time: int = 1,
    about_to_yield: Callable[[Any], None] = lambda actor: None,
) -> Iterator[Any]:
    """The items of the lists that the actors answer with, as these come, until all have ended."""
    asked: Dict[Any, Any] = {}
    for _ in range(at_a_time):
        for actor in actors:
            asked[ask(actor)] = actor
    while asked:
        pending = list(asked)
        if timeout is None:
            ready, _ = iorun.wait(pending, num_returns=len(pending), timeout=0)
            if not ready:
                ready, _ = iorun.wait(pending, num_returns=1)
        else:
            ready, _ = iorun.wait(pending, num_returns=len(pending), timeout=timeout)
        for ref in ready:
            actor = asked.pop(ref)
            try:
                items = iorun.get(ref)
            except StopIteration:
                continue
            asked[ask(actor)] = actor
            for item in items:
                about_to_yield(actor)
                yield item
        if timeout is not None:
            yield NotReady()


class ParallelIterator:
    """Items in shards. Steps run in the shards' actors; it can be handed to tasks and actors."""

    def __init__(
        self, actor_sets: List[Shards], name: str, parent_iterators: List["ParallelIterator"]
    ) -> None:
        self.actor_sets = actor_sets
        self.name = name
        # Its actors live as long as a handle to them does.
        self.parent_iterators = parent_iterators

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(
            "You must use it.gather_sync() or it.gather_async() to iterate over the results of a "
            "ParallelIterator."
        )

    def __repr__(self) -> str:
        return f"ParallelIterator[{self.name}]"

    def _with(self, transform: Transform, name: str) -> "ParallelIterator":
        shards = [Shards(s.actors, [*s.transforms, transform]) for s in self.actor_sets]
        return ParallelIterator(shards, self.name + name, self.parent_iterators)

    def transform(self, fn: Callable[[Iterable[Any]], Iterable[Any]]) -> "ParallelIterator":
        """What the generator function makes of each shard's items."""
        return self._with(lambda items: items.transform(fn), ".transform()")

    def for_each(
        self,
        fn: Callable[[Any], Any],
        max_concurrency: int = 1,
        resources: Optional[dict] = None,
    ) -> "ParallelIterator":
        """What the function makes of each item; see `LocalIterator.for_each`."""
        if max_concurrency < 0:
            raise AssertionError("max_concurrency must be non-negative.")
        return self._with(
            lambda items: items.for_each(fn, max_concurrency, resources), ".for_each()"
        )

    def filter(self, fn: Callable[[Any], bool]) -> "ParallelIterator":
        """The items of which the function is true."""
        return self._with(lambda items: items.filter(fn), ".filter()")

    def batch(self, n: int) -> "ParallelIterator":
        """Lists of `n` items of a shard."""
        return self._with(lambda items: items.batch(n), f".batch({n})")

    def flatten(self) -> "ParallelIterator":
        """The items of the items."""
        return self._with(lambda items: items.flatten(), ".flatten()")

    def combine(self, fn: Callable[[Any], Iterable[Any]]) -> "ParallelIterator":
        """`for_each(fn).flatten()`."""
        combined = self.for_each(fn).flatten()
        combined.name = f"{self.name}.combine()"
        return combined

    def local_shuffle(
        self, shuffle_buffer_size: int, seed: Optional[int] = None
    ) -> "ParallelIterator":
        """Each shard in a random order; see `LocalIterator.shuffle`."""
        about = f"shuffle_buffer_size={shuffle_buffer_size}, seed={seed}"
        return self._with(
            lambda items: items.shuffle(shuffle_buffer_size, seed), f".local_shuffle({about})"
        )

    def repartition(self, num_partitions: int, batch_ms: int = 0) -> "ParallelIterator":
        """The same items in another number of shards, dealt out in turn."""
        actors = _started(self.actor_sets)

        def source_of(index: int) -> Callable[[], Iterator[Any]]:
            def ask(actor: Any) -> Any:
                return actor.par_iter_slice_batch.remote(
                    step=num_partitions, start=index, batch_ms=batch_ms
                )

            return lambda: _as_they_come(actors, ask, None)

        worker = iorun.remote(ParallelIteratorWorker)
        dealers = [worker.remote(source_of(i), False) for i in range(num_partitions)]
        name = f"{self.name}.repartition[num_partitions={num_partitions}]"
        return ParallelIterator([Shards(dealers, [])], name, [self])

    def batch_across_shards(self) -> LocalIterator:
        """Lists of the next item of each shard."""

        def source(timeout: Optional[float] = None) -> Iterator[Any]:
            asked = {actor: actor.par_iter_next.remote() for actor in _started(self.actor_sets)}
            while asked:
                pending = list(asked.values())
                if timeout is not None:
                    _, missing = iorun.wait(pending, num_returns=len(pending), timeout=timeout)
                    if missing:
                        yield NotReady()
                        continue
                items = []
                for actor, ref in list(asked.items()):
                    try:
                        items.append(iorun.get(ref))
                    except StopIteration:
                        del asked[actor]
                        continue
                    asked[actor] = actor.par_iter_next.remote()
                if items:
                    yield items
                if timeout is not None:
                    yield NotReady()

        return LocalIterator(source, SharedMetrics(), name=f"{self}.batch_across_shards()")

    def gather_sync(self) -> LocalIterator:
        """The next item of each shard in turn: always the same order."""
        gathered = self.batch_across_shards().flatten()
        gathered.name = f"{self}.gather_sync()"
        return gathered

    def gather_async(self, batch_ms: int = 0, num_async: int = 1) -> LocalIterator:
        """The items as they come.

        A shard answers with the items of `batch_ms` milliseconds (0: with one item), and
        `num_async` requests are on their way to it.
        """
        _check_pace(batch_ms, num_async)
        metrics = SharedMetrics()

        def source(timeout: Optional[float] = None) -> Iterator[Any]:
            def note(actor: Any) -> None:
                gathered.shared_metrics.get().current_actor = actor

            return _as_they_come(
                _started(self.actor_sets),
                lambda actor: actor.par_iter_next_batch.remote(batch_ms),
                timeout,
                num_async,
                note,
            )

        gathered = LocalIterator(source, metrics, name=f"{self}.gather_async()")
        return gathered

    def take(self, n: int) -> List[Any]:
        """The first items, at most `n`."""
        return self.gather_sync().take(n)

    def show(self, n: int = 20) -> None:
        """Prints the first items, at most `n`."""
        self.gather_sync().show(n)

    def union(self, other: "ParallelIterator") -> "ParallelIterator":
        """The shards of both."""
        if not isinstance(other, ParallelIterator):
            raise TypeError(f"other must be of type ParallelIterator, got {type(other)}")
        return ParallelIterator(
            self.actor_sets + other.actor_sets,
            f"ParallelUnion[{self}, {other}]",
            self.parent_iterators + other.parent_iterators,
        )

    def select_shards(self, shards_to_keep: List[int]) -> "ParallelIterator":
        """Only these shards. Which iterator reads which shard is up to the caller."""
        if len(self.actor_sets) > 1:
            raise ValueError("select_shards() is not allowed after union()")
        if not shards_to_keep:
            raise ValueError("at least one shard must be selected")
        actors, transforms = self.actor_sets[0]
        kept = [actor for i, actor in enumerate(actors) if i in shards_to_keep]
        if len(kept) != len(shards_to_keep):
            raise AssertionError("Invalid actor index")
        name = f"{self}.select_shards({len(kept)} total)"
        return ParallelIterator([Shards(kept, transforms)], name, self.parent_iterators)

    def num_shards(self) -> int:
        """How many actors make the items."""
        return sum(len(shards.actors) for shards in self.actor_sets)

    def shards(self) -> List[LocalIterator]:
        """An iterator of each shard."""
        return [self.get_shard(index) for index in range(self.num_shards())]

    def get_shard(self, shard_index: int, batch_ms: int = 0, num_async: int = 1) -> LocalIterator:
        """The items of one shard; for the arguments see `gather_async`."""
        _check_pace(batch_ms, num_async)
        every: List[Tuple[Any, List[Transform]]] = [
            (actor, shards.transforms) for shards in self.actor_sets for actor in shards.actors
        ]
        if not 0 <= shard_index < len(every):
            raise ValueError("Shard index out of range", shard_index, len(every))
        actor, transforms = every[shard_index]

        def source(timeout: Optional[float] = None) -> Iterator[Any]:
            iorun.get(actor.par_iter_init.remote(transforms))
            asked = collections.deque(
                actor.par_iter_next_batch.remote(batch_ms) for _ in range(num_async)
            )
            while True:
                try:
                    items = iorun.get(asked[0], timeout=timeout)
                except TimeoutError:
                    yield NotReady()
                    continue
                except StopIteration:
                    return
                asked.popleft()
                asked.append(actor.par_iter_next_batch.remote(batch_ms))
                yield from items
                if timeout is not None:
                    yield NotReady()

        return LocalIterator(source, SharedMetrics(), name=f"{self.name}.shard[{shard_index}]")


def _check_pace(batch_ms: int, num_async: int) -> None:
    if num_async < 1:
        raise ValueError("num_async must be positive")
    if batch_ms < 0:
        raise ValueError("batch_ms must be positive")
