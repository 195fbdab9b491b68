"""Runtime environments on their way from a program to the zygotes of its workers.

A *document* is a runtime environment as it travels: JSON, in which local folders have become
packages named by their content. The driver resolves what the user wrote into one, merges it with
its job's, and sends its text; a node's zygote builds what it says (`build.py`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Dict, List, Optional, Tuple

from iorun._environment import packing, remote
from iorun._system_config import VARIABLE as SYSTEM_CONFIG

__all__ = ["decode", "describe", "encode", "environment_hash", "launcher", "merge", "resolve"]

#: Packages up to this size travel inside the document, so that they need not be on the node.
#: The text is one environment variable of the zygote (the kernel's limit is 128 KiB) and part of
#: each request for a lease.
INLINE_LIMIT = 24 << 10
TEXT_LIMIT = 96 << 10

#: A zygote's program. Not `-m iorun._zygote`: with it, a `types.py` in the current folder would be
#: taken for the standard library's before anything runs.
START = (
    "import sys; sys.path[:1] = [p for p in sys.path[:1] if p]; "
    "from iorun._zygote.__main__ import main; sys.exit(main())"
)

# What is for people and for the build, and makes no difference to what is built.
_NOT_HASHED = ("config",)


def resolve(runtime_env: Optional[Mapping]) -> Dict[str, Any]:
    """The document of what a user gave as `runtime_env`: checked, its folders packed.

    Raises ValueError or TypeError where it is malformed, a path is missing or a folder too large.
    """
    if not runtime_env:
        return {}
    if not isinstance(runtime_env, Mapping):
        raise TypeError(
            f"runtime_env must be a dict or a RuntimeEnv, not {type(runtime_env).__name__}."
        )
    from iorun.runtime_env import RuntimeEnv

    checked = dict(RuntimeEnv(**runtime_env))
    excludes = checked.pop("excludes", None) or []
    document: Dict[str, Any] = {}
    for key, value in checked.items():
        if key == "working_dir":
            document[key] = _package(value, excludes, as_module=False)
        elif key == "py_modules":
            document[key] = [_package(module, excludes, as_module=True) for module in value]
        elif key == "worker_process_setup_hook":
            document[key] = _hook(value)
        elif value not in (None, {}, []):
            document[key] = dict(value) if isinstance(value, Mapping) else value
    return document


def _package(path: Any, excludes: List[str], as_module: bool) -> Dict[str, Any]:
    file = remote.fetch(path) if remote.is_remote(path) else path
    package = packing.pack(file, excludes, as_module=as_module)
    entry: Dict[str, Any] = {"package": package.digest, "kind": package.kind, "path": path}
    if package.size <= INLINE_LIMIT:
        with open(package.file, "rb") as file:
            entry["content"] = base64.b64encode(file.read()).decode("ascii")
    else:
        entry["file"] = package.file
    return entry


def _hook(hook: Any) -> Any:
    if isinstance(hook, (str, Mapping)):
        return hook
    if not callable(hook):
        raise TypeError(
            "worker_process_setup_hook must be a function or the name of one, got "
            f"{type(hook).__name__}."
        )
    import cloudpickle

    try:
        content = cloudpickle.dumps(hook)
    except Exception as error:
        from iorun.exceptions import RuntimeEnvSetupError

        raise RuntimeEnvSetupError(
            f"Failed to export the setup function {hook!r}: it cannot be pickled: {error}"
        ) from error
    return {
        "pickle": base64.b64encode(content).decode("ascii"),
        "name": getattr(hook, "__qualname__", repr(hook)),
    }


def merge(parent: Optional[Mapping], child: Optional[Mapping]) -> Dict[str, Any]:
    """The child's document on top of the parent's: variables one by one, the rest by field."""
    merged = dict(parent or {})
    child = child or {}
    if "pip" in child or "uv" in child:
        # Two ways to install packages exclude each other; the nearer word counts.
        merged.pop("pip", None)
        merged.pop("uv", None)
    variables = {**merged.get("env_vars", {}), **child.get("env_vars", {})}
    merged.update(child)
    if variables:
        merged["env_vars"] = variables
    return merged


def encode(document: Optional[Mapping]) -> Tuple[str, str]:
    """A document's hash and its text; ("", "") for the plain environment."""
    if not document or all(key in _NOT_HASHED for key in document):
        return "", ""
    hashed = {key: _essence(value) for key, value in document.items() if key not in _NOT_HASHED}
    digest = hashlib.sha256(_canonical(hashed).encode()).hexdigest()[:40]
    text = _canonical(document)
    if len(text) > TEXT_LIMIT:
        text = _canonical(_without_content(document))
    if len(text) > TEXT_LIMIT:
        raise ValueError(
            f"The runtime_env is {len(text):,} bytes long as text; at most {TEXT_LIMIT:,} are "
            "possible. Put large values of env_vars into a file of the working_dir."
        )
    return digest, text


def _essence(value: Any) -> Any:
    # A package is its content, wherever it came from.
    if isinstance(value, Mapping):
        if "package" in value:
            return {"package": value["package"], "kind": value["kind"]}
        return {key: _essence(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_essence(inner) for inner in value]
    return value


def _without_content(value: Any) -> Any:
    if isinstance(value, Mapping):
        if "package" in value:
            file = packing.package_file(value["package"], value["kind"])
            return {**{k: v for k, v in value.items() if k != "content"}, "file": file}
        return {key: _without_content(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_content(inner) for inner in value]
    return value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def decode(text: str) -> Dict[str, Any]:
    """The document of a text; empty for the plain environment. Raises ValueError."""
    if not text:
        return {}
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("a runtime environment's text must be a JSON object")
    return document


def environment_hash(
    runtime_env: Optional[Mapping], parent: Optional[Mapping] = None
) -> Tuple[str, str]:
    """Hash and text of what a user gave, on top of the parent's document."""
    return encode(merge(parent, resolve(runtime_env)))


def describe(document: Optional[Mapping]) -> Dict[str, Any]:
    """A document as a user would have written it, with the paths that he gave."""
    described: Dict[str, Any] = {}
    for key, value in (document or {}).items():
        if key == "working_dir":
            value = value.get("path", "")
        elif key == "py_modules":
            value = [module.get("path", "") for module in value]
        elif key == "worker_process_setup_hook" and isinstance(value, Mapping):
            value = value.get("name", "")
        described[key] = value
    return described


#: Names of GPUs by their numbers, in the environment of workers. (Agents drop what begins with IORUN_.)
DEVICES = "_IORUN_VISIBLE_DEVICES"
#: The job's `LoggingConfig` as JSON, in the environment of workers.
LOGGING = "_IORUN_LOGGING"


def launcher(devices: str = "", log_config: str = "", system_config: str = "") -> Dict[str, Any]:
    """How nodes start this program's zygotes: the `launcher` of a driver's hello.

    `devices`: the names of the GPUs that the program's own network has, where it says so.
    `log_config`: how workers are to log, as JSON. `system_config`: a `SystemConfig`, as text.
    """
    paths = [os.path.abspath(path) if path == "" else path for path in sys.path]
    program = sys.modules.get("__main__")
    script = getattr(program, "__file__", None)
    # `python -m` looks where it was started, not where the module lies.
    if script and getattr(program, "__spec__", None) is None:
        paths.insert(0, os.path.dirname(os.path.abspath(script)))
    paths = list(dict.fromkeys(path for path in paths if isinstance(path, str)))
    argv = [sys.executable or "python3", "-c", START, "--sys-path", json.dumps(paths)]
    if "numpy" in sys.modules:
        argv += ["--preload", "numpy"]
    if sys.modules.get("ray") is sys.modules["iorun"]:
        argv += ["--alias", "ray"]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("IORUN_")
    }
    if devices:
        environment[DEVICES] = devices
    for variable, value in ((LOGGING, log_config), (SYSTEM_CONFIG, system_config)):
        environment.pop(variable, None)
        if value:
            environment[variable] = value
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if os.path.basename(source) not in ("site-packages", "dist-packages"):
        # Not installed: the zygote could not find this package before it reads its arguments.
        present = environment.get("PYTHONPATH", "")
        if source not in present.split(os.pathsep):
            environment["PYTHONPATH"] = source + (os.pathsep + present if present else "")
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = "/"
    return {"argv": argv, "environment": environment, "cwd": folder, "kind": "zygote"}
