"""A small store of keys and values that all processes of the network share.

It is an actor on the network, made when it is first used; its content lives as long as the network.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Union

import iorun

__all__: List[str] = []

_Text = Union[str, bytes]


class _Store:
    def __init__(self) -> None:
        self.spaces: Dict[bytes, Dict[bytes, bytes]] = {}

    def _space(self, namespace: bytes) -> Dict[bytes, bytes]:
        return self.spaces.setdefault(namespace, {})

    def get(self, key: bytes, namespace: bytes) -> Optional[bytes]:
        return self._space(namespace).get(key)

    def put(self, key: bytes, value: bytes, overwrite: bool, namespace: bytes) -> bool:
        space = self._space(namespace)
        known = key in space
        if overwrite or not known:
            space[key] = value
        return known

    def delete(self, key: bytes, by_prefix: bool, namespace: bytes) -> int:
        space = self._space(namespace)
        keys = [k for k in space if k.startswith(key)] if by_prefix else [key]
        return sum(space.pop(k, None) is not None for k in keys)

    def keys(self, prefix: bytes, namespace: bytes) -> List[bytes]:
        return [key for key in self._space(namespace) if key.startswith(prefix)]


def _store() -> Any:
    return (
        iorun.remote(_Store)
        .options(
            name="internal-kv",
            namespace="iorun-internal",
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
        )
        .remote()
    )


def _bytes(text: Optional[_Text]) -> bytes:
    if text is None:
        return b""
    return text.encode() if isinstance(text, str) else bytes(text)


def _internal_kv_initialized() -> bool:
    """Whether there is a network to keep anything in."""
    return iorun.is_initialized()


def _internal_kv_get(key: _Text, *, namespace: Optional[_Text] = None) -> Optional[bytes]:
    """The value; None where there is none."""
    return iorun.get(_store().get.remote(_bytes(key), _bytes(namespace)))


def _internal_kv_exists(key: _Text, *, namespace: Optional[_Text] = None) -> bool:
    """Whether there is a value."""
    return _internal_kv_get(key, namespace=namespace) is not None


def _internal_kv_put(
    key: _Text, value: _Text, overwrite: bool = True, *, namespace: Optional[_Text] = None
) -> bool:
    """Keeps a value; returns whether there was one already."""
    return iorun.get(_store().put.remote(_bytes(key), _bytes(value), overwrite, _bytes(namespace)))


def _internal_kv_del(
    key: _Text, *, del_by_prefix: bool = False, namespace: Optional[_Text] = None
) -> int:
    """Drops the value, or those of all keys with this prefix; returns how many there were."""
    return iorun.get(_store().delete.remote(_bytes(key), del_by_prefix, _bytes(namespace)))


def _internal_kv_list(prefix: _Text, *, namespace: Optional[_Text] = None) -> List[bytes]:
    """The keys with this prefix."""
    return iorun.get(_store().keys.remote(_bytes(prefix), _bytes(namespace)))
