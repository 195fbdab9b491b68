"""Functions that run elsewhere: what `@remote` makes of a function."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Dict, List, Optional, Tuple

from iorun._core import arguments, global_state, serialization
from iorun._core import options as option_rules
from iorun._core.streams import ObjectRefGenerator
from iorun._core.tasks import DYNAMIC, STREAMING, Template, function_hash

__all__ = ["RemoteFunction"]

_DEFAULT_RETRIES = 3


class Arity:
    """Whether arguments fit a signature: quickly for the common case."""

    def __init__(self, function: Any, skip_first: bool = False):
        self.signature: Optional[inspect.Signature] = None
        self.least = 0
        self.most = -1
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            # Builtins without a signature check by themselves.
            return
        self._take(list(signature.parameters.values())[1 if skip_first else 0 :])

    @classmethod
    def of(cls, plain: Any) -> "Arity":
        """From `plain()`, in another process."""
        arity = cls.__new__(cls)
        arity.signature, arity.least, arity.most = None, 0, -1
        if plain is not None:
            arity._take(
                [
                    inspect.Parameter(
                        name, kind, default=None if default else inspect.Parameter.empty
                    )
                    for name, kind, default in plain
                ]
            )
        return arity

    def plain(self) -> Any:
        """Names, kinds, and whether there are defaults; None where nothing is known."""
        if self.signature is None:
            return None
        return [
            (p.name, int(p.kind), p.default is not inspect.Parameter.empty)
            for p in self.signature.parameters.values()
        ]

    def _take(self, parameters: List[inspect.Parameter]) -> None:
        self.signature = inspect.Signature(parameters)
        positional = [
            p
            for p in parameters
            if p.kind
            in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        ]
        needed = [p for p in positional if p.default is inspect.Parameter.empty]
        keywords = any(
            p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is inspect.Parameter.empty
            for p in parameters
        )
        variadic = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
        self.least = len(needed)
        self.most = -1 if keywords else (1 << 30 if variadic else len(positional))

    def check(self, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> None:
        """Raises TypeError where the arguments do not fit."""
        if not kwargs and self.least <= len(args) <= self.most:
            return
        if self.signature is not None:
            self.signature.bind(*args, **kwargs)


class RemoteFunction:
    """A function that runs as a task: `f.remote(...)` returns references at once."""

    def __init__(self, function: Any, options: Dict[str, Any]):
        option_rules.check(options, option_rules.TASK_OPTIONS, "remote functions")
        if options.get("num_gpus") and options.get("max_calls") is None:
            # A process that has used a GPU keeps memory there: it ends with the task.
            options = {**options, "max_calls": 1}
        if inspect.iscoroutinefunction(function):
            raise ValueError(
                "'async def' should not be used for remote tasks. You can wrap the async function "
                "with `asyncio.run(f())`, or use an async actor."
            )
        self._is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(
            function
        )
        option_rules.check_returns(options.get("num_returns"), self._is_generator)
        self._function = function
        self._function_name = f"{function.__module__}.{function.__name__}"
        self._default_options = dict(options)
        self._arity = Arity(function)
        self._code: Optional[bytes] = None
        self._hash = b""
        self._core: Any = None
        self._template: Any = None
        self._with_context = False
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Remote functions cannot be called directly. Instead of running "
            f"'{self._function_name}()', try '{self._function_name}.remote()'."
        )

    def __getstate__(self) -> Dict[str, Any]:
        return {"function": self._function, "options": self._default_options}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        RemoteFunction.__init__(self, state["function"], state["options"])

    def options(self, **options: Any) -> "RemoteFunction":
        """The same function with other options."""
        option_rules.check(options, option_rules.TASK_OPTIONS, "remote functions", True)
        option_rules.check_returns(options.get("num_returns"), self._is_generator)
        other = RemoteFunction.__new__(RemoteFunction)
        other.__dict__.update(self.__dict__)
        other._default_options = _merged(self._default_options, options)
        other._core = None
        other._template = None
        other._origin = self
        return other

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Submits a task; returns its reference (or references, or a generator of them)."""
        core = global_state._worker
        if core is None or core is not self._core:
            core = self._prepare()
        self._arity.check(args, kwargs)
        template = self._template if not self._with_context else self._make_template(core)
        given = arguments.encode(core, args, kwargs)
        parent = core.executor.current_task() if core.executor is not None else b""
        with core.loop.lock:
            task, refs = core.tasks.submit(template, given, parent)
        if core.loop.crowded is not None:
            core.loop.relieve()
        return returned(core, template, task, refs)

    def _remote(
        self, args: Any = (), kwargs: Optional[Dict[str, Any]] = None, **options: Any
    ) -> Any:
        target = self.options(**options) if options else self
        return target.remote(*(args or ()), **(kwargs or {}))

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """A node of a graph of calls, which `execute` makes."""
        from iorun.dag.function_node import FunctionNode

        return FunctionNode(self, args, kwargs, self._default_options)

    def _prepare(self) -> Any:
        from iorun._init import connected_worker

        core = connected_worker()
        code = self._dumped()
        self._template = None
        self._template = self._make_template(core, code)
        self._core = core
        return core

    def _dumped(self) -> bytes:
        # `options()` shares the code with the function that it was called on.
        origin = self.__dict__.get("_origin")
        if origin is not None:
            code = origin._dumped()
            self._code, self._hash = code, origin._hash
            return code
        core = global_state._worker
        if self._code is None or self.__dict__.get("_dumped_for") is not core:
            self._code = serialization.dump_function(self._function)
            self._hash = function_hash(self._code)
            self._dumped_for = core
        return self._code

    def _make_template(self, core: Any, code: Optional[bytes] = None) -> Template:
        options = self._default_options
        resources = option_rules.resources_of(options, 1)
        request, spec = option_rules.request_of(core, options, resources)
        if options.get("max_retries") == 0:
            # Where memory runs out, those end first whose work is done again.
            request["retriable"] = False
        # A task inside of a placement group that its children inherit decides anew each time.
        self._with_context = (
            core.executor is not None and options.get("scheduling_strategy") is None
        )
        key = option_rules.queue_key(request)
        if self._template is not None and self._template.key == key:
            return self._template  # type: ignore[no-any-return]
        returns = options.get("num_returns")
        if returns is None:
            returns = STREAMING if self._is_generator else 1
        retries = options.get("max_retries")
        retries = _DEFAULT_RETRIES if retries is None else retries
        name = options.get("name") or self._function.__name__
        spec.update(
            name=name,
            function=self._function_name,
            hash=self._hash,
            returns=returns,
            retry=option_rules.retry_spec(options.get("retry_exceptions")),
            max_calls=options.get("max_calls") or 0,
            backpressure=options.get("_generator_backpressure_num_objects") or 0,
        )
        if options.get("enable_task_events") is False:
            spec["untold"] = True
        template = Template(
            core.next_template(),
            name,
            spec,
            returns,
            retries,
            self._hash,
            code or self._code or b"",
        )
        template.key = key
        with core.loop.lock:
            template.queue = core.queue_for(key, request)
        return template


def _merged(defaults: Dict[str, Any], options: Dict[str, Any]) -> Dict[str, Any]:
    merged = {**defaults, **options}
    metadata = {**(defaults.get("_metadata") or {}), **(options.get("_metadata") or {})}
    if metadata:
        merged["_metadata"] = metadata
    return merged


def returned(core: Any, template: Template, task: Any, refs: List[Any]) -> Any:
    """What `.remote()` returns."""
    returns = template.returns
    if returns == 1:
        return refs[0]
    if returns.__class__ is int:
        return refs if returns else None
    if returns == DYNAMIC:
        return refs[0]
    return ObjectRefGenerator(core, task, refs[0])
