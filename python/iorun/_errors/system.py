"""What went wrong in the runtime itself."""

from __future__ import annotations

from typing import Any, Optional

from iorun._errors.base import MessageError, RayError


class RaySystemError(RayError):
    """The runtime itself failed."""

    def __init__(self, client_exc: Any, traceback_str: Optional[str] = None):
        self.client_exc = client_exc
        self.traceback_str = traceback_str

    def __str__(self) -> str:
        text = f"System error: {self.client_exc}"
        return f"{text}\ntraceback: {self.traceback_str}" if self.traceback_str else text


class NetworkNotStartedError(RaySystemError, RuntimeError):
    """A question about a network, before there is one: `init` comes first."""


class AuthenticationError(RayError):
    """The network does not know this process's key or token."""

    def __init__(self, message: str = ""):
        super().__init__(message)
        self.message = message


class OutOfMemoryError(MessageError):
    """The worker was ended because the machine ran out of memory."""


class NodeDiedError(MessageError):
    """The node is dead or out of reach."""


class RpcError(MessageError):
    """A call to the node's agent failed."""

    def __init__(self, message: str = "", rpc_code: Any = None):
        super().__init__(message)
        self.rpc_code = rpc_code


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A generator yielded another number of objects when it was run again."""


class RayChannelError(RaySystemError):
    """A channel failed."""


class RayChannelTimeoutError(RayChannelError, TimeoutError):
    """A channel's operation did not end in time."""


class RayCgraphCapacityExceeded(RaySystemError):
    """A compiled graph has too many unread results."""


class RayDirectTransportError(RaySystemError):
    """A direct transfer of tensors failed."""
