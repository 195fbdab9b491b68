"""Python's debugger inside tasks and actors, which have no terminal.

`iorun.util.pdb.set_trace()` stops there and says on which socket the debugger listens; `nc -U PATH`
(or `socat - UNIX:PATH`) in another terminal of that machine talks to it. The socket lies in the
job's own folder: nobody but the job's user gets in.
"""

from __future__ import annotations

import os
import pdb
import socket
import sys
from typing import Any, Optional

from iorun._core import global_state

__all__ = ["post_mortem", "set_trace"]


class _Debugger(pdb.Pdb):
    """A debugger at a socket that one person uses, until the program goes on."""

    def __init__(self, path: str):
        self._path = path
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listener.bind(path)
            os.chmod(path, 0o600)
            listener.listen(1)
            print(f"The debugger waits: nc -U {path}", file=sys.stderr, flush=True)
            self._connection, _ = listener.accept()
        finally:
            listener.close()
            if os.path.exists(path):
                os.unlink(path)
        # Two: one that reads and writes forgets what it has read ahead when it writes.
        self._in = self._connection.makefile("r")
        self._out = self._connection.makefile("w", buffering=1)
        super().__init__(stdin=self._in, stdout=self._out)
        self.use_rawinput = False

    def _leave(self) -> None:
        self._in.close()
        self._out.close()
        self._connection.close()

    def do_continue(self, arg: str) -> Optional[bool]:
        stop = super().do_continue(arg)
        self._leave()
        return stop

    do_c = do_cont = do_continue

    def do_quit(self, arg: str) -> Optional[bool]:
        stop = super().do_quit(arg)
        self._leave()
        return stop

    do_q = do_exit = do_quit


def _debugger() -> pdb.Pdb:
    core = global_state.worker()
    if core is None or core.executor is None:
        # A driver has a terminal.
        return pdb.Pdb()
    folder = os.path.dirname(core._socket_path)
    return _Debugger(os.path.join(folder, f"debug-{os.getpid()}.sock"))


def set_trace(frame: Any = None, breakpoint_uuid: Any = None) -> None:
    """Stops here; in a worker, until somebody has come to the debugger and lets it go on."""
    _debugger().set_trace(frame or sys._getframe(1))


def post_mortem(traceback: Any = None) -> None:
    """The debugger at the exception that is being handled."""
    traceback = traceback or sys.exc_info()[2]
    if traceback is None:
        raise ValueError("A valid traceback must be passed if no exception is being handled.")
    debugger = _debugger()
    debugger.reset()
    debugger.interaction(None, traceback)
