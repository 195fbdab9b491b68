"""What forked workers run in `test_zygote.py`, as setup hooks: each ends its process by itself."""

import os
import signal
import sys
import time


def say_hello():
    print("out of", os.environ["IORUN_WORKER"], os.environ.get("GREETING", ""))
    print("err", os.getcwd(), file=sys.stderr)
    sys.exit(3)


def leave_a_line_open():
    print("no end", end="", flush=True)
    time.sleep(600)


def killed():
    print("last words")
    os.kill(os.getpid(), signal.SIGKILL)


def wait():
    print("waiting")
    time.sleep(600)


def leave_a_child():
    import subprocess

    # Of its own session, so that the end of the worker's group is not its own.
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    print(child.pid, flush=True)
    # Not in order: then it would end its children itself.
    os._exit(0)


def print_much():
    line = b"x" * 99 + b"\n"
    for _ in range(500):
        os.write(1, line * 1000)
    sys.exit(0)


def print_odd_bytes():
    os.write(1, b"\xff\xfe broken\n" + "schön\n".encode())
    os.write(1, b"y" * 150_000 + b"\nunfinished")
    sys.exit(0)


def tell_state():
    import random

    descriptors = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    open_ones = [fd for fd in descriptors if os.path.exists(f"/proc/self/fd/{fd}")]
    print(f"fds={open_ones}")
    print(f"random={random.random()}")
    print(f"main={sys.modules['__main__'].__name__} {hasattr(sys.modules['__main__'], 'main')}")
    print(f"argv={sys.argv}")
    print(f"stdin={sys.stdin.read()!r}")
    sys.exit(0)


def fail():
    raise ValueError("no good")


def run_tasks():
    from types import SimpleNamespace

    from iorun._core import global_state

    executor = SimpleNamespace(actor_id=None, main_call=None, actor=None)
    global_state._worker = SimpleNamespace(executor=executor)

    def run(name, *texts):
        executor.main_call = SimpleNamespace(template=SimpleNamespace(name=name))
        for text in texts:
            sys.stdout.write(text)

    print("nobody's")
    run("f", "f1\nf2\n")
    run("g", "unfinished ")
    run("f", "line\nf3\n")
    run("f", "f4\n")

    class Named:
        def __repr__(self):
            return "Named(\n7)"

    executor.actor_id, executor.actor = b"1", Named()
    print("actor's")
    global_state._worker = None
    sys.exit(0)
