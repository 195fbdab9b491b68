"""The zygote against a scripted hub on a real socket."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from iorun._environment import START
from iorun._zygote import leftovers

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
HEADER = struct.Struct("<IBBHQ")
REQUEST, RESPONSE, EVENT, NOTE = 1, 2, 3, 4
FORK, FORKED, EXITED, OUTPUT, PROGRESS, FAILED, STOP, CONDEMNED = 70, 71, 72, 73, 74, 75, 76, 77


class FakeHub:
    """Starts a zygote, answers its hello, and takes its notes one by one."""

    def __init__(self, folder, document=None, cache=None, sys_path=(HERE,), arguments=()):
        self.folder = folder
        path = str(folder / "hub.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        listener.settimeout(20)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("IORUN_")}
        environment.update(
            PYTHONPATH=SOURCE,
            PYTHONUNBUFFERED="1",
            IORUN_HUB=path,
            IORUN_JOB_ID="job-00000001",
            IORUN_TOKEN="secret",
            IORUN_ROLE="zygote",
            IORUN_ENVIRONMENT_HASH="abc" if document else "",
            IORUN_ENVIRONMENT=json.dumps(document) if document else "",
            IORUN_CACHE_DIR=str(cache or folder / "cache"),
        )
        argv = [sys.executable, "-c", START, "--sys-path", json.dumps([*sys_path])]
        self.started = time.monotonic()
        self.process = subprocess.Popen(argv + list(arguments), env=environment, cwd=str(folder))
        self.socket, _ = listener.accept()
        listener.close()
        self.socket.settimeout(30)
        self.data = b""
        kind, operation, number, self.hello = self.frame()
        assert (kind, operation) == (REQUEST, 1)
        self.send(RESPONSE, 0, {"protocol": 1}, number)

    def send(self, kind, aux, content, number=0):
        text = json.dumps(content).encode()
        body = struct.pack("<I", len(text)) + text
        self.socket.sendall(HEADER.pack(12 + len(body), kind, 0, aux, number) + body)

    def fork(self, worker, name="", **environment):
        self.send(EVENT, FORK, {"worker": worker, "environment": environment, "name": name})

    def frame(self):
        while True:
            if len(self.data) >= 16:
                length, kind, _, aux, number = HEADER.unpack_from(self.data)
                if len(self.data) >= 4 + length:
                    body, self.data = self.data[16 : 4 + length], self.data[4 + length :]
                    (size,) = struct.unpack_from("<I", body)
                    return kind, aux, number, json.loads(body[4 : 4 + size])
            more = self.socket.recv(1 << 16)
            if not more:
                raise EOFError("the zygote closed the connection")
            self.data += more

    def note(self, *operations):
        """The next note of one of these kinds."""
        while True:
            kind, operation, _, content = self.frame()
            assert kind == NOTE
            if operation in operations:
                return content

    def until_exit(self, worker):
        """Lines by stream until a worker's end, and the note of it."""
        lines = {"out": [], "err": []}
        while True:
            _, operation, _, content = self.frame()
            if content.get("worker") != worker:
                continue
            if operation == OUTPUT:
                lines[content["stream"]] += content["lines"]
            elif operation == EXITED:
                return lines, content

    def close(self):
        self.socket.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def hub(tmp_path):
    hubs = []

    def start(hook=None, **options):
        document = options.pop("document", {})
        if hook:
            document["worker_process_setup_hook"] = f"zygote_programs.{hook}"
        hubs.append(FakeHub(tmp_path, document, **options))
        return hubs[-1]

    yield start
    for each in hubs:
        each.close()


def is_gone(pid):
    """Whether a process has ended; waits for it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_modules_beside_the_program_do_not_shadow_the_standard_library(hub, tmp_path):
    for name in ("types.py", "enum.py", "json.py", "socket.py"):
        (tmp_path / name).write_text("raise SystemExit('shadowed')\n")
    it = hub("say_hello")
    it.fork("aa")
    assert it.until_exit("aa")[1]["status"] == 3


def test_hello_says_who_it_is(hub):
    hello = hub("wait").hello
    assert hello["role"] == "zygote"
    assert hello["job"] == "job-00000001"
    assert hello["token"] == "secret"
    assert hello["environment"] == "abc"
    assert hello["protocol"] == 1
    assert hello["sdk"].startswith("python/")


def test_forked_worker_prints_and_exits_with_its_status(hub):
    it = hub("say_hello")
    it.fork("aa", GREETING="good day")
    assert it.note(FORKED)["worker"] == "aa"
    lines, end = it.until_exit("aa")
    assert lines["out"] == ["out of aa good day"]
    assert lines["err"] == [f"err {it.folder}"]
    assert end["status"] == 3
    assert "signal" not in end
    assert end["maxResidentBytes"] > 1 << 20
    assert sorted(end["lastLines"]) == sorted(lines["out"] + lines["err"])


def test_a_line_without_an_end_is_passed_on_all_the_same(hub):
    it = hub("leave_a_line_open")
    it.fork("aa")
    assert it.note(OUTPUT)["lines"] == ["no end"]


def test_killed_worker_gives_its_signal_and_last_lines(hub):
    it = hub("killed")
    it.fork("aa")
    _, end = it.until_exit("aa")
    assert end["signal"] == signal.SIGKILL
    assert "status" not in end
    assert end["lastLines"] == ["last words"]


def test_kill_from_outside(hub):
    it = hub("wait")
    it.fork("aa")
    pid = it.note(FORKED)["pid"]
    assert it.note(OUTPUT)["lines"] == ["waiting"]
    os.kill(pid, signal.SIGKILL)
    _, end = it.until_exit("aa")
    assert (end["pid"], end["signal"]) == (pid, signal.SIGKILL)


def test_many_workers_at_once(hub):
    it = hub("say_hello")
    names = [f"{number:02x}" for number in range(20)]
    for name in names:
        it.fork(name)
    ended = {}
    while len(ended) < len(names):
        note = it.note(EXITED)
        ended[note["worker"]] = note["status"]
    assert ended == {name: 3 for name in names}


def test_child_has_nothing_of_the_zygote(hub):
    it = hub("tell_state")
    it.fork("aa")
    first, _ = it.until_exit("aa")
    it.fork("bb")
    second, _ = it.until_exit("bb")
    facts = dict(line.split("=", 1) for line in first["out"])
    assert facts["fds"] == "[0, 1, 2]"
    assert facts["main"] == "__main__ False"
    assert facts["argv"] == "['iorun-worker']"
    assert facts["stdin"] == "''"
    assert facts["random"] != dict(line.split("=", 1) for line in second["out"])["random"]


def test_bytes_that_are_no_text_and_lines_that_are_too_long(hub):
    it = hub("print_odd_bytes")
    it.fork("aa")
    lines, _ = it.until_exit("aa")
    assert lines["out"][:2] == ["\ufffd\ufffd broken", "schön"]
    long = lines["out"][2:-1]
    assert "".join(long) == "y" * 150_000
    assert max(map(len, long)) <= 2 * (64 << 10)
    assert lines["out"][-1] == "unfinished"


def test_much_output_is_held_back_while_the_hub_does_not_read(hub):
    it = hub("print_much")
    it.fork("aa")
    it.note(FORKED)
    # Until the zygote has stopped reading: what it has of the worker no longer grows.
    pid = it.process.pid
    seen = -1
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with open(f"/proc/{pid}/io") as file:
            read = int(file.readline().split()[1])
        if read == seen and read > 100_000:
            break
        seen = read
        time.sleep(0.3)
    assert seen < 10 << 20
    with open(f"/proc/{pid}/status") as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    assert resident < 120 << 10
    lines, end = it.until_exit("aa")
    assert end["status"] == 0
    assert len(lines["out"]) == 500_000
    assert set(lines["out"]) == {"x" * 99}


def test_zygote_and_workers_end_with_the_hub(hub):
    it = hub("wait")
    it.fork("aa")
    pid = it.note(FORKED)["pid"]
    it.note(OUTPUT)
    it.socket.close()
    assert it.process.wait(10) == 1
    assert is_gone(pid)


@pytest.mark.parametrize("way", ["stop", "SIGTERM"])
def test_zygote_ends_in_order(hub, way):
    it = hub("wait")
    it.fork("aa")
    pid = it.note(FORKED)["pid"]
    it.note(OUTPUT)
    if way == "stop":
        it.send(EVENT, STOP, {"reason": "test"})
    else:
        it.process.send_signal(signal.SIGTERM)
    assert it.process.wait(10) == 0
    assert is_gone(pid)


def test_workers_end_with_a_killed_zygote(hub):
    it = hub("wait")
    it.fork("aa")
    pid = it.note(FORKED)["pid"]
    it.note(OUTPUT)
    it.process.kill()
    it.process.wait()
    assert is_gone(pid)


def test_what_a_worker_has_left_ends_also_where_the_word_comes_after_its_end(hub):
    it = hub("leave_a_child")
    it.fork("aa")
    lines, _ = it.until_exit("aa")
    (child,) = map(int, lines["out"])
    try:
        assert os.path.exists(f"/proc/{child}")
        it.send(EVENT, CONDEMNED, {"worker": "aa"})
        assert is_gone(child)
    finally:
        if not is_gone(child):
            os.kill(child, signal.SIGKILL)


def test_a_worker_is_not_forgotten_while_what_it_left_is_ending(monkeypatch):
    found = {11: leftovers._ENDING}
    ended = []
    monkeypatch.setattr(leftovers.children, "of", lambda _: list(found))
    monkeypatch.setattr(leftovers.children, "kill", ended.append)
    monkeypatch.setattr(leftovers, "_worker_of", found.get)
    of_zygote = leftovers.Leftovers()
    of_zygote.condemn("aa")
    of_zygote.sweep(set(), set())
    # What that one had started comes to the zygote when it has ended.
    found.clear()
    found[12] = "aa"
    of_zygote.sweep(set(), set())
    assert ended == [12]
    found.clear()
    of_zygote.sweep(set(), set())
    found[13] = "aa"
    of_zygote.sweep(set(), set())
    assert ended == [12]


def test_one_that_is_ending_is_told_from_one_without_variables():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert leftovers._worker_of(child) == leftovers._ENDING
    os.waitpid(child, 0)
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, env={}, stdin=subprocess.PIPE) as without:
        assert leftovers._worker_of(without.pid) is None
        without.stdin.close()


def test_failing_hook_is_told(hub):
    it = hub("fail")
    it.fork("aa")
    message = it.note(FAILED)["message"]
    assert message.startswith("Failed to execute the worker_process_setup_hook:")
    assert "ValueError: no good" in message
    _, end = it.until_exit("aa")
    assert end["status"] == 66


def test_variables_reach_the_worker_and_expand(hub):
    document = {"env_vars": {"GREETING": "from ${HOME} ${NOT_SET_AT_ALL}!"}}
    it = hub("say_hello", document=document)
    it.fork("aa")
    lines, _ = it.until_exit("aa")
    assert lines["out"] == [f"out of aa from {os.environ['HOME']} !"]


def test_variables_that_the_interpreter_reads_start_it_anew(hub):
    document = {"env_vars": {"PYTHONHASHSEED": "7", "GREETING": "${GREETING}again"}}
    it = hub("say_hello", document=document)
    it.fork("aa")
    lines, _ = it.until_exit("aa")
    assert lines["out"] == ["out of aa again"]


def test_environment_that_cannot_be_built_is_told(hub):
    document = {
        "working_dir": {"package": "0" * 64, "kind": "folder", "path": "/far/away", "file": "/no"}
    }
    it = hub("wait", document=document)
    with contextlib.suppress(BrokenPipeError):
        # It may have told so, and ended, already.
        it.fork("aa")
    message = it.note(FAILED)["message"]
    assert "/far/away" in message and "not on this machine" in message
    assert it.process.wait(10) == 1


def test_lines_come_with_the_names_of_their_tasks(hub):
    it = hub("run_tasks")
    it.fork("aa")
    lines = []
    while True:
        note = it.note(OUTPUT, EXITED)
        if "lastLines" in note:
            break
        lines += [(note.get("name", ""), line) for line in note["lines"]]
    assert lines == [
        ("", "nobody's"),
        ("f", "f1"),
        ("f", "f2"),
        ("g", "unfinished line"),
        ("g", "f3"),
        ("f", "f4"),
        ("Named( 7)", "actor's"),
    ]
    assert note["lastLines"] == [line for _, line in lines]
