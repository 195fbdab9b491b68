"""Ray's microbenchmark, with iorun's Python SDK, iorun's Swift API and Ray itself, in one run.

Use scripts/benchmark-ray.sh, which prepares what this needs.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import floors
import machine
import report
from lines import LINES
from lines_client import IDLE_LINE, SAMPLES
from processes import adopt_orphans
from systems import Session, SessionFailed, System, idle, scratch_folder, session, swift_line, swift_network


SWIFT_ONLY = "Swift only"


class Task(NamedTuple):
    """A line to be run, or a sample to be taken."""

    name: str
    group: str
    unit: str


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmark-ray.sh", description=__doc__)
    parser.add_argument(
        "--lines", default="", metavar="PATTERN",
        help="only lines whose name holds this text or matches this expression")
    parser.add_argument("--all", action="store_true", help="also the lines that take minutes")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, whose median counts (3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a trial (1)")
    parser.add_argument(
        "--ray-timing", action="store_true",
        help="Ray's own rules: 10 s of rest, 1 s to warm up, 4 trials of 2 s a line")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--no-ray", action="store_true", help="without Ray")
    parser.add_argument("--no-python", action="store_true", help="without iorun's Python SDK")
    parser.add_argument("--no-swift", action="store_true", help="without iorun's Swift API")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds is at least 1 and --seconds more than 0")
    return options


def _matches(name: str, pattern: str) -> bool:
    if pattern.lower() in name.lower():
        return True
    try:
        return re.search(pattern, name, re.IGNORECASE) is not None
    except re.error:
        return False


def _unit(name: str) -> str:
    if "gigabytes" in name:
        return "GB/s"
    return {
        "single client tasks and get batch": "1k tasks/s",
        "client: tasks and get batch": "1k tasks/s",
        "single client wait 1k refs": "1k waits/s",
        "placement group create/removal": "groups/s",
    }.get(name, "calls/s")


def _select(options: argparse.Namespace) -> List[Task]:
    tasks = [Task(each.name, each.group, _unit(each.name)) for each in LINES]
    for sample in SAMPLES:
        if not sample.long or options.all or options.lines:
            tasks.append(Task(sample.name, sample.group, sample.unit))
    tasks.append(Task(IDLE_LINE, "idle", "MB PSS"))
    # Many actors in one process: neither Python SDK has them.
    tasks.append(Task("actor creation", SWIFT_ONLY, "actors/s"))
    return [each for each in tasks if _matches(each.name, options.lines)]


def _systems(options: argparse.Namespace) -> List[System]:
    """The systems with a Python of their own, ours first."""
    found = []
    if not options.no_python:
        found.append(System("python", "iorun", os.environ["IORUN_BENCH_PYTHON"]))
    if not options.no_ray:
        if os.environ.get("RAY_BENCH_PYTHON"):
            found.append(System("ray", "ray", os.environ["RAY_BENCH_PYTHON"]))
        else:
            _say("SKIPPED: Ray is not measured, because it cannot be had here")
    return found


class Run:
    """All rounds of all lines."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.tasks = _select(options)
        self.systems = _systems(options)
        self.swift: Optional[str] = None if options.no_swift else os.environ.get("IORUN_BENCH_SWIFT")
        if not self.swift and not options.no_swift:
            _say("SKIPPED: Swift is not measured, because iorun-runtime-bench is not built")
        self.answers: Dict[str, Dict[str, List[Dict[str, Any]]]] = {
            each.name: {} for each in self.tasks}
        self.floors: List[Dict[str, Optional[float]]] = []
        self.versions: Dict[str, str] = {}
        #: Lines that a system is too slow at to run them in every round.
        self.slow = set()

    def go(self) -> None:
        """Runs everything: round by round, group by group, the systems in turn within a group."""
        groups = list(dict.fromkeys(each.group for each in self.tasks))
        for number in range(self.options.rounds):
            for group in groups:
                with scratch_folder() as scratch:
                    self.floors.append(floors.measure(scratch))
                tasks = [each for each in self.tasks if each.group == group]
                for system in self.systems if group != SWIFT_ONLY else ():
                    self._group(number, system, group, tasks)
                if self.swift:
                    self._swift_group(number, self.swift, tasks)

    def _group(self, number: int, system: System, group: str, tasks: List[Task]) -> None:
        tasks = [each for each in tasks if (system.name, each.name) not in self.slow]
        if not tasks:
            return
        if group == "idle":
            self._guard(number, system.name, tasks[0], lambda: self._idle(system))
            return
        try:
            with session(system, group) as running:
                self.versions[system.name] = running.version
                for each in tasks:
                    self._guard(number, system.name, each, lambda: self._ask(running, system, each))
        except SessionFailed as error:
            _say(f"{system.name}: {group}: {error}")
            for each in tasks:
                if len(self.answers[each.name].get(system.name, [])) <= number:
                    self._note(number, system.name, each, {"error": str(error)})

    def _ask(self, running: Session, system: System, task: Task) -> Dict[str, Any]:
        # Ray takes minutes for a tenth of a million tasks; the rate is what is compared.
        tasks = 20_000 if system.name == "ray" else 1_000_000
        with scratch_folder() as scratch:
            return running.ask({
                "line": task.name, "group": task.group, "seconds": self.options.seconds,
                "ray_timing": self.options.ray_timing, "tasks": tasks, "scratch": scratch,
            }, patience=120 + 60 * self.options.seconds)

    def _idle(self, system: System) -> Dict[str, Any]:
        used = idle(system)
        return {
            "value": used.proportional / 1e6, "resident_mb": used.resident / 1e6,
            "processes": used.processes, "threads": used.threads}

    def _swift_group(self, number: int, binary: str, tasks: List[Task]) -> None:
        tasks = [each for each in tasks if ("swift", each.name) not in self.slow]
        if not tasks or tasks[0].group in ("idle", "client", "queue"):
            return
        try:
            with swift_network() as environment:
                for each in tasks:
                    self._swift_line(number, binary, each, environment)
        except SessionFailed as error:
            _say(f"swift: {tasks[0].group}: {error}")

    def _swift_line(
        self, number: int, binary: str, task: Task, environment: Dict[str, str]
    ) -> None:
        try:
            answer = swift_line(binary, task.name, self.options.seconds, environment)
        except (SessionFailed, subprocess.TimeoutExpired, ValueError, KeyError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        if answer is None:
            self.slow.add(("swift", task.name))  # It has no such line: not asked again.
        else:
            self._note(number, "swift", task, answer)

    def _guard(
        self, number: int, name: str, task: Task, take: Callable[[], Dict[str, Any]]
    ) -> None:
        answer = take()
        if answer.get("slow"):
            self.slow.add((name, task.name))
        self._note(number, name, task, answer)

    def _note(self, number: int, name: str, task: Task, answer: Dict[str, Any]) -> None:
        self.answers[task.name].setdefault(name, []).append(answer)
        figure = answer.get("error") or f"{answer['value']:,.5g} {task.unit}"
        cost = f", CPU {answer['cpu_us']:,.4g} us" if answer.get("cpu_us") else ""
        _say(f"round {number + 1}  {name:6}  {task.name}: {figure}{cost}")

    def results(self) -> List[Dict[str, Any]]:
        """One object a line."""
        return [report.row(each.name, self.answers[each.name], each.unit) for each in self.tasks]


def main() -> int:
    options = _options()
    adopt_orphans()
    run = Run(options)
    if not run.tasks:
        _say(f"error: no line matches {options.lines!r}. The lines are:")
        for task in _select(argparse.Namespace(lines="", all=True)):
            _say(f"  {task.name}")
        return 2
    before = machine.describe()
    _say(machine.sentence(before))
    if before["load"] > 0.5:
        _say("note: this machine is busy; figures of a busy machine say little")
    run.go()
    results = run.results()
    after = machine.describe()
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
        names = {"python": "iorun", "ray": "Ray"}
        versions = [f"{names[name]} {version}" for name, version in run.versions.items()]
        rules = "Ray's timing" if options.ray_timing else f"2 trials of {options.seconds:g} s"
        print(machine.sentence(before) + f" before and {after['load']:.2f} after")
        print(", ".join([*versions, f"commit {commit.stdout.strip() or 'unknown'}"])
              + f"; medians of {options.rounds} rounds, systems in turn, {rules}")
        print(report.floor_sentence(run.floors) + "\n")
        print(report.table(results))
    failed = [each["line"] for each in results if "python_error" in each or "swift_error" in each]
    if failed:
        _say("error: these lines of iorun failed: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
