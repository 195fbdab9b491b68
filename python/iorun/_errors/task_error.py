"""What a task raised, as an error that is of the class of the user's own error, too."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import types
from typing import Any, Optional

from iorun._errors.base import RayError

logger = logging.getLogger("iorun.exceptions")


# Frames of the SDK itself tell a user nothing about his error.
_PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def _without_own_frames(text: str) -> str:
    """A traceback's text without the frames that are inside this package."""
    kept = []
    hidden = False
    for line in text.strip().split("\n"):
        if line.startswith('  File "'):
            hidden = line.startswith('  File "' + _PACKAGE_FOLDER)
        elif not line.startswith("    "):
            # Neither a frame nor what stands below one: a header or the error itself.
            hidden = False
        if not hidden:
            kept.append(line)
    return "\n".join(kept)


class RayTaskError(RayError):
    """A task or an actor's method raised; `cause` is what it raised."""

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException,
        proctitle: Optional[str] = None,
        pid: Optional[int] = None,
        ip: Optional[str] = None,
        actor_repr: Optional[str] = None,
        actor_id: Optional[str] = None,
    ):
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.proctitle = proctitle or f"ray::{function_name}"
        self.pid = pid or os.getpid()
        self.ip = ip or os.environ.get("IORUN_NODE_ADDRESS", "127.0.0.1")
        self.actor_repr = actor_repr
        self._actor_id = actor_id
        self.cause = _picklable(cause, traceback_str)
        # What `BaseException.__reduce__` makes the copy in another process from.
        self.args = (
            function_name,
            traceback_str,
            self.cause,
            self.proctitle,
            self.pid,
            self.ip,
            actor_repr,
            actor_id,
        )

    def as_instanceof_cause(self) -> RayTaskError:
        """This error as an instance of the cause's class too, so that `except` finds it.

        Where the class cannot be subclassed, the plain `RayTaskError`: its `cause` is there.
        """
        if isinstance(self, type(self.cause)):
            return self
        try:
            return self.make_dual_exception_instance()
        except Exception as error:
            logger.warning(
                "%r cannot be subclassed (%s). This exception is raised as RayTaskError only. You "
                "can use `ray_task_error.cause` to access the user exception.",
                type(self.cause),
                error,
            )
            return self

    def make_dual_exception_instance(self) -> RayTaskError:
        """An error of a class that derives from both `RayTaskError` and the cause's class."""
        return _dual(self.cause, str(self))

    def __str__(self) -> str:
        where = f"pid={self.pid}, ip={self.ip}"
        if self.actor_repr:
            where += f", actor_id={self._actor_id}, repr={self.actor_repr}"
        lines = []
        for line in _without_own_frames(self.traceback_str).split("\n"):
            if line.startswith("Traceback (most recent call last)"):
                line = f"{self.proctitle}() ({where})"
            lines.append(line)
        return "\n".join(lines)


def _picklable(cause: BaseException, traceback_str: str) -> BaseException:
    """The cause, or where it cannot travel, an error that says what it was."""
    # It must load, too: a class whose __init__ wants other arguments than `args` pickles well.
    try:
        pickle.loads(pickle.dumps(cause))
        return cause
    except Exception as plain:
        try:
            import cloudpickle

            pickle.loads(cloudpickle.dumps(cause))
            return cause
        except Exception:
            kind = f"{type(cause).__module__}.{type(cause).__qualname__}"
            return RayError(
                f"Exception {kind} isn't serializable: {plain}.\n"
                f"Original exception details:\n{traceback_str}"
            )


def _dual(cause: BaseException, message: str) -> RayTaskError:
    cause_class = type(cause)
    group = sys.version_info >= (3, 11) and isinstance(
        cause,
        BaseExceptionGroup,  # noqa: F821
    )

    class Dual(RayTaskError, cause_class):  # type: ignore[misc, valid-type]
        if group:
            # A group checks its arguments in __new__.
            def __new__(cls, cause: BaseException) -> Dual:
                return super().__new__(cls, cause.message, cause.exceptions)

        def __init__(self, cause: BaseException) -> None:
            # Neither base's __init__: what they would need is the cause's business.
            self.cause = cause
            self._dual_args = (cause,)
            _copy_slots(cause, self)

        # The user's class may have made `args` read-only or computed.
        @property
        def args(self) -> tuple:
            return self._dual_args

        @args.setter
        def args(self, value: tuple) -> None:
            self._dual_args = value

        def __reduce__(self) -> tuple:
            return _dual, (self.cause, message)

        def __getattr__(self, name: str) -> Any:
            if name == "cause":  # before __init__: no endless recursion
                raise AttributeError(name)
            return getattr(self.cause, name)

        def __str__(self) -> str:
            return message

    name = f"RayTaskError({cause_class.__name__})"
    Dual.__name__ = name
    Dual.__qualname__ = name
    Dual.__module__ = RayTaskError.__module__
    return Dual(cause)


def _copy_slots(source: BaseException, target: BaseException) -> None:
    """Copies what is no plain attribute, such as `OSError.errno`: it would hide the cause's."""
    for cls in type(source).__mro__:
        if cls in (Exception, BaseException, object):
            continue
        for name, member in vars(cls).items():
            if isinstance(member, types.MemberDescriptorType) and not name.startswith("__"):
                try:
                    setattr(target, name, getattr(source, name))
                except (AttributeError, TypeError):
                    # Never set in the source, or read-only: then there is nothing to copy.
                    continue
