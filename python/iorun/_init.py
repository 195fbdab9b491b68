"""`init` and `shutdown`: attach this process to a network, and let go of it."""

from __future__ import annotations

import atexit
import json
import logging
import os
import platform
import threading
import uuid
from collections.abc import Mapping
from typing import Any, Dict, Iterator, Optional

from iorun import _network
from iorun._core import global_state
from iorun._system_config import SystemConfig
from iorun._version import __version__

__all__ = ["RayContext", "auto_init", "connected_worker", "init", "is_initialized", "shutdown"]

logger = logging.getLogger("iorun")

# Ray's options that have no meaning here: there is no dashboard, no Redis, no raylet.
_IGNORED = {
    "dashboard_host",
    "dashboard_port",
    "include_dashboard",
    "local_mode",
    "proxy_server_url",
}
# Those that a program may count on, although they have no effect: it is told.
_WITHOUT_EFFECT = {
    "cgroup_path": "Use `iorun join --isolation`.",
    "enable_resource_isolation": "Use `iorun join --isolation`.",
    "system_reserved_cpu": "Give fewer CPUs to the network by num_cpus.",
    "system_reserved_memory": "The node keeps a share of the memory for itself already.",
}

_LOG_FORMAT = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"

_lock = threading.RLock()
_network_of_own: Optional[_network.PrivateNetwork] = None
_context: Optional["RayContext"] = None


class RayContext(Mapping):
    """What `init` returns: where this process is attached; `with` it, and it ends at the end."""

    def __init__(self, address_info: Dict[str, Any]):
        self.address_info = address_info
        self.dashboard_url = ""
        self.python_version = platform.python_version()
        self.ray_version = __version__
        self.ray_commit = ""

    def disconnect(self) -> None:
        """`shutdown()`."""
        shutdown()

    def __enter__(self) -> "RayContext":
        return self

    def __exit__(self, *_: Any) -> None:
        shutdown()

    def __getitem__(self, key: str) -> Any:
        return self.address_info[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.address_info)

    def __len__(self) -> int:
        return len(self.address_info)

    def __repr__(self) -> str:
        return f"RayContext(address={self.address_info.get('address')!r})"


def init(
    address: Optional[str] = None,
    *,
    num_cpus: Optional[int] = None,
    num_gpus: Optional[int] = None,
    resources: Optional[Dict[str, float]] = None,
    labels: Optional[Dict[str, str]] = None,
    object_store_memory: Optional[int] = None,
    ignore_reinit_error: bool = False,
    job_config: Any = None,
    configure_logging: bool = True,
    logging_level: Any = logging.INFO,
    logging_format: Optional[str] = None,
    logging_config: Any = None,
    log_to_driver: bool = True,
    namespace: Optional[str] = None,
    runtime_env: Any = None,
    object_spilling_directory: Optional[str] = None,
    **others: Any,
) -> RayContext:
    """Attaches this process to a network, as a driver.

    Without an address: the network that this process is part of, else the one that `iorun up`
    runs on this machine, else a new one of this process's own, with the given resources. With
    "auto": any network on this machine. With "local": always a new one. Else a head's host:port,
    a state folder, or an agent's socket. `IORUN_ADDRESS`, else `RAY_ADDRESS`, stands for an
    address that is not given, or is "auto".

    `runtime_env` (default: the JSON in `RAY_RUNTIME_ENV`) holds for all tasks and actors of the
    job, `namespace` for the names of its actors (default: `RAY_NAMESPACE`, else a namespace of its
    own). `logging_config` says how the driver and its workers log; `object_spilling_directory`
    where a new network puts what its memory has no room for. Options of Ray's that mean nothing
    here are taken and ignored; any other raises `RuntimeError`.
    """
    global _network_of_own, _context
    _check_options(others)
    with _lock:
        if is_initialized():
            if ignore_reinit_error:
                logger.info("Calling init() again after it has already been called.")
                return _context or RayContext(_address_info(None))
            raise RuntimeError(
                "Maybe you called init() twice by accident? This error can be suppressed by "
                "passing in 'ignore_reinit_error=True' or by calling 'shutdown()' prior to "
                "'init()'."
            )
        if configure_logging:
            _configure_logging(logging_level, logging_format)
        if isinstance(logging_config, Mapping):
            from iorun.logging_config import LoggingConfig

            logging_config = LoggingConfig.from_dict(dict(logging_config))
        if logging_config is not None:
            logging_config._apply()
        if job_config is not None:
            namespace = namespace or getattr(job_config, "ray_namespace", None)
            runtime_env = runtime_env or getattr(job_config, "runtime_env", None)
        lifetime = getattr(job_config, "default_actor_lifetime", "non_detached")
        if namespace is not None and not isinstance(namespace, str):
            raise TypeError(f"namespace must be None or a text, not {namespace!r}.")
        if namespace == "":
            raise ValueError('"" is not a valid namespace. Pass None to not specify one.')
        if namespace is None:
            namespace = os.environ.get("RAY_NAMESPACE") or None
        if runtime_env is None and os.environ.get("RAY_RUNTIME_ENV"):
            runtime_env = json.loads(os.environ["RAY_RUNTIME_ENV"])
        address = _given_address(address)
        _check_address(address)
        offers = {
            "num_cpus": num_cpus,
            "num_gpus": num_gpus,
            "resources": resources,
            "labels": labels,
            "object_store_memory": object_store_memory,
            "object_spilling_directory": object_spilling_directory,
            "memory": others.get("_memory"),
        }
        hub = _find(address, offers)
        if hub is not None and address is not None and others.get("_system_config"):
            raise ValueError(
                "When connecting to an existing cluster, _system_config must not be provided."
            )
        network = None
        devices = ""
        config = SystemConfig(others.get("_system_config"))
        if hub is None:
            if num_gpus:
                # Those that this program sees are the ones that it offers.
                devices = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            network = _network.PrivateNetwork(**offers, config=config)
            hub = network.hub
            logger.info("Started a network of this process's own at %s.", network.address)
        try:
            global_state.connect(
                hub.socket,
                role="driver",
                namespace=namespace or str(uuid.uuid4()),
                runtime_env=_with_folder_of_job(_runtime_env_dict(runtime_env)),
                log_to_driver=bool(log_to_driver) and os.environ.get("RAY_LOG_TO_DRIVER") != "0",
                devices=devices,
                log_config=json.dumps(logging_config.to_dict()) if logging_config else "",
                config=config,
            )
        except BaseException:
            if network is not None:
                network.stop()
            raise
        global_state.require().default_lifetime = lifetime
        if network is not None:
            arena = (global_state.require().hello.get("arena") or {}).get("path", "")
            network.keep_arena(str(arena))
        _network_of_own = network
        _context = RayContext(_address_info(hub))
        return _context


def _check_options(others: Dict[str, Any]) -> None:
    # Ray's private ones start with an underscore.
    known = _IGNORED | _WITHOUT_EFFECT.keys()
    unknown = [name for name in others if name not in known and not name.startswith("_")]
    if unknown:
        raise RuntimeError(f"Unknown keyword argument(s): {', '.join(sorted(unknown))}")
    if others.get("local_mode"):
        logger.warning("local_mode is ignored: tasks run in processes of their own.")
    for name in sorted(_WITHOUT_EFFECT.keys() & others.keys()):
        if others[name]:
            logger.warning("init(%s=…) has no effect here. %s", name, _WITHOUT_EFFECT[name])


def _given_address(address: Optional[str]) -> Optional[str]:
    """Where the program or its environment says to attach to; None where neither does."""
    if address is None or address == "auto":
        found = os.environ.get("IORUN_ADDRESS") or os.environ.get("RAY_ADDRESS")
        if found and "IORUN_HUB" not in os.environ:
            return found
    return address or None


def _check_address(address: Optional[str]) -> None:
    # Ray Client's notation for this machine means any network on it.
    local = ("ray://localhost", "ray://127.0.0.1")
    if address is not None and address.startswith("ray://") and not address.startswith(local):
        raise ValueError(
            f"{address}: there is no Ray Client here. A program attaches to a node on its own "
            "machine: run `iorun join` with a ticket of that network, and then init() or "
            'init("auto"); or send the program to the network by `iorun submit`.'
        )


def _find(address: Optional[str], offers: Dict[str, Any]) -> Optional[_network.Hub]:
    """The agent to attach to; None for a network of this process's own."""
    if address == "local":
        return None
    given = sorted(name for name, value in offers.items() if value is not None)
    if address is None and given and "IORUN_HUB" not in os.environ:
        # Who says what the network shall have wants one that has it.
        return None
    hub = _network.find(address)
    if hub is not None and given and address is not None:
        raise ValueError(
            "When connecting to an existing cluster, num_cpus and num_gpus must not be provided "
            f"(given: {', '.join(given)}). Leave them out, or leave the address out."
        )
    return hub


def _runtime_env_dict(runtime_env: Any) -> Dict[str, Any]:
    if runtime_env is None:
        return {}
    if not isinstance(runtime_env, Mapping):
        raise TypeError(
            f"runtime_env must be a dict or a RuntimeEnv, not {type(runtime_env).__name__}."
        )
    from iorun.runtime_env import RuntimeEnv

    # Its constructor says what is wrong with it.
    return dict(RuntimeEnv(**runtime_env))


def _with_folder_of_job(runtime_env: Dict[str, Any]) -> Dict[str, Any]:
    """The folder that was submitted with a job (`iorun submit --working-dir`) is its workers', too,
    unless the program names another one; as with `ray job submit`."""
    folder = os.environ.get("IORUN_WORKING_DIR")
    if not folder or not os.environ.get("IORUN_HUB") or "working_dir" in runtime_env:
        return runtime_env
    from iorun._environment import packing

    # What this program packed earlier lies there, because its home is there.
    excludes = [*(runtime_env.get("excludes") or ()), "/.cache/iorun"]
    try:
        packing.pack(folder, excludes, as_module=False)
    except ValueError as error:
        logger.warning("Tasks and actors do not find the job's working folder: %s", error)
        return runtime_env
    return {**runtime_env, "working_dir": folder, "excludes": excludes}


def _address_info(hub: Optional[_network.Hub]) -> Dict[str, Any]:
    worker = global_state.worker()
    hello = getattr(worker, "hello", None) or {}
    address = hello.get("head") or (hub.address if hub else "")
    return {
        "address": address,
        "gcs_address": address,
        "node_ip_address": hello.get("address", ""),
        "node_id": hello.get("node", ""),
        "job_id": hello.get("job", ""),
        "raylet_socket_name": hub.socket if hub else "",
        "object_store_address": (hello.get("arena") or {}).get("path", ""),
        "session_dir": hub.state_dir if hub else "",
        "webui_url": "",
    }


def _configure_logging(level: Any, form: Optional[str]) -> None:
    if not logger.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(form or _LOG_FORMAT))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(level.upper() if isinstance(level, str) else level)


def is_initialized() -> bool:
    """Whether this process is attached to a network."""
    return global_state.worker() is not None


def auto_init() -> None:
    """`init()` where nobody has called it yet."""
    if global_state.worker() is None:
        with _lock:
            if global_state.worker() is None:
                init()


def connected_worker() -> Any:
    """This process's core; attaches the process first where it is not."""
    worker = global_state.worker()
    if worker is None:
        auto_init()
        worker = global_state.worker()
    return worker


def shutdown(_exiting_interpreter: bool = False) -> None:
    """Lets go of the network: the job's tasks, actors and objects end.

    A network that `init` started ends, too. Nothing happens where the process is not attached.
    """
    global _network_of_own, _context
    with _lock:
        network, _network_of_own, _context = _network_of_own, None, None
        try:
            global_state.disconnect()
        finally:
            if network is not None:
                network.stop()


def _at_exit() -> None:
    shutdown(True)


atexit.register(_at_exit)
