"""A first-in-first-out queue that tasks and actors on any node share: an actor behind a handle."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterable
from typing import Any, List, Optional

import iorun

__all__ = ["Empty", "Full", "Queue"]


class Empty(queue.Empty):
    """There is nothing in the queue."""


class Full(queue.Full):
    """The queue has no room."""


class Queue:
    """A queue of at most `maxsize` items (0: no bound).

    Methods are those of `queue.Queue`; `put_async` and `get_async` are for async actors. Handles
    can be passed to tasks and actors. `actor_options` are options of the actor that holds the
    items.
    """

    _actor_class: type

    def __init__(self, maxsize: int = 0, actor_options: Optional[dict] = None):
        self.maxsize = maxsize
        self.actor = (
            iorun.remote(self._actor_class).options(**(actor_options or {})).remote(maxsize)
        )

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """How many items there are."""
        return iorun.get(self.actor.qsize.remote())

    def qsize(self) -> int:
        """How many items there are."""
        return self.size()

    def empty(self) -> bool:
        """Whether there are none."""
        return iorun.get(self.actor.empty.remote())

    def full(self) -> bool:
        """Whether there is no room."""
        return iorun.get(self.actor.full.remote())

    def put(self, item: Any, block: bool = True, timeout: Optional[float] = None) -> None:
        """Adds an item; waits for room if `block`, at most `timeout` seconds.

        Raises `Full` where there was none, `ValueError` for a negative timeout.
        """
        try:
            iorun.get(self._put(item, block, timeout))
        except Full:
            if block:
                raise
            raise Full from None

    async def put_async(
        self, item: Any, block: bool = True, timeout: Optional[float] = None
    ) -> None:
        """`put` that is awaited."""
        await self._put(item, block, timeout)

    def _put(self, item: Any, block: bool, timeout: Optional[float]) -> Any:
        if not block:
            return self.actor.put_nowait.remote(item)
        _check(timeout)
        return self.actor.put.remote(item, timeout)

    def get(self, block: bool = True, timeout: Optional[float] = None) -> Any:
        """Takes the oldest item; waits for one if `block`, at most `timeout` seconds.

        Raises `Empty` where there was none, `ValueError` for a negative timeout.
        """
        try:
            return iorun.get(self._get(block, timeout))
        except Empty:
            if block:
                raise
            raise Empty from None

    async def get_async(self, block: bool = True, timeout: Optional[float] = None) -> Any:
        """`get` that is awaited."""
        return await self._get(block, timeout)

    def _get(self, block: bool, timeout: Optional[float]) -> Any:
        if not block:
            return self.actor.get_nowait.remote()
        _check(timeout)
        return self.actor.get.remote(timeout)

    def put_nowait(self, item: Any) -> None:
        """Adds an item, or raises `Full` at once."""
        self.put(item, block=False)

    def put_nowait_batch(self, items: Iterable) -> None:
        """Adds all items in their order, or none and raises `Full`."""
        if not isinstance(items, Iterable):
            raise TypeError("Argument 'items' must be an Iterable")
        iorun.get(self.actor.put_nowait_batch.remote(list(items)))

    def get_nowait(self) -> Any:
        """Takes the oldest item, or raises `Empty` at once."""
        return self.get(block=False)

    def get_nowait_batch(self, num_items: int) -> List[Any]:
        """Takes the `num_items` oldest items, or none and raises `Empty`."""
        if not isinstance(num_items, int):
            raise TypeError("Argument 'num_items' must be an int")
        if num_items < 0:
            raise ValueError("'num_items' must be nonnegative")
        return iorun.get(self.actor.get_nowait_batch.remote(num_items))

    def shutdown(self, force: bool = False, grace_period_s: int = 5) -> None:
        """Ends the actor that holds the items: after what it is doing, or at once by `force`."""
        if self.actor is None:
            return
        if force:
            iorun.kill(self.actor, no_restart=True)
        else:
            ended = self.actor.__ray_terminate__.remote()
            done, _ = iorun.wait([ended], timeout=grace_period_s)
            if not done:
                iorun.kill(self.actor, no_restart=True)
        self.actor = None


def _check(timeout: Optional[float]) -> None:
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")


class _QueueActor:
    """Holds the items. An async actor: a waiting `get` does not keep a `put` from running."""

    def __init__(self, maxsize: int):
        self.maxsize = maxsize
        self.queue: asyncio.Queue = asyncio.Queue(maxsize)

    async def qsize(self) -> int:
        return self.queue.qsize()

    async def empty(self) -> bool:
        return self.queue.empty()

    async def full(self) -> bool:
        return self.queue.full()

    async def put(self, item: Any, timeout: Optional[float] = None) -> None:
        try:
            await asyncio.wait_for(self.queue.put(item), timeout)
        except asyncio.TimeoutError:
            raise Full from None

    async def get(self, timeout: Optional[float] = None) -> Any:
        try:
            return await asyncio.wait_for(self.queue.get(), timeout)
        except asyncio.TimeoutError:
            raise Empty from None

    async def put_nowait(self, item: Any) -> None:
        try:
            self.queue.put_nowait(item)
        except asyncio.QueueFull:
            raise Full from None

    async def put_nowait_batch(self, items: list) -> None:
        if self.maxsize > 0 and len(items) + self.queue.qsize() > self.maxsize:
            raise Full(
                f"Cannot add {len(items)} items to queue of size {self.queue.qsize()} and "
                f"maxsize {self.maxsize}."
            )
        for item in items:
            self.queue.put_nowait(item)

    async def get_nowait(self) -> Any:
        try:
            return self.queue.get_nowait()
        except asyncio.QueueEmpty:
            raise Empty from None

    async def get_nowait_batch(self, num_items: int) -> list:
        if num_items > self.queue.qsize():
            raise Empty(f"Cannot get {num_items} items from queue of size {self.queue.qsize()}.")
        return [self.queue.get_nowait() for _ in range(num_items)]


Queue._actor_class = _QueueActor
