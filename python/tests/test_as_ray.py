"""Programs that say `import ray`, and nothing of iorun."""

import os
import subprocess
import sys

PROGRAM = """
import sys, threading
import ray
import ray.util.queue
from ray.util.queue import Empty, Queue
from ray.util.placement_group import placement_group
from ray.exceptions import RayTaskError

ray.init(num_cpus=2, log_to_driver=False)


class Point:
    def __init__(self, x):
        self.x = x


@ray.remote
def in_worker(queue, point):
    # In another process, which has never seen this program's imports.
    import ray
    from ray.util.queue import Queue as There

    assert isinstance(queue, There)
    queue.put(ray.get(ray.put(point.x)) + 1)
    return ray.__name__


queue = Queue()
assert ray.get(in_worker.remote(queue, Point(41))) == "iorun"
assert queue.get() == 42
try:
    queue.get_nowait()
    raise SystemExit("it was not empty")
except Empty:
    pass
assert callable(placement_group) and callable(ray.util.placement_group)
assert ray.util.queue.Queue is Queue
try:
    import ray.data
    raise SystemExit("there is no ray.data")
except ImportError as error:
    assert "iorun" in str(error)
print("done", __name__, sys.argv[1:], threading.current_thread() is threading.main_thread())
"""


def run(arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, **environment},
    )


def test_a_whole_program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = run(["-m", "iorun.as_ray", "program.py", "a", "-b"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "done __main__ ['a', '-b'] True"


def test_a_module_and_a_text(tmp_path):
    (tmp_path / "beside.py").write_text("import ray, sys; print(ray.__name__, sys.argv[1:])")
    done = run(["-m", "iorun.as_ray", "-m", "beside", "x"], tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "iorun ['x']"), done.stderr
    done = run(["-m", "iorun.as_ray", "-c", "import ray.util, sys; print(sys.argv)"], tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "['-c']"), done.stderr


def test_by_an_import(tmp_path):
    (tmp_path / "program.py").write_text("import iorun.as_ray\n" + PROGRAM)
    done = run(["program.py"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("done")


def test_processes_that_a_program_starts(tmp_path):
    child = "import ray, ray.util.actor_pool; print(ray.__name__)"
    text = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    done = run(["-m", "iorun.as_ray", "-c", text], tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "iorun"), done.stderr


def test_an_error_has_the_programs_lines(tmp_path):
    (tmp_path / "program.py").write_text("import ray\n\n1 / 0\n")
    done = run(["-m", "iorun.as_ray", "program.py"], tmp_path)
    assert done.returncode == 1
    assert 'program.py", line 3' in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_what_cannot_be_run(tmp_path):
    done = run(["-m", "iorun.as_ray"], tmp_path)
    assert done.returncode == 2
    assert "usage: python -m iorun.as_ray" in done.stderr
    done = run(["-m", "iorun.as_ray", "nothing.py"], tmp_path)
    assert done.returncode == 2
    assert "cannot read nothing.py: No such file" in done.stderr


def test_without_it_ray_is_not_ours(tmp_path):
    done = run(["-c", "import iorun, sys; print('ray' in sys.modules)"], tmp_path)
    assert done.stdout.strip() == "False"
