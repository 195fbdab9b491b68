"""Small functions of addresses that programs take from `ray._common.network_utils`."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import closing
from typing import Optional, Tuple, Union

__all__ = [
    "build_address",
    "find_free_port",
    "get_localhost_ip",
    "is_ipv6",
    "is_localhost",
    "parse_address",
]


def build_address(host: str, port: Union[int, str]) -> str:
    """`host:port`; IPv6 hosts in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(address: str) -> Optional[Tuple[str, str]]:
    """(host, port) of `host:port`; None where there is no port."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or (":" in host and not host.startswith("[")):
        return None
    return host.strip("[]"), port


def is_ipv6(host: str) -> bool:
    """Whether it is an IPv6 address, or a name that has only such ones."""
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        pass
    try:
        families = {entry[0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return families == {socket.AF_INET6}


def is_localhost(host: str) -> bool:
    """Whether it names this machine to itself."""
    return host in ("localhost", "127.0.0.1", "::1")


def get_localhost_ip() -> str:
    """The address at which this machine reaches itself."""
    return "127.0.0.1"


def find_free_port(family: int = socket.AF_INET) -> int:
    """A TCP port that nobody listens on at this moment."""
    with closing(socket.socket(family, socket.SOCK_STREAM)) as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])
