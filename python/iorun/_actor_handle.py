"""Handles of actors, and their methods."""

from __future__ import annotations

from typing import Any, Dict, Optional

from iorun._core import arguments, global_state
from iorun._core import options as option_rules
from iorun._core.tasks import STREAMING, Template
from iorun.object_ref import ObjectRef
from iorun.remote_function import Arity, returned

_SPECIAL = {"__ray_call__", "__ray_terminate__", "__ray_ready__"}
#: What handles know of the class; the rest of the creation's data only its process needs.
_HANDLE_KEYS = (
    "class_name",
    "methods",
    "max_task_retries",
    "max_pending_calls",
    "out_of_order",
    "untold",
    "actor_backpressure",
    "concurrency",
    "concurrency_groups",
)


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

    def __class_getitem__(cls, _item: Any) -> type:
        """`ActorHandle[Counter]`, for hints."""
        return cls

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
        if meta.get("actor_backpressure"):
            spec["actor_backpressure"] = meta["actor_backpressure"]
        if option_rules.is_untold(options, info, meta):
            spec["untold"] = True
        template = Template(core.next_template(), name, spec, returns, retries)
        if not options:
            self._handle._templates[self._name] = template
        return template


def _foreign(handle: ActorHandle) -> Exception:
    from iorun.exceptions import ActorHandleNotFoundError

    if global_state._worker is None:
        return RuntimeError("This process is not attached to a network: call `init()` first.")
    return ActorHandleNotFoundError(
        f"{handle!r} was made in an earlier session of this process and is not known in this one. "
        "It might be dead or it's from a different cluster."
    )
