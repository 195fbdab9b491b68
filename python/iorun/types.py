"""Names for annotations."""

from typing import Generic, TypeVar

__all__ = ["ObjectRef"]

T = TypeVar("T")


class ObjectRef(Generic[T]):
    """An annotation of what a ref holds, as in `ref: ObjectRef[int]`; never made."""
