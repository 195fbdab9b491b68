"""What this machine can do at best right now: one message there and back between two processes.

On a virtual machine the price of waking a thread changes by a factor of three from one minute to
the next, for every system alike. The floors tell in which of these modes the rest was measured.
"""

import ctypes
import ctypes.util
import os
import socket
import time
from typing import Callable, Dict, Optional

_MESSAGE = 100
_PAIR = 0
_LINGER = 17


def _rate(exchange: Callable[[], object], seconds: float) -> float:
    for _ in range(100):
        exchange()
    start = time.perf_counter()
    count = 0
    while time.perf_counter() - start < seconds:
        for _ in range(100):
            exchange()
        count += 100
    return count / (time.perf_counter() - start)


def _child(body: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    return pid


def unix_socket(seconds: float) -> float:
    """Exchanges a second of 100 bytes over a Unix socket pair with blocking reads."""
    ours, theirs = socket.socketpair()

    def echo() -> None:
        ours.close()
        while True:
            data = theirs.recv(_MESSAGE)
            if not data:
                return
            theirs.send(data)

    pid = _child(echo)
    theirs.close()
    message = bytes(_MESSAGE)

    def exchange() -> None:
        ours.send(message)
        ours.recv(_MESSAGE)

    try:
        return _rate(exchange, seconds)
    finally:
        ours.close()
        os.waitpid(pid, 0)


def _library() -> Optional[ctypes.CDLL]:
    name = ctypes.util.find_library("zmq")
    if name is None:
        return None
    library = ctypes.CDLL(name, use_errno=True)
    for function in (library.zmq_ctx_new, library.zmq_socket):
        function.restype = ctypes.c_void_p
    library.zmq_socket.argtypes = [ctypes.c_void_p, ctypes.c_int]
    for function in (library.zmq_bind, library.zmq_connect):
        function.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for function in (library.zmq_send, library.zmq_recv):
        function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    library.zmq_close.argtypes = [ctypes.c_void_p]
    library.zmq_ctx_term.argtypes = [ctypes.c_void_p]
    library.zmq_setsockopt.argtypes = [
        ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    return library


def libzmq(seconds: float, scratch: str) -> Optional[float]:
    """Exchanges a second of 100 bytes through plain libzmq (PAIR, ipc); None without libzmq."""
    library = _library()
    if library is None:
        return None
    address = f"ipc://{scratch}/floor.{os.getpid()}".encode()

    def echo() -> None:
        context = library.zmq_ctx_new()
        peer = library.zmq_socket(context, _PAIR)
        library.zmq_connect(peer, address)
        buffer = ctypes.create_string_buffer(_MESSAGE)
        while library.zmq_recv(peer, buffer, _MESSAGE, 0) > 1:
            library.zmq_send(peer, buffer, _MESSAGE, 0)

    # The child makes its own context: libzmq's threads do not survive a fork.
    pid = _child(echo)
    context = library.zmq_ctx_new()
    peer = library.zmq_socket(context, _PAIR)
    if library.zmq_bind(peer, address) != 0:
        raise OSError(ctypes.get_errno(), f"zmq_bind {address.decode()}")
    message = bytes(_MESSAGE)
    buffer = ctypes.create_string_buffer(_MESSAGE)

    def exchange() -> None:
        library.zmq_send(peer, message, _MESSAGE, 0)
        library.zmq_recv(peer, buffer, _MESSAGE, 0)

    try:
        return _rate(exchange, seconds)
    finally:
        library.zmq_send(peer, b"x", 1, 0)
        os.waitpid(pid, 0)
        none = ctypes.c_int(0)
        library.zmq_setsockopt(peer, _LINGER, ctypes.byref(none), ctypes.sizeof(none))
        library.zmq_close(peer)
        library.zmq_ctx_term(context)


def measure(scratch: str, seconds: float = 0.3) -> Dict[str, Optional[float]]:
    """Both floors, in exchanges a second."""
    return {"unix_socket": unix_socket(seconds), "libzmq": libzmq(seconds, scratch)}
