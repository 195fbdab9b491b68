"""`ActorGroup`: the same call to each of several actors. Ray keeps it for old programs."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import iorun

__all__ = ["ActorGroup", "ActorWrapper"]


class ActorWrapper(NamedTuple):
    """An actor of a group, and what the class told of it."""

    actor: Any
    metadata: Any = None


class _GroupMethod(NamedTuple):
    group: "ActorGroup"
    name: str

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        raise TypeError(
            "ActorGroup methods cannot be called directly. Instead of running "
            f"'object.{self.name}()', try 'object.{self.name}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> List[Any]:
        """Calls the method of each actor; returns the refs."""
        return [getattr(a.actor, self.name).remote(*args, **kwargs) for a in self.group.actors]


class ActorGroup:
    """Actors of one class, which are started, called and ended together."""

    def __init__(
        self,
        actor_cls: type,
        num_actors: int = 1,
        num_cpus_per_actor: float = 1,
        num_gpus_per_actor: float = 0,
        resources_per_actor: Optional[Dict[str, float]] = None,
        init_args: Optional[Tuple[Any, ...]] = None,
        init_kwargs: Optional[Dict[str, Any]] = None,
    ) -> None:
        self.actors: List[ActorWrapper] = []
        if num_actors <= 0:
            raise ValueError(
                "The provided `num_actors` must be greater than 0. Received "
                f"num_actors={num_actors} instead."
            )
        if num_cpus_per_actor < 0 or num_gpus_per_actor < 0:
            raise ValueError(
                "The number of CPUs and GPUs per actor must not be negative. Received "
                f"num_cpus_per_actor={num_cpus_per_actor} and "
                f"num_gpus_per_actor={num_gpus_per_actor}."
            )
        self.num_actors = num_actors
        remote_class = iorun.remote(
            num_cpus=num_cpus_per_actor,
            num_gpus=num_gpus_per_actor,
            resources=resources_per_actor,
        )(actor_cls)
        self._make: Callable[[], Any] = lambda: remote_class.remote(
            *(init_args or ()), **(init_kwargs or {})
        )
        self.start()

    def __getattr__(self, name: str) -> _GroupMethod:
        if name.startswith("__") or "actors" not in self.__dict__:
            raise AttributeError(name)
        if not self.actors:
            raise RuntimeError("This ActorGroup has been shutdown. Please start it again.")
        return _GroupMethod(self, name)

    def __len__(self) -> int:
        return len(self.actors)

    def __getitem__(self, index: int) -> ActorWrapper:
        return self.actors[index]

    def start(self) -> None:
        """Starts the actors; an error where they run already."""
        if self.actors:
            raise RuntimeError(
                "The actors have already been started. Please call `shutdown` first if you want "
                "to restart them."
            )
        self.add_actors(self.num_actors)

    def add_actors(self, num_actors: int) -> None:
        """Starts so many more."""
        self.actors += [ActorWrapper(self._make()) for _ in range(num_actors)]

    def remove_actors(self, actor_indexes: List[int]) -> None:
        """Lets go of these actors."""
        gone = set(actor_indexes)
        self.actors = [actor for i, actor in enumerate(self.actors) if i not in gone]

    def shutdown(self, patience_s: float = 5) -> None:
        """Ends the actors: each may finish what it does for so many seconds (0: none)."""
        if patience_s > 0:
            ends = [wrapper.actor.__ray_terminate__.remote() for wrapper in self.actors]
            _, late = iorun.wait(ends, num_returns=len(ends), timeout=patience_s)
        else:
            late = [True]
        if late:
            for wrapper in self.actors:
                iorun.kill(wrapper.actor)
        self.actors = []

    @property
    def actor_metadata(self) -> List[Any]:
        """What is known of each actor."""
        return [wrapper.metadata for wrapper in self.actors]
