"""What a call runs: functions by their hash, methods by their name."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, Dict

from iorun import exceptions
from iorun._core import serialization
from iorun._core.calls import ActorExit, Incoming


class Functions:
    """The part of the executor that finds functions."""

    # Of Executor; named here for type checkers.
    functions: Dict[bytes, Any]
    codes: Dict[bytes, bytes]
    actor: Any

    def resolve(self, template: Incoming) -> Any:
        """The function of a template."""
        name = template.actor_method
        if name is not None:
            if name == "__ray_call__":
                function = self._ray_call
            elif name == "__ray_terminate__":
                function = self._terminate
            elif name == "__ray_ready__":
                function = _ready
            else:
                function = self._method(name)
        else:
            function = self.functions.get(template.hash)
            if function is None:
                code = self.codes.get(template.hash)
                if code is None:
                    raise exceptions.RaySystemError(f"the code of {template.name} has not come")
                function = self.functions[template.hash] = serialization.loads(code)
                del self.codes[template.hash]
        template.function = function
        template.is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(
            function
        )
        return function

    def _method(self, name: str) -> Any:
        """A method of the class: an attribute of the instance may have the same name."""
        member = inspect.getattr_static(type(self.actor), name, None)
        if inspect.isfunction(member):
            return member.__get__(self.actor)
        return getattr(self.actor, name)

    def _ray_call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self.actor, *args, **kwargs)

    def _terminate(self) -> None:
        raise ActorExit

    def _run_coroutine(self, value: Any) -> Any:
        if inspect.isasyncgen(value):
            return _drive(value)
        return asyncio.run(value)


def _drive(generator: Any) -> Any:
    """The values of an async generator, in a task that is no coroutine's."""
    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                yield loop.run_until_complete(generator.__anext__())
            except StopAsyncIteration:
                return
    finally:
        loop.run_until_complete(generator.aclose())
        loop.close()


def _ready() -> bool:
    return True
