"""Gathers single requests into batches, and spreads batches over replicas."""

import asyncio
from typing import Any, List, Optional, Tuple

import numpy as np

import iorun


class Overloaded(Exception):
    """More requests wait than are worth waiting for."""


class Batcher:
    """Requests that come within `wait` seconds of the first travel together, at most `size` of them.

    Each batch goes to the replica with the fewest under way. A replica that dies is made anew by
    its `max_restarts`; the batch that it had is sent once more, because predicting twice does no
    harm.
    """

    def __init__(
        self, replicas: List[Any], size: int = 64, wait: float = 0.002, limit: int = 4096
    ):
        self._replicas = replicas
        self._under_way = [0] * len(replicas)
        self._last_use = [0] * len(replicas)
        self._size = size
        self._wait = wait
        self._limit = limit
        self._waiting: List[Tuple[np.ndarray, asyncio.Future]] = []
        self._timer: Optional[asyncio.TimerHandle] = None
        self._tasks: "set[asyncio.Task]" = set()
        self.batches = 0
        self.requests = 0

    async def predict(self, image: np.ndarray) -> Tuple[int, float, str]:
        """The digit, its probability, and the replica that told it."""
        if len(self._waiting) + self._size * sum(self._under_way) >= self._limit:
            raise Overloaded(f"{self._limit} requests are waiting; try again later")
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._waiting.append((image, answer))
        self.requests += 1
        if len(self._waiting) >= self._size:
            self._send()
        elif self._timer is None:
            self._timer = loop.call_later(self._wait, self._send)
        return await answer

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        # The loop keeps only weak references to tasks.
        task = asyncio.get_running_loop().create_task(self._run(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: List[Tuple[np.ndarray, asyncio.Future]]) -> None:
        images = np.stack([image for image, _ in batch])
        self.batches += 1
        try:
            digits, probabilities, name = await self._ask(images)
        except Exception as error:  # Whatever it is, each of the requests is told.
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), digit, probability in zip(batch, digits, probabilities):
            if not answer.done():
                answer.set_result((int(digit), float(probability), name))

    def _load(self, index: int) -> Tuple[int, int]:
        # Among equals the one that rested longest.
        return self._under_way[index], self._last_use[index]

    async def _ask(self, images: np.ndarray) -> Tuple[np.ndarray, np.ndarray, str]:
        for attempt in range(2):
            index = min(range(len(self._replicas)), key=self._load)
            self._under_way[index] += 1
            self._last_use[index] = self.batches
            try:
                return await self._replicas[index].predict.remote(images)
            except iorun.exceptions.RayActorError:
                if attempt == 1:
                    raise
            finally:
                self._under_way[index] -= 1
        raise AssertionError("the second attempt returns or raises")
