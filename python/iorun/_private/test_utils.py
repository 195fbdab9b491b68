"""Small tools that tests of Ray programs are written with."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import Any, Optional

import iorun
from iorun._common.test_utils import (
    Semaphore,
    SignalActor,
    async_wait_for_condition,
    wait_for_condition,
)

__all__ = [
    "Semaphore",
    "SignalActor",
    "async_wait_for_condition",
    "kill_actor_and_wait_for_failure",
    "run_string_as_driver",
    "run_string_as_driver_nonblocking",
    "wait_for_condition",
    "wait_for_pid_to_exit",
]


def wait_for_pid_to_exit(pid: int, timeout: float = 20) -> None:
    """Waits until the process is gone, or one that nobody has reaped."""

    def gone() -> bool:
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait_for_condition(gone, timeout=timeout)


def kill_actor_and_wait_for_failure(
    actor: Any, timeout: float = 10, retry_interval_ms: float = 100
):
    """Kills the actor's process, and waits until its calls fail."""
    pid = iorun.get(actor.__ray_call__.remote(lambda _: os.getpid()))
    os.kill(pid, 9)
    wait_for_pid_to_exit(pid, timeout)
    time.sleep(retry_interval_ms / 1000.0)


def run_string_as_driver(
    driver_script: str, env: Optional[dict] = None, encode: str = "utf-8"
) -> str:
    """Runs a program in a process of its own; its output, or `CalledProcessError`."""
    done = subprocess.run(
        [sys.executable, "-"],
        input=driver_script.encode(encode),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
    )
    output = done.stdout.decode(encode, "replace")
    if done.returncode:
        print(output)
        raise subprocess.CalledProcessError(done.returncode, done.args, output, driver_script)
    return output


def run_string_as_driver_nonblocking(driver_script: str, env: Optional[dict] = None):
    """Starts a program in a process of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        file.write(driver_script)
    return subprocess.Popen(
        [sys.executable, file.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    )
