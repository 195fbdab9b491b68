"""Makes a zygote's process the runtime environment that a document describes."""

from __future__ import annotations

import base64
import binascii
import os
import re
import site
import sys
from collections.abc import Mapping
from typing import Any, Callable, Dict, List

from iorun._environment import START, cache, packing, sharing

#: Seconds that packages may take where `config` says nothing.
SETUP_TIMEOUT = 600

# The loader and the interpreter read these when they start, and never again.
_READ_AT_START = ("LD_", "GLIBC_TUNABLES", "MALLOC_", "PYTHON")
_REEXECUTED = "IORUN_ENVIRONMENT_APPLIED"


class BuildError(Exception):
    """The environment could not be built; the text is for the user."""


def apply_variables(document: Mapping) -> None:
    """Sets `env_vars`, in which `${NAME}` stands for what the variable was before.

    Where the interpreter itself has to see one of them, it starts anew and does not return.
    """
    variables = document.get("env_vars") or {}
    if not variables or os.environ.pop(_REEXECUTED, None):
        return
    before = dict(os.environ)
    values = {name: expand(value, before) for name, value in variables.items()}
    changed = {name for name, value in values.items() if before.get(name) != value}
    os.environ.update(values)
    if any(name.startswith(_READ_AT_START) for name in changed):
        os.environ[_REEXECUTED] = "1"
        os.execv(sys.executable, [sys.executable, "-c", START, *sys.argv[1:]])


def expand(value: str, variables: Mapping) -> str:
    """`${NAME}` replaced by the variable's value, or by nothing where there is none."""
    return re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match.group(1), ""), value)


def build(document: Mapping, progress: Callable[[str], None]) -> None:
    """Installs packages, unpacks folders, and sets `sys.path` and the current folder.

    Raises BuildError.
    """
    from iorun._environment.installer import InstallError, install, site_packages

    config = document.get("config") or {}
    timeout = float(config.get("setup_timeout_seconds", SETUP_TIMEOUT))
    front: List[str] = []
    try:
        for kind in ("pip", "uv"):
            wanted = document.get(kind)
            if wanted and wanted.get("packages"):
                path = install(kind, wanted, timeout if timeout > 0 else float("inf"), progress)
                _activate(path, site_packages(path))
        modules = document.get("py_modules") or []
        folder = document.get("working_dir")
        if modules or folder:
            cache.sweep_running()
            root = cache.held_folder()
            for number, module in enumerate(modules):
                front.append(_unpacked(module, os.path.join(root, f"module-{number}")))
            if folder:
                path = _unpacked(folder, os.path.join(root, "working_dir"))
                os.chdir(path)
                front.insert(0, path)
    except InstallError as error:
        raise BuildError(str(error)) from error
    except (OSError, ValueError) as error:
        raise BuildError(f"{type(error).__name__}: {error}") from error
    sys.path[:0] = front
    if front:
        # Programs that a task starts shall find the same modules.
        present = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(front + ([present] if present else []))


def _activate(path: str, packages: str) -> None:
    """What `bin/activate` of a virtual environment does, for this process and those below it."""
    before = list(sys.path)
    site.addsitedir(packages)
    added = [entry for entry in sys.path if entry not in before and entry != packages]
    # Before everything that is installed, after nothing else: the scripts' own folders stay first.
    first = next(
        (i for i, entry in enumerate(before) if entry.endswith(("-packages", "lib-dynload"))),
        len(before),
    )
    sys.path[:] = before[:first] + [packages] + added + before[first:]
    os.environ["VIRTUAL_ENV"] = path
    programs = os.path.join(path, "bin")
    os.environ["PATH"] = programs + os.pathsep + os.environ.get("PATH", os.defpath)
    sys.executable = os.path.join(programs, "python")


def _unpacked(entry: Dict[str, Any], folder: str) -> str:
    os.mkdir(folder)
    digest, kind = entry["package"], entry["kind"]
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"{digest!r} is no digest of a package")
    content = entry.get("content")
    if content is not None:
        archive = folder + ".zip"
        try:
            data = base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise ValueError(f"the package of {entry.get('path')} is malformed: {error}") from error
        with open(archive, "wb") as file:
            file.write(data)
        packing.unpack(archive, folder)
        os.unlink(archive)
        return folder
    candidates = [packing.package_file(digest, kind), entry.get("file", "")]
    archive = next((path for path in candidates if path and os.path.exists(path)), "")
    if not archive and entry.get("reference"):
        sharing.postpone(entry, folder)
        return folder
    if not archive:
        raise BuildError(
            f"The package of {entry.get('path')} is not on this machine, and the program that "
            "made it did not share it, because it knew of one node only. Give the runtime_env "
            f"anew, or copy {entry.get('file')} to {candidates[0]} here."
        )
    packing.unpack(archive, folder)
    return folder


def run_hook(document: Mapping) -> None:
    """Runs `worker_process_setup_hook`, in a worker. Raises what the hook raises."""
    hook = document.get("worker_process_setup_hook")
    if not hook:
        return
    if isinstance(hook, Mapping):
        import pickle

        pickle.loads(base64.b64decode(hook["pickle"]))()
        return
    import importlib

    module, _, name = hook.rpartition(".")
    if not module:
        raise ValueError(f"worker_process_setup_hook {hook!r} must be 'module.function'")
    getattr(importlib.import_module(module), name)()
