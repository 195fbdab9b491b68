"""The systems that are compared, and sessions of them: one at a time, each from a fresh start."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from processes import Usage, end_descendants, usage

_HERE = os.path.dirname(os.path.abspath(__file__))


class System(NamedTuple):
    """A system with Ray's interface: its module, and the Python that has it."""

    name: str
    module: str
    python: str


class SessionFailed(Exception):
    """A system did not start, or died: the message says what it said."""


class Session:
    """A running contender that is told which lines to run."""

    def __init__(self, process: "subprocess.Popen[str]", log: str) -> None:
        if process.stdout is None:
            raise ValueError("a contender needs a pipe for its answers")
        self._process = process
        self._answers = process.stdout
        self._log = log
        self.version = ""

    def ask(self, order: Dict[str, Any], patience: float = 120) -> Dict[str, Any]:
        """Sends an order and waits so many seconds for its answer."""
        if order and self._process.stdin is not None:
            try:
                self._process.stdin.write(json.dumps(order) + "\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                pass  # The read below finds out why.
        # One answer for one order: nothing can wait in the stream's own buffer.
        if not select.select([self._answers], [], [], patience)[0]:
            # It prints where its threads stand.
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(0.5)
            raise SessionFailed(
                f"no answer within {patience:g} s. Its last words:\n{self.last_words(40)}")
        text = self._answers.readline()
        if not text:
            raise SessionFailed(f"the contender ended early. Its last words:\n{self.last_words()}")
        return json.loads(text)

    def last_words(self, lines: int = 15) -> str:
        """The end of what the system printed."""
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    @property
    def pid(self) -> int:
        """The contender's process."""
        return self._process.pid


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A folder of its own, short enough for Unix sockets in it."""
    folder = tempfile.mkdtemp(prefix="iorun-bench.", dir="/tmp")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clean_environment(scratch: str) -> Dict[str, str]:
    """The environment of a session: nothing in it names another network or cluster."""
    environment = dict(os.environ)
    environment.update(
        IORUN_STATE_DIR=scratch + "/state", RAY_USAGE_STATS_ENABLED="0",
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0", PYTHONDONTWRITEBYTECODE="1")
    # An address of another cluster would be measured in place of a fresh one.
    for name in ("RAY_ADDRESS", "IORUN_HUB"):
        environment.pop(name, None)
    return environment


@contextmanager
def session(system: System, group: str, patience: float = 120) -> Iterator[Session]:
    """Starts a system for a group of lines; whatever is left of it afterwards is ended."""
    with scratch_folder() as scratch:
        environment = clean_environment(scratch)
        address = "local" if system.module == "ray" else ""
        if group == "client" and system.module == "iorun":
            _iorun("up", "--nodes", "1", environment=environment)
            address = "auto"
        log = scratch + "/log"
        with open(log, "w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [system.python, _HERE + "/contender.py", "--module", system.module,
                 "--group", group, "--address", address],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=environment, cwd=scratch)
        try:
            started = Session(process, log)
            started.version = started.ask({})["version"]
            yield started
            started.ask({"end": True})
            process.wait(patience)
        finally:
            if group == "client" and system.module == "iorun":
                _iorun("down", environment=environment)
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
            killed = end_descendants(os.getpid(), grace=5.0)
            if killed:
                print(f"note: {system.name} left {killed} processes, killed", file=sys.stderr)


def _iorun(*arguments: str, environment: Dict[str, str]) -> None:
    done = subprocess.run(
        [os.environ["IORUN_BIN"], *arguments], env=environment, capture_output=True, text=True,
        check=False)
    if done.returncode != 0:
        raise SessionFailed(f"iorun {' '.join(arguments)}: {done.stderr or done.stdout}")


def idle(system: System, seconds: float = 5.0) -> Usage:
    """What a head and a node hold that have just started and do nothing, without any driver."""
    with scratch_folder() as scratch:
        environment = clean_environment(scratch)
        commands: List[str]
        if system.module == "iorun":
            commands = [os.environ["IORUN_BIN"], "up", "--nodes", "1"]
        else:
            # A port and a folder of its own: `ray start` is known machine-wide by these.
            commands = [
                os.path.dirname(system.python) + "/ray", "start", "--head", "--port=0",
                f"--temp-dir={scratch}/ray", "--disable-usage-stats"]
        with open(scratch + "/log", "w+", encoding="utf-8") as log:
            done = subprocess.run(
                commands, env=environment, cwd=scratch, stdout=log, stderr=log, check=False)
            if done.returncode != 0:
                log.seek(0)
                raise SessionFailed(f"{' '.join(commands)}: {log.read()[-2000:]}")
        try:
            time.sleep(seconds)
            return usage(os.getpid())
        finally:
            if system.module == "iorun":
                _iorun("down", environment=environment)
            # Not `ray stop`, which would end every Ray on this machine.
            end_descendants(os.getpid(), grace=0.0 if system.module == "ray" else 5.0)


@contextmanager
def swift_network() -> Iterator[Dict[str, str]]:
    """The environment of programs that run on a fresh network of one node."""
    with scratch_folder() as scratch:
        environment = clean_environment(scratch)
        try:
            _iorun("up", "--nodes", "1", "--resources", '{"custom": 100}', environment=environment)
            yield environment
            _iorun("down", environment=environment)
        finally:
            end_descendants(os.getpid(), grace=1.0)


def swift_line(
    binary: str, name: str, seconds: float, environment: Dict[str, str]
) -> Optional[Dict[str, Any]]:
    """Runs one line of the Swift benchmark; None where it has no such line."""
    done = subprocess.run(
        [binary, "lines", "--json", "--lines", name, "--seconds", str(seconds)],
        env=dict(environment, IORUN_BENCH_ROOT=str(os.getpid())), capture_output=True, text=True,
        check=False, timeout=120 + 60 * seconds)
    if done.returncode != 0:
        raise SessionFailed(f"{binary} lines --lines {name!r}: {done.stderr[-2000:]}")
    for each in json.loads(done.stdout):
        if each["line"] == name:
            return {
                **each, "value": each["per_s"], "stdev": each.get("stdev"),
                "cpu_us": each.get("cpu_us")}
    return None
