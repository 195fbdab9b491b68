"""What a forked worker does before it is one: nothing of the zygote may stay."""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import gc
import os
import signal
import sys
import traceback
import types
from typing import TYPE_CHECKING, Dict, Iterable, Mapping, NoReturn

from iorun._core import children
from iorun._core.devices import is_forbidden, is_true
from iorun._environment import sharing
from iorun._system_config import SystemConfig
from iorun._zygote.stream import WorkerStream

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15

_GPUS = "CUDA_VISIBLE_DEVICES"
#: The status of a worker whose setup hook failed: the environment is not what it must be.
HOOK_FAILED = 66

# Loaded in the zygote: it takes 10 ms.
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the thread that forked it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It ended before the kernel knew.
        os._exit(1)


def become_worker(
    parent: int,
    worker: str,
    name: str,
    variables: Mapping[str, str],
    out: int,
    err: int,
    foreign: Iterable[int],
    document: Dict[str, object],
) -> NoReturn:
    """Runs a worker in this process, just forked, and ends it.

    `out` and `err` are the pipes it prints to, `foreign` the zygote's descriptors.
    """
    status = 1
    try:
        die_with_parent(parent)
        # What it starts is in its group, and ends with it.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _set_stdio(out, err)
        for fd in foreign:
            os.close(fd)
        os.environ.update(_allowed(variables))
        os.environ["IORUN_WORKER"] = worker
        os.environ["IORUN_ROLE"] = "worker"
        title = f"iorun:{name or 'worker'}".encode("utf-8", "replace")[:15]
        _libc.prctl(_PR_SET_NAME, title, 0, 0, 0)
        # The zygote's main module is none of the user's business: `multiprocessing` would import
        # it again in each process that it spawns.
        sys.modules["__main__"] = types.ModuleType("__main__")
        sys.argv = ["iorun-worker"]
        # Python's own generator was seeded anew by the fork.
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None:
            numpy_random.seed()
        # A crash in native code leaves its Python frames among the last lines: of the thread that
        # crashed, so that there is room for what was printed.
        faulthandler.enable(file=2, all_threads=False)
        gc.enable()
        status = _run(document)
    except BaseException:
        traceback.print_exc()
    finally:
        _end(status)


def _allowed(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Without the GPUs where they are the user's own business: where he says so, and of a process
    that has none, unless he wants these to see none."""
    kept = not (variables.get(_GPUS) or is_true("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"))
    if kept or is_forbidden(_GPUS):
        return {name: value for name, value in variables.items() if name != _GPUS}
    return variables


def _run(document: Dict[str, object]) -> int:
    try:
        # Imported by the zygote, but not before it said hello.
        from iorun._core import worker_main

        if sharing.is_complete():
            _run_hook(document)
            worker_main.main()
            return 0

        def prepare(core: "CoreWorker") -> None:
            sharing.complete(core)
            _run_hook(document)

        worker_main.main(prepare)
        return 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1


def _run_hook(document: Dict[str, object]) -> None:
    if not document.get("worker_process_setup_hook"):
        return
    from iorun._environment.build import run_hook

    try:
        run_hook(document)
    except Exception:
        print("Failed to execute the worker_process_setup_hook:", file=sys.stderr)
        traceback.print_exc()
        raise SystemExit(HOOK_FAILED) from None


def _set_stdio(out: int, err: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    # Not inherited copies: these three are what programs below the worker get.
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for fd in {null, out, err} - {0, 1, 2}:
        os.close(fd)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="replace", closefd=False)
    sys.stdout = sys.__stdout__ = WorkerStream(1)
    sys.stderr = sys.__stderr__ = WorkerStream(2)


def _end(status: int) -> NoReturn:
    # What the interpreter does at its end, without waiting for the user's threads: a worker that
    # is to end ends.
    ends_children = SystemConfig.inherited()["kill_child_processes_on_worker_exit"]
    if ends_children:
        children.end_awaited_children()
    try:
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    if ends_children:
        children.end_children()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # The zygote reads no more, or the user has closed it.
            continue
    os._exit(status)
