"""`client(address).namespace(...).connect()`: Ray's other way to write `init`."""

from __future__ import annotations

from typing import Any, Dict, Optional

__all__ = ["ClientBuilder", "ClientContext", "client"]


class ClientContext:
    """What `connect` returns: `with` it, and the process is detached at the end."""

    def __init__(self, context: Any):
        self._context = context
        self.dashboard_url = context.dashboard_url
        self.python_version = context.python_version
        self.ray_version = context.ray_version
        self.ray_commit = context.ray_commit
        self.protocol_version = ""

    def disconnect(self) -> None:
        """Detaches the process."""
        self._context.disconnect()

    def __enter__(self) -> "ClientContext":
        return self

    def __exit__(self, *_: Any) -> None:
        self.disconnect()


class ClientBuilder:
    """Collects options; `connect` attaches this process."""

    def __init__(self, address: Optional[str] = None):
        self.address = address
        self._namespace: Optional[str] = None
        self._env: Optional[Dict[str, Any]] = None
        self._options: Dict[str, Any] = {}

    def namespace(self, namespace: str) -> "ClientBuilder":
        """The namespace of actors' names."""
        self._namespace = namespace
        return self

    def env(self, env: Dict[str, Any]) -> "ClientBuilder":
        """The runtime environment."""
        self._env = env
        return self

    def _init_args(self, **options: Any) -> "ClientBuilder":
        self._options.update(options)
        return self

    def connect(self) -> ClientContext:
        """Attaches this process as a driver."""
        from iorun._init import init

        return ClientContext(
            init(
                self.address,
                namespace=self._namespace,
                runtime_env=self._env,
                **self._options,
            )
        )


def client(address: Optional[str] = None, **options: Any) -> ClientBuilder:
    """A builder for a network on this machine: its address, "local", or None for any."""
    return ClientBuilder(address)._init_args(**options)
