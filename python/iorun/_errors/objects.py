"""Why an object's value is not to be had."""

from __future__ import annotations

from typing import Any, Optional

from iorun._errors.base import RayError


class ObjectStoreFullError(RayError):
    """The object does not fit into the node's object store, not even after spilling."""

    def __str__(self) -> str:
        return (
            super().__str__() + "\nThe object store of the node is full of objects that are still "
            "referenced. Drop references, or start with a larger `object_store_memory`."
        )


class OutOfDiskError(RayError):
    """Neither the object store nor the disk below it has room for the object."""


class ObjectLostError(RayError):
    """No reachable node has a copy of the object any more."""

    #: What the class says after the object's name.
    EXPLANATION = "All copies of the object have been lost: the nodes or processes are gone."

    def __init__(self, object_ref_hex: str, owner_address: Any = None, call_site: str = ""):
        self.object_ref_hex = object_ref_hex
        self.owner_address = owner_address
        self.call_site = call_site

    def _base_str(self) -> str:
        text = f"Failed to retrieve object {self.object_ref_hex}."
        return f"{text} The ObjectRef was created at: {self.call_site}" if self.call_site else text

    def __str__(self) -> str:
        return f"{self._base_str()} {self.EXPLANATION}"


class ObjectFetchTimedOutError(ObjectLostError):
    """The object has an owner, but no copy could be fetched in time."""

    EXPLANATION = "No location of the object answered in time."


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """The object was deleted although this reference to it existed."""

    EXPLANATION = (
        "It was deleted while this reference existed; the reference was probably kept outside "
        "the runtime's sight, for example in a file."
    )


class ObjectFreedError(ObjectLostError):
    """The program itself freed the object."""

    EXPLANATION = "The object was freed by a call of `free`."


class OwnerDiedError(ObjectLostError):
    """The process that made the object is gone; with it went the object's value."""

    EXPLANATION = (
        "The object's owner has exited: the process that first created the ObjectRef with "
        "`.remote()` or `put()`. Keep that process (driver, task or actor) alive while its "
        "objects are in use."
    )

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text} Owner: {self.owner_address}." if self.owner_address else text


class ObjectReconstructionFailedError(ObjectLostError):
    """The object was lost, and running its task again is impossible or failed."""

    def __init__(
        self,
        object_ref_hex: str,
        reason: Any = None,
        reason_message: Optional[str] = None,
        owner_address: Any = None,
        call_site: str = "",
    ):
        super().__init__(object_ref_hex, owner_address, call_site)
        self.reason = reason
        self.reason_message = reason_message or "The object cannot be reconstructed."

    def __str__(self) -> str:
        return f"{self._base_str()} {self.reason_message}"


class GetTimeoutError(RayError, TimeoutError):
    """`get()` did not have its value in time."""


class PlasmaObjectNotAvailable(RayError):
    """The object was not there in time."""


# Ray spells it so.
class OufOfBandObjectRefSerializationException(RayError):
    """An ObjectRef was pickled outside the runtime."""


class UnserializableException(RayError):
    """An error came over that cannot be unpickled here; its text is kept."""

    def __init__(self, original_stack_trace: str):
        self._original_stack_trace = original_stack_trace

    def __str__(self) -> str:
        return f"Failed to deserialize exception. Original exception:\n{self._original_stack_trace}"
