"""The zygote's loop: forks on request, reads what workers print, and tells how they end."""

from __future__ import annotations

import gc
import importlib
import os
import resource
import select
import signal
import time
from typing import Any, Dict, List, NoReturn, Optional, Sequence, Tuple

from iorun._environment import cache
from iorun._zygote import child, hub_link
from iorun._zygote.hub_link import OUT_HIGH, HubGone, HubLink
from iorun._zygote.leftovers import Leftovers
from iorun._zygote.output import LastLines, Output, OutputPipe

#: Imported one by one while nobody wants a fork: common, and too slow to import before.
_LATER = ("asyncio", "concurrent.futures", "inspect", "logging", "traceback", "uuid", "contextlib")
_IDLE = 0.1
_STOP_GRACE = 1.0
#: A line whose end has not come for so many seconds is passed on without it.
_UNENDED = 0.3


class Worker:
    """A forked process that has not been reaped."""

    def __init__(self, worker: str, pid: int, last: LastLines, pipes: List[OutputPipe]):
        self.worker = worker
        self.pid = pid
        self.last = last
        self.pipes = pipes


class Zygote:
    """Everything after the environment is built."""

    def __init__(self, link: HubLink, document: Dict[str, Any], preload: Sequence[str] = ()):
        self.link = link
        self.document = document
        self._pid = os.getpid()
        self._workers: Dict[int, Worker] = {}
        self._pipes: Dict[int, Tuple[OutputPipe, Worker]] = {}
        #: Pipes with a line that has no end yet, and since when.
        self._unended: Dict[int, float] = {}
        self._later = [*preload, *_LATER]
        self._stopping = False
        self._leftovers = Leftovers()
        self._open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._poll = select.epoll()
        self._paused = False
        self._writing = False
        self._wake, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> None:
        """Serves the hub until it goes, or wants no more. Raises HubGone."""
        self._raise_limit()
        self._leftovers.adopt()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._poll.register(self._wake, select.EPOLLIN)
        self._poll.register(self.link.socket, select.EPOLLIN)
        self._freeze()
        # Forks may have come while the environment was built.
        self._hub_ready()
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._end_all()

    def _raise_limit(self) -> None:
        # Two pipes a worker; what a worker itself may open stays as it was.
        soft, hard = self._open_files
        wanted = 1 << 16 if hard == resource.RLIM_INFINITY else min(hard, 1 << 16)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

    def _freeze(self) -> None:
        # What is there now stays: children's collectors leave its pages alone, and shared.
        gc.collect()
        gc.freeze()
        gc.disable()

    def _on_term(self, *_: Any) -> None:
        self._stopping = True

    def _turn(self) -> None:
        ready = self._poll.poll(_IDLE if self._later else _UNENDED if self._unended else None)
        if not ready and self._later:
            self._import_one()
            return
        reap = False
        for fd, _ in ready:
            if fd == self._wake:
                self._drain_wake()
                reap = True
            elif fd == self.link.socket.fileno():
                self._hub_ready()
            elif fd in self._pipes and self.link.waiting < OUT_HIGH:
                self._read(*self._pipes[fd])
        if reap:
            # Whom the agent has ended it has named before.
            self._hub_ready()
            self._reap()
        if self._unended:
            self._pass_on_unended()
        self._balance()

    def _pass_on_unended(self) -> None:
        """A line without an end, as of `print(".", end="")`, is shown all the same, a little later."""
        now = time.monotonic()
        for fd, since in list(self._unended.items()):
            if now - since < _UNENDED or self._paused or self.link.waiting >= OUT_HIGH:
                continue
            pipe, worker = self._pipes[fd]
            # Its end may be in the pipe.
            self._read(pipe, worker)
            if fd in self._unended and pipe.is_empty:
                del self._unended[fd]
                self._tell(pipe, worker, pipe.take_rest())

    def _import_one(self) -> None:
        name = self._later.pop(0)
        try:
            importlib.import_module(name)
        except ImportError:
            # A hint only: who needs it will say what is missing.
            return
        finally:
            if not self._later:
                self._freeze()

    def _drain_wake(self) -> None:
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            return

    def _hub_ready(self) -> None:
        for operation, content in self.link.events():
            if operation == hub_link.FORK:
                self._fork(content)
            elif operation == hub_link.CONDEMNED:
                self._condemn(str(content.get("worker", "")))
            elif operation == hub_link.STOP:
                self._stopping = True

    def _condemn(self, worker: str) -> None:
        self._leftovers.condemn(worker)
        if all(each.worker != worker for each in self._workers.values()):
            # It has ended already: no end of its own will come that lets anybody look.
            self._sweep()

    def _sweep(self) -> None:
        living = {each.worker for each in self._workers.values()}
        self._leftovers.sweep(living, set(self._workers))

    # Bounded memory: a hub that does not read stops the workers' pipes, and so the workers.

    def _balance(self) -> None:
        self.link.flush()
        waiting = self.link.waiting
        if bool(waiting) != self._writing:
            self._writing = bool(waiting)
            mask = select.EPOLLIN | (select.EPOLLOUT if waiting else 0)
            self._poll.modify(self.link.socket, mask)
        if waiting > OUT_HIGH and not self._paused:
            self._paused = True
            for fd in self._pipes:
                self._poll.modify(fd, 0)
        elif self._paused and waiting < OUT_HIGH // 2:
            self._paused = False
            for fd in self._pipes:
                self._poll.modify(fd, select.EPOLLIN)

    # Forking

    def _fork(self, content: Dict[str, Any]) -> None:
        worker = str(content.get("worker", ""))
        variables = {str(k): str(v) for k, v in (content.get("environment") or {}).items()}
        descriptors: List[int] = []
        try:
            for _ in range(2):
                descriptors += os.pipe2(os.O_CLOEXEC)
            pid = os.fork()
        except OSError as error:
            for fd in descriptors:
                os.close(fd)
            line = f"The worker could not be forked: {error}"
            self.link.note(
                hub_link.EXITED,
                {
                    "worker": worker,
                    "pid": 0,
                    "status": 1,
                    "maxResidentBytes": 0,
                    "lastLines": [line],
                },
            )
            return
        out_read, out_write, err_read, err_write = descriptors
        if pid == 0:
            foreign = [out_read, err_read, *self._own_descriptors()]
            name = str(content.get("name") or "")
            resource.setrlimit(resource.RLIMIT_NOFILE, self._open_files)
            child.become_worker(
                self._pid, worker, name, variables, out_write, err_write, foreign, self.document
            )
        os.close(out_write)
        os.close(err_write)
        last = LastLines()
        pipes = [OutputPipe(out_read, "out", last), OutputPipe(err_read, "err", last)]
        forked = Worker(worker, pid, last, pipes)
        self._workers[pid] = forked
        for pipe in pipes:
            self._pipes[pipe.fd] = (pipe, forked)
            self._poll.register(pipe.fd, 0 if self._paused else select.EPOLLIN)
        self.link.note(hub_link.FORKED, {"worker": worker, "pid": pid})

    def _own_descriptors(self) -> List[int]:
        return [
            self.link.socket.fileno(),
            self._poll.fileno(),
            self._wake,
            self._wake_write,
            *cache.held_descriptors(),
            *self._pipes,
        ]

    # Output and ends

    def _read(self, pipe: OutputPipe, worker: Worker) -> bool:
        """Passes on what one read gives; whether there may be more in the pipe."""
        outputs, over = pipe.read()
        self._tell(pipe, worker, outputs)
        if outputs or over:
            self._unended.pop(pipe.fd, None)
        if over:
            self._poll.unregister(pipe.fd)
            del self._pipes[pipe.fd]
            pipe.close()
        elif pipe.has_rest:
            self._unended.setdefault(pipe.fd, time.monotonic())
        return not over and not pipe.is_empty

    def _tell(self, pipe: OutputPipe, worker: Worker, outputs: List[Output]) -> None:
        for output in outputs:
            content = {
                "worker": worker.worker,
                "stream": pipe.stream,
                "lines": output.lines,
                "dropped": 0,
            }
            if output.name:
                content["name"] = output.name
            self.link.note(hub_link.OUTPUT, content)

    def _reap(self) -> None:
        ended = False
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None:
                break
            worker = self._workers.pop(found.si_pid, None)
            if worker is not None:
                self._leftovers.worker_ended(worker.worker, worker.pid)
            _, status, usage = os.wait4(found.si_pid, 0)
            ended = True
            if worker is not None:
                self._tell_end(worker, status, usage.ru_maxrss << 10)
        if ended:
            self._sweep()

    def _tell_end(self, worker: Worker, status: int, resident: int) -> None:
        # What it printed before its end is in the pipes: at most what a pipe holds. More can only
        # come from processes that it left behind.
        for pipe in worker.pipes:
            for _ in range(3):
                if pipe.fd not in self._pipes or not self._read(pipe, worker):
                    break
        lines = worker.last.list()
        hooked = self.document.get("worker_process_setup_hook")
        if hooked and os.WIFEXITED(status) and os.WEXITSTATUS(status) == child.HOOK_FAILED:
            # It would fail in each worker.
            message = "\n".join(lines) or "The worker_process_setup_hook failed."
            self.link.note(hub_link.ENVIRONMENT_FAILED, {"message": message})
        content: Dict[str, Any] = {"worker": worker.worker, "pid": worker.pid}
        if os.WIFSIGNALED(status):
            content["signal"] = os.WTERMSIG(status)
        else:
            content["status"] = os.WEXITSTATUS(status)
        content["maxResidentBytes"] = resident
        content["lastLines"] = lines
        self.link.note(hub_link.EXITED, content)

    def _end_all(self) -> None:
        """Ends all workers: asks, and after a second does not ask."""
        for number, grace in ((signal.SIGTERM, _STOP_GRACE), (signal.SIGKILL, _STOP_GRACE)):
            for pid in self._workers:
                os.kill(pid, number)
            deadline = time.monotonic() + grace
            while self._workers and time.monotonic() < deadline:
                pid = _reaped()
                if pid is None:
                    return
                if pid:
                    self._workers.pop(pid, None)
                else:
                    time.sleep(0.005)


def _reaped() -> Optional[int]:
    """A child that has ended; 0 where none has, None where there is none."""
    try:
        return os.wait4(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return None


def fail(link: HubLink, message: str) -> NoReturn:
    """Tells the hub that the environment cannot be built, and ends."""
    link.note(hub_link.ENVIRONMENT_FAILED, {"message": message[: 64 << 10]})
    link.flush_for(5)
    raise SystemExit(1)


__all__ = ["HubGone", "Worker", "Zygote", "fail"]
