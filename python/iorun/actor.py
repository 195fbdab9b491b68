"""Classes whose instances live in processes of their own: what `@remote` makes of a class."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any, Callable, Dict, Optional

from iorun._core import arguments, global_state, serialization
from iorun._core import options as option_rules
from iorun._core.calls import ActorExit
from iorun._core.tasks import STREAMING, Template
from iorun.object_ref import ObjectRef
from iorun.remote_function import Arity, returned

__all__ = [
    "ActorClass",
    "ActorClassInheritanceException",
    "ActorHandle",
    "ActorMethod",
    "exit_actor",
    "make_actor_class",
    "method",
]

_UNKNOWN = object()
#: So many calls of an async actor run at once, unless it says otherwise.
_ASYNC_CALLS = 1000
_OPTIONS = "__iorun_method_options__"
_SPECIAL = {"__ray_call__", "__ray_terminate__", "__ray_ready__"}
#: What handles know of the class; the rest of the creation's data only its process needs.
_HANDLE_KEYS = (
    "class_name",
    "methods",
    "max_task_retries",
    "max_pending_calls",
    "out_of_order",
    "concurrency",
    "concurrency_groups",
)


class ActorClassInheritanceException(TypeError):
    """A class was derived from an actor class."""


def method(*args: Any, **options: Any) -> Callable[[Any], Any]:
    """Options for one method of an actor: `@method(num_returns=2)`."""
    if args or not options:
        raise TypeError("The @method decorator takes keyword arguments, and at least one.")
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

    def __init_subclass__(cls, **_: Any) -> None:
        raise ActorClassInheritanceException(
            "Inheriting from actor classes is not supported: inherit before @remote."
        )

    def __mro_entries__(self, bases: Any) -> Any:
        raise ActorClassInheritanceException(
            "Attempted to define a subclass of an actor class. Inheriting from actor classes is "
            "not currently supported. Inherit from the plain class, and decorate the subclass."
        )

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
            namespace=(options.get("namespace") or core.namespace) if name else "",
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


class ActorHandle:
    """Calls the methods of an actor: `handle.method.remote(...)`."""

    __slots__ = ("__weakref__", "_arities", "_client", "_id", "_meta", "_ref", "_templates")

    def __init__(
        self,
        id: bytes,
        meta: Dict[str, Any],
        ref: Optional[ObjectRef],
        arities: Optional[Dict[str, Arity]] = None,
    ):
        self._id = id
        self._meta = {key: meta[key] for key in _HANDLE_KEYS if key in meta}
        #: Counts the handle; None where nobody counts them.
        self._ref = ref
        #: Shared by the handles of one class.
        self._arities: Dict[str, Arity] = {} if arities is None else arities
        self._templates: Dict[str, Template] = {}
        core = global_state.require()
        self._client = core.actors.adopt(id, ref)
        if self._client.max_pending == -1:
            self._client.max_pending = self._meta.get("max_pending_calls", -1)
            self._client.concurrency = self._meta.get("concurrency", 1)
            self._client.out_of_order = self._meta.get("out_of_order", False)
            self._client.class_name = self._client.class_name or self._meta["class_name"]

    @property
    def _actor_id_bytes(self) -> bytes:
        return self._id

    @property
    def _actor_id(self) -> Any:
        from iorun.ids import ActorID

        return ActorID(self._id)

    _ray_actor_id = _actor_id

    @property
    def _ray_class_name(self) -> str:
        return str(self._meta["class_name"])

    def __getattr__(self, name: str) -> "ActorMethod":
        info = self._meta["methods"].get(name)
        if info is None:
            if name in _SPECIAL:
                info = {}
            else:
                raise AttributeError(
                    f"'{self._meta['class_name']}' object has no attribute '{name}'"
                )
        return ActorMethod(self, name, info, {})

    def __dir__(self) -> Any:
        return {*self._meta["methods"], *_SPECIAL, "__init__"}

    def __eq__(self, other: object) -> bool:
        return type(other) is ActorHandle and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"Actor({self._meta['class_name']}, {self._id.hex()})"

    def __reduce__(self) -> tuple:
        return _handle, (self._id, self._meta, self._ref)


def _handle(id: bytes, meta: Dict[str, Any], ref: Optional[ObjectRef]) -> ActorHandle:
    return ActorHandle(id, meta, ref)


class ActorMethod:
    """One method of one actor."""

    __slots__ = ("_handle", "_info", "_name", "_options")

    def __init__(
        self, handle: ActorHandle, name: str, info: Dict[str, Any], options: Dict[str, Any]
    ):
        self._handle = handle
        self._name = name
        self._info = info
        self._options = options

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Actor methods cannot be called directly. Instead of running "
            f"'object.{self._name}()', try 'object.{self._name}.remote()'."
        )

    def options(self, **options: Any) -> "ActorMethod":
        """The same method with other options."""
        option_rules.check(options, option_rules.METHOD_OPTIONS, "actor methods")
        return ActorMethod(self._handle, self._name, self._info, {**self._options, **options})

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """A node of a graph of calls, which `execute` makes."""
        from iorun.dag.class_node import PARENT_CLASS_NODE_KEY, ClassMethodNode

        node = ClassMethodNode(
            self._name, args, kwargs, self._options, {PARENT_CLASS_NODE_KEY: self._handle}
        )
        return node._outputs(self._options.get("num_returns") or self._info.get("returns"))

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the method; returns its reference (or references, or a generator of them)."""
        handle = self._handle
        core = global_state._worker
        client = handle._client
        if client.core is not core:
            raise _foreign(handle)
        if self._options:
            template = self._make_template(core)
        else:
            known = handle._templates.get(self._name)
            template = known if known is not None else self._make_template(core)
        self._check(args, kwargs)
        given = arguments.encode(core, args, kwargs)
        parent = core.executor.current_task() if core.executor is not None else b""
        with core.loop.lock:
            task, refs = core.actors.call(client, template, given, parent)
        if core.loop.crowded is not None:
            core.loop.relieve()
        if template.returns == 1:
            return refs[0]
        return returned(core, template, task, refs)

    def _remote(
        self, args: Any = (), kwargs: Optional[Dict[str, Any]] = None, **options: Any
    ) -> Any:
        return self.options(**options).remote(*(args or ()), **(kwargs or {}))

    def _check(self, args: Any, kwargs: Any) -> None:
        arities = self._handle._arities
        arity = arities.get(self._name)
        if arity is None:
            arity = arities[self._name] = Arity.of(self._info.get("parameters"))
        arity.check(args, kwargs)

    def _group(self, options: Dict[str, Any], info: Dict[str, Any]) -> str:
        group = options.get("concurrency_group") or info.get("group") or ""
        known = self._handle._meta.get("concurrency_groups") or {}
        if group and group not in known:
            raise ValueError(
                f"The concurrency group {group!r} of {self._handle._meta['class_name']}."
                f"{self._name} does not exist; there are: {', '.join(sorted(known)) or 'none'}."
            )
        return str(group)

    def _make_template(self, core: Any) -> Template:
        info, options, meta = self._info, self._options, self._handle._meta
        returns = options.get("num_returns")
        if returns is None:
            returns = info.get("returns")
        if returns is None:
            returns = STREAMING if info.get("generator") else 1
        retries = options.get("max_task_retries")
        if retries is None:
            retries = info.get("retries", meta.get("max_task_retries", 0))
        retry = info.get("retry")
        if options.get("retry_exceptions") is not None:
            retry = option_rules.retry_spec(options["retry_exceptions"])
        name = options.get("name") or f"{meta['class_name']}.{self._name}"
        spec = {
            "name": name,
            "function": f"{meta['class_name']}.{self._name}",
            "method": self._name,
            "returns": returns,
            "group": self._group(options, info),
            "retry": retry,
            "backpressure": options.get("_generator_backpressure_num_objects")
            or info.get("backpressure")
            or 0,
        }
        template = Template(core.next_template(), name, spec, returns, retries)
        if not options:
            self._handle._templates[self._name] = template
        return template


def _foreign(handle: ActorHandle) -> Exception:
    from iorun.exceptions import ActorHandleNotFoundError

    if global_state._worker is None:
        return RuntimeError("This process is not attached to a network: call `init()` first.")
    return ActorHandleNotFoundError(
        f"{handle!r} was made in an earlier session of this process and is not known in this one."
    )
