"""What all errors derive from."""

from __future__ import annotations


class RayError(Exception):
    """The base of all errors that the runtime raises."""


class MessageError(RayError):
    """An error that is its message."""

    def __init__(self, message: str = ""):
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message
