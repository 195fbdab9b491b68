"""The actor through which the members of a group find each other and swap references."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, List, Tuple

__all__ = ["Exchange"]


class Exchange:
    """Holds what members bring until all that need it have it. An async actor, one a group."""

    def __init__(self, world_size: int, backend: str, timeout: float):
        self.world_size = world_size
        self.backend = backend
        self.timeout = timeout
        #: Of actors whose group somebody else has made: actor id -> rank.
        self.ranks: Dict[str, int] = {}
        self._rounds: Dict[Any, List[Any]] = {}
        self._letters: Dict[Tuple[int, int, int], asyncio.Future] = {}
        self._joined: Dict[int, str] = {}

    async def declare(self, ranks: Dict[str, int]) -> None:
        """Which actors are which ranks."""
        self.ranks = ranks

    async def facts(self) -> Tuple[int, str, float, Dict[str, int]]:
        """What a member must know that did not make the group."""
        return self.world_size, self.backend, self.timeout, self.ranks

    async def join(self, rank: int, world_size: int, member: str) -> None:
        """One member; waits for nobody. Raises where the members do not agree."""
        if world_size != self.world_size:
            raise RuntimeError(
                f"Rank {rank} says that the group has {world_size} members; others said "
                f"{self.world_size}."
            )
        known = self._joined.setdefault(rank, member)
        if known != member:
            raise RuntimeError(f"Rank {rank} of the group is taken.")

    async def leave(self, rank: int) -> int:
        """One member goes; returns how many are left."""
        self._joined.pop(rank, None)
        return len(self._joined)

    async def swap(self, round: Any, rank: int, brought: Any) -> List[Any]:
        """What every rank has brought to this round; waits for the last of them."""
        state = self._rounds.get(round)
        if state is None:
            loop = asyncio.get_running_loop()
            state = self._rounds[round] = [{}, loop.create_future(), 0]
        values, complete, _ = state
        values[rank] = brought
        if len(values) == self.world_size:
            complete.set_result([values[index] for index in range(self.world_size)])
        try:
            result = await asyncio.wait_for(asyncio.shield(complete), self.timeout)
        except asyncio.TimeoutError:
            missing = sorted(set(range(self.world_size)) - set(values))
            raise TimeoutError(
                f"Ranks {missing} did not take part in operation {round[1]} number {round[0]} "
                f"within {self.timeout:g} s."
            ) from None
        state[2] += 1
        if state[2] == self.world_size:
            self._rounds.pop(round, None)
        return result

    def _letter(self, key: Tuple[int, int, int]) -> asyncio.Future:
        future = self._letters.get(key)
        if future is None:
            future = self._letters[key] = asyncio.get_running_loop().create_future()
        return future

    async def post(self, source: int, target: int, number: int, brought: Any) -> None:
        """From one member to another."""
        self._letter((source, target, number)).set_result(brought)

    async def fetch(self, source: int, target: int, number: int) -> Any:
        """What one member has posted for another; waits for it."""
        key = (source, target, number)
        try:
            return await asyncio.wait_for(asyncio.shield(self._letter(key)), self.timeout)
        except asyncio.TimeoutError:
            raise TimeoutError(
                f"Rank {source} has sent nothing to rank {target} within {self.timeout:g} s."
            ) from None
        finally:
            self._letters.pop(key, None)
