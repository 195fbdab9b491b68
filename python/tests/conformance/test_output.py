"""What workers print, in the driver's output: programs of their own, whose output is read."""

import os
import re
import subprocess
import sys

from module_under_test import ray

HEAD = f"""
import logging, os, subprocess, sys, time
import {ray.__name__} as ray
ray.init(num_cpus=2, logging_level="ERROR")
"""

ENVIRONMENT = {**os.environ, "RAY_DEDUP_LOGS": "0"}


def output_of(program, wanted_status=0):
    """Standard output and standard error of a program."""
    ended = subprocess.run(
        # On a busy machine the last lines come later than the program would wait for them.
        [sys.executable, "-c", HEAD + program + "\ntime.sleep(1)\n"],
        capture_output=True,
        text=True,
        timeout=55,
        env=ENVIRONMENT,
    )
    assert ended.returncode == wanted_status, ended.stderr
    # Ray's are coloured everywhere.
    return tuple(re.sub("\x1b\\[[0-9;]*m", "", text) for text in (ended.stdout, ended.stderr))


def test_lines_of_tasks_and_actors_come_with_name_and_process():
    out, err = output_of(
        """
@ray.remote
def some_task():
    print("from a task")
    print("its error", file=sys.stderr)
    return os.getpid()

@ray.remote
class Counter:
    def say(self):
        print("from an actor")
        return os.getpid()

actor = Counter.remote()
print("pids", ray.get(some_task.remote()), ray.get(actor.say.remote()))
"""
    )
    task, actor = re.search(r"pids (\d+) (\d+)", out).groups()
    assert f"(some_task pid={task}) from a task" in out
    assert f"(Counter pid={actor}) from an actor" in out
    assert f"(some_task pid={task}) its error" in err


def test_an_actor_can_name_its_lines():
    out, _ = output_of(
        """
@ray.remote
class Named:
    def __init__(self, number):
        self.number = number

    def __repr__(self):
        return f"Named(number={self.number})"

    def say(self):
        print("hello")

ray.get([Named.remote(number).say.remote() for number in (1, 2)])
"""
    )
    assert re.search(r"\(Named\(number=1\) pid=\d+\) hello", out)
    assert re.search(r"\(Named\(number=2\) pid=\d+\) hello", out)


def test_lines_of_programs_below_a_worker_come_too():
    out, err = output_of(
        """
@ray.remote
def f():
    subprocess.run(["sh", "-c", "echo from below; echo error below 1>&2"], check=True)

ray.get(f.remote())
"""
    )
    assert "from below" in out
    assert "error below" in err


def test_logging_in_a_task_is_the_tasks_own():
    _, err = output_of(
        """
@ray.remote
def f():
    logging.basicConfig(level=logging.INFO, format="LOG %(message)s")
    logging.info("informed")

ray.get(f.remote())
"""
    )
    assert re.search(r"\(f pid=\d+\) LOG informed", err)


def test_much_output_comes_whole():
    out, _ = output_of(
        """
@ray.remote
def f():
    for number in range(2000):
        print("line", number)

ray.get(f.remote())
time.sleep(1)
"""
    )
    numbers = [int(number) for number in re.findall(r"pid=\d+\) line (\d+)", out)]
    assert numbers == list(range(2000))


def test_last_lines_before_a_crash_come():
    out, _ = output_of(
        """
@ray.remote(max_retries=0)
def f():
    print("last words")
    os._exit(1)

try:
    ray.get(f.remote())
except ray.exceptions.WorkerCrashedError:
    print("crashed")
"""
    )
    assert "crashed" in out
    assert "last words" in out


def test_a_line_without_an_end_is_shown_too():
    out, _ = output_of(
        """
@ray.remote
def dots():
    print("no end of line", end="")

ray.get(dots.remote())
time.sleep(2)
"""
    )
    assert "no end of line" in out
