"""Runtime environments: what a task, an actor or a job needs beside its code."""

from __future__ import annotations

import copy
import json
import os
from typing import Any, Callable, Dict, List, Optional, Union

from iorun._environment import remote

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]

_KNOWN = {
    "working_dir",
    "py_modules",
    "pip",
    "uv",
    "env_vars",
    "excludes",
    "config",
    "worker_process_setup_hook",
}
# What `pip` and `uv` may have where they are dicts.
_PACKAGE_FIELDS = {
    "pip": {"packages": list, "pip_check": bool, "pip_version": str, "pip_install_options": list},
    "uv": {"packages": list, "uv_check": bool, "uv_version": str, "uv_pip_install_options": list},
}
# Fields of Ray's that need what a node of this network does not have.
_UNSUPPORTED = {
    "conda": "use pip or uv",
    "container": "use pip or uv",
    "image_uri": "use pip or uv",
    "java_jars": "there are no Java workers",
    "nsight": "run the profiler inside the task",
    "py_executable": "start the driver with the wanted Python; workers use the same",
    "rocprof_sys": "run the profiler inside the task",
    "mpi": "submit a gang with `iorun submit`",
}


class RuntimeEnvConfig(dict):
    """How an environment is set up: `setup_timeout_seconds` bounds the installation of packages
    (-1: no bound). The other options are Ray's, taken and of no effect."""

    def __init__(
        self,
        setup_timeout_seconds: int = 600,
        eager_install: bool = True,
        log_files: Optional[List[str]] = None,
    ):
        if not isinstance(setup_timeout_seconds, int):
            raise TypeError(
                f"setup_timeout_seconds must be of type int, got: {type(setup_timeout_seconds)}"
            )
        if setup_timeout_seconds <= 0 and setup_timeout_seconds != -1:
            raise ValueError(
                "setup_timeout_seconds must be greater than zero or equals to -1, got: "
                f"{setup_timeout_seconds}"
            )
        super().__init__(
            setup_timeout_seconds=setup_timeout_seconds,
            eager_install=eager_install,
            log_files=list(log_files or []),
        )


class RuntimeEnv(dict):
    """A checked environment; a plain dict of the same keys is as good in every option.

    `env_vars`: variables. `working_dir`: a folder or a zip that becomes the current folder.
    `py_modules`: folders or files of modules. Both may be zips on the web (`https://…/x.zip`). `pip`, `uv`: packages (a list, a requirements file,
    or a dict with "packages"), installed once and kept by content. `excludes`: patterns as in a
    .gitignore, of files that are not packed. `worker_process_setup_hook`: a function, or the name
    of one, that each worker calls before its first task.
    """

    def __init__(
        self,
        *,
        working_dir: Optional[str] = None,
        py_modules: Optional[List[Any]] = None,
        pip: Union[List[str], str, Dict[str, Any], None] = None,
        uv: Union[List[str], str, Dict[str, Any], None] = None,
        env_vars: Optional[Dict[str, str]] = None,
        excludes: Optional[List[str]] = None,
        config: Optional[Dict[str, Any]] = None,
        worker_process_setup_hook: Union[Callable[[], Any], str, None] = None,
        _validate: bool = True,
        **others: Any,
    ):
        given = {
            "working_dir": working_dir,
            "py_modules": py_modules,
            "pip": pip,
            "uv": uv,
            "env_vars": env_vars,
            "excludes": excludes,
            "config": config,
            "worker_process_setup_hook": worker_process_setup_hook,
        }
        super().__init__({key: value for key, value in given.items() if value is not None})
        for key, value in others.items():
            if value is None or key.startswith("_"):
                continue
            if key in _UNSUPPORTED:
                raise ValueError(f"runtime_env[{key!r}] is not supported: {_UNSUPPORTED[key]}.")
            raise ValueError(
                f"Unknown field {key!r} in runtime_env; known are {', '.join(sorted(_KNOWN))}."
            )
        if _validate:
            self._validate()

    def _validate(self) -> None:
        if "pip" in self and "uv" in self:
            raise ValueError("The 'pip' field and 'uv' field of runtime_env cannot both be given.")
        variables = self.get("env_vars", {})
        if not isinstance(variables, dict):
            raise TypeError(
                f"runtime_env['env_vars'] must be of type Dict[str, str], got {type(variables)}"
            )
        for key, value in variables.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(
                    "runtime_env['env_vars'] must be of type Dict[str, str], but it has "
                    f"{key!r}: {value!r}."
                )
        folder = self.get("working_dir")
        if folder is not None:
            if not isinstance(folder, (str, os.PathLike)):
                raise TypeError(
                    f"runtime_env['working_dir'] must be a text, not {type(folder).__name__}."
                )
            super().__setitem__("working_dir", _local(os.fspath(folder), "working_dir"))
        modules = self.get("py_modules")
        if modules is not None:
            if not isinstance(modules, list):
                raise TypeError(
                    "runtime_env['py_modules'] must be a list of paths or modules, not "
                    f"{type(modules).__name__}."
                )
            super().__setitem__("py_modules", [_module_path(module) for module in modules])
        for key in ("pip", "uv"):
            if key in self:
                super().__setitem__(key, _packages(key, self[key]))
        excludes = self.get("excludes", [])
        if not isinstance(excludes, list) or not all(isinstance(path, str) for path in excludes):
            raise TypeError(f"runtime_env['excludes'] must be of type List[str], got {excludes!r}.")
        hook = self.get("worker_process_setup_hook")
        if hook is not None and not callable(hook) and not isinstance(hook, str):
            raise TypeError(f"worker_process_setup_hook must be a function, got {type(hook)}.")
        if isinstance(hook, str) and "." not in hook:
            raise ValueError(
                "worker_process_setup_hook must be 'module.function' where it is a text, got "
                f"{hook!r}."
            )
        if "config" in self:
            super().__setitem__("config", _config(self["config"]))

    def __setitem__(self, key: str, value: Any) -> None:
        """Sets a field; what it must not be raises as in the constructor."""
        checked = RuntimeEnv(**{**self, key: value})
        super().__setitem__(key, checked.get(key, value))

    def set(self, name: str, value: Any) -> None:
        """`self[name] = value`."""
        self[name] = value

    def get(self, name: str, default: Any = None, data_class: Any = None) -> Any:
        """A field; with `data_class` as an instance of that class."""
        value = super().get(name, default)
        if data_class is None or isinstance(value, data_class) or name not in self:
            return value
        return data_class(**value) if isinstance(value, dict) else data_class(value)

    def to_dict(self) -> Dict[str, Any]:
        """A plain dict of it."""
        return copy.deepcopy(dict(self))

    def serialize(self) -> str:
        """It as JSON."""
        return json.dumps(self, sort_keys=True)

    @classmethod
    def deserialize(cls, serialized_runtime_env: str) -> "RuntimeEnv":
        """What `serialize` gave, unchecked."""
        return cls(_validate=False, **json.loads(serialized_runtime_env))

    def has_working_dir(self) -> bool:
        """Whether it has a working folder."""
        return bool(self.get("working_dir"))

    def working_dir(self) -> str:
        """The working folder; empty where it has none."""
        return self.get("working_dir", "")

    def py_modules(self) -> List[str]:
        """The paths of its modules."""
        return list(self.get("py_modules", []))

    def env_vars(self) -> Dict[str, str]:
        """Its variables."""
        return dict(self.get("env_vars", {}))

    def has_pip(self) -> bool:
        """Whether it has packages of pip."""
        return bool(self.get("pip"))

    def pip_config(self) -> Dict[str, Any]:
        """What pip installs."""
        return dict(self.get("pip", {}))

    def has_uv(self) -> bool:
        """Whether it has packages of uv."""
        return bool(self.get("uv"))

    def uv_config(self) -> Dict[str, Any]:
        """What uv installs."""
        return dict(self.get("uv", {}))

    def has_conda(self) -> bool:
        """False: conda is not supported."""
        return False


def _local(path: str, field: str) -> str:
    if remote.is_remote(path):
        return remote.check(path, field)
    if "://" in path:
        raise ValueError(
            f"runtime_env[{field!r}] must be a folder or a zip on this machine, or a zip on the web "
            f"(https://), not {path!r}: fetch it first."
        )
    full = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(full):
        raise ValueError(f"runtime_env[{field!r}]: the path {path!r} does not exist.")
    if os.path.isfile(full) and not full.endswith((".zip", ".whl", ".py")):
        raise ValueError(
            f"runtime_env[{field!r}]: {path!r} is neither a folder nor a .zip, .whl or .py file."
        )
    return full


def _module_path(module: Any) -> str:
    if isinstance(module, (str, os.PathLike)):
        return _local(os.fspath(module), "py_modules")
    folders = getattr(module, "__path__", None)
    if folders:
        return _local(list(folders)[0], "py_modules")
    file = getattr(module, "__file__", None)
    if file:
        return _local(file, "py_modules")
    raise TypeError(f"runtime_env['py_modules'] takes paths and modules, not {module!r}.")


def _config(value: Any) -> RuntimeEnvConfig:
    if not isinstance(value, dict):
        raise TypeError(
            f"runtime_env['config'] must be of type dict or RuntimeEnvConfig, got: {type(value)}"
        )
    known = ("setup_timeout_seconds", "eager_install", "log_files")
    return RuntimeEnvConfig(**{name: value[name] for name in known if name in value})


def _packages(key: str, value: Any) -> Dict[str, Any]:
    if isinstance(value, (str, list)):
        value = {"packages": value}
    if not isinstance(value, dict):
        raise TypeError(
            f"runtime_env[{key!r}] must be a list of packages, the path of a requirements file or "
            f"a dict with 'packages', not {value!r}."
        )
    if "packages" not in value:
        raise ValueError(f"runtime_env[{key!r}] must include field 'packages', but got {value}")
    fields = _PACKAGE_FIELDS[key]
    unknown = sorted(str(field) for field in value if field not in fields)
    if unknown:
        raise ValueError(
            f"runtime_env[{key!r}] can only have these fields: {', '.join(fields)}, but got: "
            f"{', '.join(unknown)}"
        )
    checked = dict(value)
    if isinstance(checked["packages"], str):
        checked["packages"] = _requirements(key, checked["packages"])
    for field, kind in fields.items():
        entry = checked.get(field, kind())
        if not isinstance(entry, kind):
            raise TypeError(
                f"runtime_env[{key!r}][{field!r}] must be of type {kind.__name__}, got "
                f"{type(entry)}"
            )
        if kind is list and not all(isinstance(item, str) for item in entry):
            raise TypeError(
                f"runtime_env[{key!r}][{field!r}] must be of type list[str], got {entry!r}"
            )
    # pip refuses a package that it is given twice.
    checked["packages"] = list(dict.fromkeys(checked["packages"]))
    return checked


def _requirements(key: str, path: str) -> List[str]:
    full = os.path.expanduser(path)
    if not os.path.isfile(full):
        raise ValueError(f"runtime_env[{key!r}]: {path!r} is not a valid file.")
    with open(full, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    return [line for line in lines if line and not line.startswith("#")]
