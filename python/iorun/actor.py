"""Classes whose instances live in processes of their own: what `@remote` makes of a class."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any, Callable, Dict, Optional

from iorun._actor_handle import ActorHandle, ActorMethod
from iorun._core import arguments, global_state, serialization
from iorun._core import options as option_rules
from iorun._core.calls import ActorExit
from iorun.remote_function import Arity

__all__ = [
    "ActorClass",
    "ActorClassInheritanceException",
    "ActorHandle",
    "ActorMethod",
    "ActorProxy",
    "exit_actor",
    "make_actor_class",
    "method",
]

_UNKNOWN = object()
#: So many calls of an async actor run at once, unless it says otherwise.
_ASYNC_CALLS = 1000
_OPTIONS = "__iorun_method_options__"


class ActorClassInheritanceException(TypeError):
    """A class was derived from an actor class."""


def method(*args: Any, **options: Any) -> Any:
    """Options for one method of an actor: `@method(num_returns=2)`; `@method` alone has none."""
    if len(args) == 1 and callable(args[0]) and not options:
        return args[0]
    unknown = [name for name in options if name not in option_rules.METHOD_OPTIONS]
    if args or unknown:
        # Ray's type for it, so that what a program catches is the same.
        known = ", ".join(sorted(option_rules.METHOD_OPTIONS))
        raise AssertionError(
            f"The @method decorator takes no {args or unknown}, but keyword arguments: {known}."
        )
    option_rules.check(options, option_rules.METHOD_OPTIONS, "actor methods")

    def annotate(function: Any) -> Any:
        option_rules.check_returns(
            options.get("num_returns"),
            inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function),
        )
        setattr(function, _OPTIONS, options)
        return function

    return annotate


def exit_actor() -> None:
    """Ends the actor that calls it, in order; it is not restarted."""
    core = global_state.worker()
    if core is None or core.executor is None or core.executor.actor_id is None:
        raise TypeError(
            "exit_actor API is called on a non-actor worker. Call it within an actor's methods."
        )
    executor = core.executor
    try:
        asyncio.get_running_loop().call_soon(executor.exit_actor)
    except RuntimeError:
        # Not in a coroutine: the method that is left by the exception ends the process.
        pass
    raise ActorExit


def make_actor_class(cls: type, options: Dict[str, Any]) -> "ActorClass":
    """The actor class of a class."""
    option_rules.check(options, option_rules.ACTOR_OPTIONS, "actors")
    if inspect.isabstract(cls):
        raise TypeError(f"{cls.__name__} has abstract methods and cannot be an actor.")
    return ActorClass(cls, options)


def _methods_of(cls: type) -> Dict[str, Dict[str, Any]]:
    methods = {}
    for name in dir(cls):
        member = inspect.getattr_static(cls, name, None)
        function = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
        if not callable(function) or isinstance(function, type):
            continue
        if name.startswith("__") and name.endswith("__") and not inspect.isfunction(function):
            continue
        given = dict(getattr(function, _OPTIONS, {}))
        info: Dict[str, Any] = {}
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            info["generator"] = True
        for option, key in (
            ("num_returns", "returns"),
            ("concurrency_group", "group"),
            ("max_task_retries", "retries"),
            ("_generator_backpressure_num_objects", "backpressure"),
        ):
            if given.get(option) is not None:
                info[key] = given[option]
        if "enable_task_events" in given:
            info["told"] = given["enable_task_events"]
        if given.get("retry_exceptions"):
            info["retry"] = option_rules.retry_spec(given["retry_exceptions"])
        if inspect.isfunction(function):
            skip = not isinstance(member, staticmethod)
            info["parameters"] = Arity(function, skip).plain()
        methods[name] = info
    return methods


class ActorClass:
    """A class whose instances are actors: `A.remote(...)` makes one."""

    def __init__(self, cls: type, options: Dict[str, Any]):
        self._set(cls, options, _methods_of(cls))

    def _set(self, cls: type, options: Dict[str, Any], methods: Dict[str, Any]) -> None:
        self._cls = cls
        self._default_options = dict(options)
        self._methods = methods
        self._arity: Any = _UNKNOWN
        self._arities: Dict[str, Arity] = {}
        self._code = b""
        self._dumped_for: Any = None
        self.__name__ = cls.__name__
        self.__qualname__ = cls.__qualname__
        self.__module__ = cls.__module__
        self.__doc__ = cls.__doc__
        self.__ray_actor_class__ = cls

    def __repr__(self) -> str:
        return f"ActorClass({self.__name__})"

    def __init_subclass__(cls, **_: Any) -> None:
        raise ActorClassInheritanceException(
            "Inheriting from actor classes is not supported: inherit before @remote."
        )

    def __mro_entries__(self, bases: Any) -> Any:
        raise ActorClassInheritanceException(
            "Attempted to define a subclass of an actor class. Inheriting from actor classes is "
            "not currently supported. Inherit from the plain class, and decorate the subclass."
        )

    def __class_getitem__(cls, _item: Any) -> type:
        """`ActorClass[Counter]`, for hints."""
        return cls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Actors cannot be instantiated directly. Instead of "
            f"'{self.__name__}()', use '{self.__name__}.remote()'."
        )

    def __getstate__(self) -> Dict[str, Any]:
        return {"cls": self._cls, "options": self._default_options, "methods": self._methods}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        # A class that refers to itself is still empty at this moment: nothing of it is looked at.
        cls = state["cls"]
        self._set(cls, state["options"], state["methods"])

    def __getattr__(self, name: str) -> Any:
        cls = self.__dict__.get("_cls")
        if cls is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(cls, name)

    def __dir__(self) -> Any:
        return [*self._methods, "bind", "options", "remote"]

    @property
    def __ray_metadata__(self) -> SimpleNamespace:
        """The plain class, which programs test without actors, and the options of `@remote`."""
        return SimpleNamespace(
            modified_class=self._cls, class_name=self._cls.__name__, **self._default_options
        )

    def options(self, **options: Any) -> "_WithOptions":
        """The same class with other options."""
        option_rules.check(options, option_rules.ACTOR_OPTIONS, "actors", True)
        return _WithOptions(self, {**self._default_options, **options})

    def remote(self, *args: Any, **kwargs: Any) -> "ActorHandle":
        """Makes an actor; returns its handle at once."""
        return self._create(args, kwargs, self._default_options)

    def _remote(
        self, args: Any = (), kwargs: Optional[Dict[str, Any]] = None, **options: Any
    ) -> "ActorHandle":
        return self.options(**options).remote(*(args or ()), **(kwargs or {}))

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """A node of a graph of calls: an actor that each execution makes anew."""
        return self.options().bind(*args, **kwargs)

    def _create(self, args: Any, kwargs: Any, options: Dict[str, Any]) -> "ActorHandle":
        from iorun._init import connected_worker

        core = connected_worker()
        if self._arity is _UNKNOWN:
            init = self._cls.__init__
            self._arity = Arity(init, True) if init is not object.__init__ else None
        if self._arity is not None:
            self._arity.check(args, kwargs)
        elif args or kwargs:
            raise TypeError(f"{self.__name__}() takes no arguments.")
        if self._dumped_for is not core:
            self._code = serialization.dump_function(self._cls)
            self._dumped_for = core
        resources = option_rules.resources_of(options, 0)
        # Ray's rule: who asks for nothing needs a CPU to be placed and holds none; who asks for
        # anything but memory holds a CPU, too, unless told otherwise.
        placement = None
        if options.get("num_cpus") is None:
            if set(resources) - {"memory", "object_store_memory"}:
                resources["CPU"] = 1
            else:
                placement = {**resources, "CPU": 1}
        request, spec = option_rules.request_of(core, options, resources, placement)
        name = options.get("name")
        request.update(
            className=self.__name__,
            name=name or "",
            namespace=options.get("namespace") or core.namespace,
            detached=(options.get("lifetime") or core.default_lifetime) == "detached",
            getIfExists=bool(options.get("get_if_exists")),
            maxRestarts=options.get("max_restarts") or 0,
            methods="",
        )
        if placement is not None:
            request["placement"] = placement
        meta = {
            "class_name": self.__name__,
            "methods": self._methods,
            "code": self._code,
            "max_concurrency": options.get("max_concurrency"),
            "concurrency_groups": option_rules.concurrency_groups(
                options.get("concurrency_groups")
            ),
            "max_task_retries": options.get("max_task_retries") or 0,
            "max_pending_calls": options.get("max_pending_calls") or -1,
            "concurrency": self._concurrency(options),
            "out_of_order": self._out_of_order(options),
            "actor_backpressure": options.get("_actor_generator_backpressure_num_objects") or 0,
            "untold": options.get("enable_task_events") is False,
            **spec,
        }
        given = arguments.encode(core, args, kwargs)
        id, ref, known = core.actors.create(meta, request, given)
        return ActorHandle(id, known, ref, self._arities)

    def _concurrency(self, options: Dict[str, Any]) -> int:
        """How many calls run at once."""
        groups = option_rules.concurrency_groups(options.get("concurrency_groups"))
        limit = options.get("max_concurrency")
        if not limit:
            members = (inspect.getattr_static(self._cls, name, None) for name in self._methods)
            limit = _ASYNC_CALLS if any(map(_is_async, members)) else 1
        return int(limit) + sum(groups.values())

    def _out_of_order(self, options: Dict[str, Any]) -> bool:
        """Whether a call whose arguments are there overtakes one that waits for its own.

        Where calls run at once nobody can count on their order, but on their not being held up.
        """
        given = options.get("allow_out_of_order_execution")
        return self._concurrency(options) > 1 if given is None else bool(given)


def _is_async(member: Any) -> bool:
    return inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)


class _WithOptions:
    """An actor class with options of its own."""

    def __init__(self, actor_class: ActorClass, options: Dict[str, Any]):
        self._actor_class = actor_class
        self._options = options

    def remote(self, *args: Any, **kwargs: Any) -> "ActorHandle":
        """Makes an actor; returns its handle at once."""
        return self._actor_class._create(args, kwargs, self._options)

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """A node of a graph of calls: an actor that each execution makes anew."""
        from iorun.dag.class_node import ClassNode

        return ClassNode(self._actor_class, args, kwargs, self._options)

    def options(self, **options: Any) -> "_WithOptions":
        """Still other options."""
        return _WithOptions(self._actor_class, {**self._options, **options})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._actor_class, name)


#: What programs write in hints.
ActorProxy = ActorHandle

# Programs know them by this module's name.
ActorHandle.__module__ = ActorMethod.__module__ = __name__
