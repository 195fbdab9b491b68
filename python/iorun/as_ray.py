"""Gives this package the name `ray`, so that programs run that say `import ray` and nothing of iorun.

    python -m iorun.as_ray program.py ARGUMENTS     a whole program, unchanged
    python -m iorun.as_ray -m package.module ...    or a module
    import iorun.as_ray                             in a program, before it imports `ray`

The name also holds in the program's workers, and with `python -m` in the Python processes that the
program starts. An installed Ray is hidden by it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import types
from typing import Any, List, Optional, Sequence

__all__ = ["FOLDER", "install", "main"]

#: With this folder on the path, `import ray` finds this package.
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_alias")

_USAGE = "usage: python -m iorun.as_ray (PROGRAM.py | -m MODULE | -c TEXT) [ARGUMENTS]"


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `ray.x.y` as the module `iorun.x.y`."""

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]] = None, target: Any = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        if not fullname.startswith("ray."):
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = importlib.import_module("iorun" + spec.name[len("ray") :])
        # The import system writes the alias's spec into the module; it keeps its own.
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__spec__ is not None and module.__spec__.loader is self:
            module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Lets `import ray` and `from ray.x import y` mean this package, here and in later workers."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    sys.modules["ray"] = importlib.import_module("iorun")
    # What is there already is not imported again: that would put modules over functions of their
    # name.
    for name, module in list(sys.modules.items()):
        if name.startswith("iorun."):
            sys.modules["ray" + name[len("iorun") :]] = module
    # Workers get this path, and find the name by it. Behind the program's own folder.
    if FOLDER not in sys.path:
        sys.path.insert(1, FOLDER)


def _in_children() -> None:
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if FOLDER not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([FOLDER, *filter(None, paths)])


def main(arguments: Optional[List[str]] = None) -> None:
    """Runs a program as Python would, under the alias."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help") or (given[0] in ("-m", "-c") and len(given) < 2):
        print(_USAGE, file=sys.stderr)
        raise SystemExit(0 if given and given[0] in ("-h", "--help") else 2)
    install()
    _in_children()
    if given[0] == "-m":
        import runpy

        sys.argv = given[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(given[1], run_name="__main__", alter_sys=True)
        return
    # Not `runpy.run_path`: it empties the program's names when the last line has run, and threads
    # and exit functions still want them. Not this module either: the program has its own globals.
    program = types.ModuleType("__main__")
    program.__builtins__ = __builtins__  # type: ignore[attr-defined]
    if given[0] == "-c":
        sys.argv = ["-c", *given[2:]]
        sys.path[0] = ""
        code = compile(given[1], "<string>", "exec")
    else:
        sys.argv = given
        sys.path[0] = os.path.dirname(os.path.abspath(given[0]))
        program.__file__ = given[0]
        try:
            with open(given[0], "rb") as file:
                code = compile(file.read(), given[0], "exec")
        except OSError as error:
            print(f"iorun.as_ray: cannot read {given[0]}: {error.strerror}", file=sys.stderr)
            raise SystemExit(2) from None
    sys.modules["__main__"] = program
    exec(code, program.__dict__)


if __name__ == "__main__":
    # The module of this name, not a second one.
    importlib.import_module("iorun.as_ray").main()
else:
    install()
