"""Finds out which part of an object cannot be sent to another process."""

from __future__ import annotations

import inspect
from typing import Any, Iterator, List, Optional, Set, TextIO, Tuple

import cloudpickle

__all__ = ["FailureTuple", "inspect_serializability"]


class FailureTuple:
    """One object that does not pickle: `obj`, what leads to it from the top, and what holds it."""

    def __init__(self, obj: Any, path: Tuple[str, ...], parent: Any):
        self.obj = obj
        self.path = path
        self.parent = parent

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path[-1] if self.path else "unknown"

    def __repr__(self) -> str:
        path = " -> ".join(self.path)
        return f"FailTuple({self.name} [path={path}, obj={self.obj}, parent={self.parent}])"


def inspect_serializability(
    base_obj: Any,
    name: Optional[str] = None,
    depth: int = 3,
    print_file: Optional[TextIO] = None,
) -> Tuple[bool, Set[FailureTuple]]:
    """Whether the object can be sent, and if not, which of its parts are why.

    Looks `depth` levels into attributes, closures, globals of functions and containers, and prints
    what it finds (to `print_file`, default standard output).
    """

    def say(text: str) -> None:
        print(text, file=print_file)

    title = f"Checking Serializability of {base_obj}"
    rule = "=" * min(len(title), 80)
    say(f"{rule}\n{title}\n{rule}")
    path = (name,) if name else ()
    failures: List[FailureTuple] = []
    fine = _inspect(base_obj, path, None, depth, failures, say, set())
    if not fine:
        found = "\n".join(f"\t{failure}" for failure in failures)
        say(
            f"{rule}\nVariable:\n\n{found}\n\nwas found to be non-serializable. There may be "
            "multiple other undetected variables that were non-serializable.\nConsider either "
            "removing the instantiation/imports of these variables or moving the instantiation "
            f"into the scope of the function/class.\n{rule}"
        )
    return fine, set(failures)


def _inspect(
    obj: Any,
    path: Tuple[str, ...],
    parent: Any,
    depth: int,
    failures: List[FailureTuple],
    say: Any,
    seen: Set[int],
    level: int = 0,
) -> bool:
    indent = "    " * level
    if level > 0:
        say(f"{indent}Serializing '{path[-1]}' {obj}...")
    try:
        cloudpickle.dumps(obj)
        return True
    except Exception as error:
        say(f"{indent}!!! FAIL serialization: {error}")
    seen.add(id(obj))
    inner = False
    if depth > 0:
        for name, part in _parts(obj):
            if id(part) not in seen:
                deeper = (*path, name)
                fine = _inspect(part, deeper, obj, depth - 1, failures, say, seen, level + 1)
                inner = inner or not fine
    if not inner:
        failures.append(FailureTuple(obj, path, parent))
    return False


def _parts(obj: Any) -> Iterator[Tuple[str, Any]]:
    if inspect.isfunction(obj):
        try:
            closure = inspect.getclosurevars(obj)
        except ValueError:
            # A cell of the closure has no value yet.
            return
        yield from closure.globals.items()
        yield from closure.nonlocals.items()
    elif inspect.ismethod(obj):
        yield "__self__", obj.__self__
        yield "__func__", obj.__func__
    elif isinstance(obj, dict):
        yield from ((repr(key), value) for key, value in obj.items())
    elif isinstance(obj, (list, tuple, set, frozenset)):
        yield from ((f"[{index}]", value) for index, value in enumerate(obj))
    elif isinstance(obj, type):
        yield from list(vars(obj).items())
    else:
        yield from list(getattr(obj, "__dict__", {}).items())
