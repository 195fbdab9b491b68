"""Ids as values: 16 random bytes (or whatever the id is made of), equal and hashable by content."""

from __future__ import annotations

import os
from typing import ClassVar

__all__ = [
    "ActorClassID",
    "ActorID",
    "BaseID",
    "ClusterID",
    "FunctionID",
    "JobID",
    "NodeID",
    "PlacementGroupID",
    "TaskID",
    "UniqueID",
    "WorkerID",
]


class BaseID:
    """An id of some kind; two are equal when kind and bytes are."""

    #: How many bytes an id of this kind has; 0 where that varies.
    SIZE: ClassVar[int] = 16
    __slots__ = ("_binary",)

    def __init__(self, binary: bytes):
        if not isinstance(binary, bytes):
            raise TypeError(f"{type(self).__name__} is made of bytes, not {type(binary).__name__}.")
        if self.SIZE and len(binary) != self.SIZE:
            raise ValueError(f"{type(self).__name__} has {self.SIZE} bytes, not {len(binary)}.")
        self._binary = binary

    @classmethod
    def from_hex(cls, text: str) -> "BaseID":
        """The id whose `hex()` is this text."""
        return cls(bytes.fromhex(text))

    @classmethod
    def from_binary(cls, binary: bytes) -> "BaseID":
        """The id of these bytes."""
        return cls(binary)

    @classmethod
    def from_random(cls) -> "BaseID":
        """A new id that nobody else draws."""
        return cls(os.urandom(cls.SIZE or 16))

    @classmethod
    def nil(cls) -> "BaseID":
        """The id of nothing: all bits set."""
        return cls(b"\xff" * (cls.SIZE or 16))

    @classmethod
    def size(cls) -> int:
        """How many bytes an id of this kind has."""
        return cls.SIZE

    def is_nil(self) -> bool:
        """Whether this is `nil()`."""
        return self._binary.count(b"\xff") == len(self._binary)

    def hex(self) -> str:
        """Lower-case hexadecimal text."""
        return self._binary.hex()

    def binary(self) -> bytes:
        """The bytes."""
        return self._binary

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._binary == other._binary

    def __hash__(self) -> int:
        return hash(self._binary)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self) -> tuple:
        return type(self), (self._binary,)


class UniqueID(BaseID):
    """An id of no particular kind."""

    __slots__ = ()


class TaskID(BaseID):
    """Names a task: the owner's worker id and the owner's counter."""

    SIZE = 24
    __slots__ = ()


class ActorID(BaseID):
    """Names an actor, through all of its restarts."""

    __slots__ = ()

    @property
    def job_id(self) -> "JobID":
        """The job of the process that asks: actors do not leave theirs."""
        from iorun._core import global_state

        return JobID(global_state.require().job_id.encode())


class NodeID(BaseID):
    """Names a node's agent."""

    __slots__ = ()


class WorkerID(BaseID):
    """Names a process: a driver or a worker."""

    __slots__ = ()


class PlacementGroupID(BaseID):
    """Names a placement group."""

    __slots__ = ()


class ClusterID(BaseID):
    """Names a network."""

    __slots__ = ()


class FunctionID(BaseID):
    """Names a function by its content."""

    SIZE = 0
    __slots__ = ()


class ActorClassID(BaseID):
    """Names a class by its content."""

    SIZE = 0
    __slots__ = ()


class JobID(BaseID):
    """Names a job: its text, `job-…`, as bytes, or random ones."""

    SIZE = 0
    __slots__ = ()

    def hex(self) -> str:
        """The text that names the job; hexadecimal digits where it is none."""
        return self._binary.decode() if self._binary.startswith(b"job-") else self._binary.hex()

    @classmethod
    def from_hex(cls, text: str) -> "JobID":
        """The id whose `hex()` is this text."""
        return cls(text.encode() if text.startswith("job-") else bytes.fromhex(text))
