"""iorun, and Ray if wished, with a wide area network between the driver and its workers.

Use scripts/benchmark-wan.sh, which prepares what this needs.
"""

import argparse
import glob
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional

import machine
from processes import adopt_orphans, end_descendants
from systems import Session, SessionFailed, clean_environment, scratch_folder
from wan_network import FAR, NEAR, Namespaces, Refused, check, linked, wait_for_text

_HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = (
    "tasks_async_per_s", "task_sync_ms", "actor_call_ms", "actor_create_ms", "get_1mib_ms",
    "join_ms")
#: Ray 2.60.0, measured once on a machine of this kind (docs/BENCHMARKS.md), by round-trip time.
RAY_BEFORE: Dict[float, List[float]] = {
    0.1: [590, 3.7, 1.1, 720, 50, 4800],
    50: [33.1, 107.5, 53.1, 1680, 760, 4300],
    100: [15.7, 207, 105.5, 2100, 1490, 5000],
    200: [7.3, 407, 203.6, 3950, 2910, 9000],
}
JOINS = 3


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmark-wan.sh", description=__doc__)
    parser.add_argument("--rtt-ms", type=float, required=True, help="milliseconds there and back")
    parser.add_argument(
        "--loss", type=float, default=0.0, help="percentage of packets lost, each way")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a rate's stretch (2)")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--with-ray", action="store_true", help="measure Ray, too")
    parser.add_argument("--no-iorun", action="store_true", help="only Ray")
    options = parser.parse_args()
    if not 0 <= options.rtt_ms <= 60_000 or not 0 <= options.loss < 100:
        parser.error("--rtt-ms is between 0 and 60000, --loss from 0 to below 100")
    return options


@contextmanager
def _driver(
    namespaces: Namespaces, python: str, module: str, address: str, environment: Dict[str, str]
) -> Iterator[Session]:
    process = namespaces.start(
        "a", [python, _HERE + "/wan_driver.py", "--module", module, "--address", address],
        "driver", environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        session = Session(process, f"{namespaces.scratch}/driver.log")
        session.version = session.ask({})["version"]
        yield session
        session.ask({"end": True})
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _asked(session: Session, order: Dict[str, Any], patience: float) -> Dict[str, Any]:
    answer = session.ask(order, patience)
    if "error" in answer:
        raise SessionFailed(f"{answer['error']}\n{session.last_words()}")
    return answer


def _iorun(namespaces: Namespaces, options: argparse.Namespace) -> Dict[str, Any]:
    binary = os.environ["IORUN_BIN"]
    environment = clean_environment(namespaces.scratch)
    state = namespaces.scratch + "/"

    def ticket() -> str:
        return namespaces.run(
            "a", [binary, "ticket", "create", "--role", "supplier", "--state-dir", state + "head"],
            environment).split()[-1]

    def join(side: str, name: str, ticket: str, *more: str) -> Any:
        return namespaces.start(
            side, [binary, "join", "--state-dir", state + name, "--name", name, *more],
            name, dict(environment, IORUN_TICKET=ticket))

    address = NEAR + ":7070"
    namespaces.start(
        "a",
        [binary, "head", "--listen", address, "--verification", "off",
         "--state-dir", state + "head"],
        "head", environment)
    wait_for_text(namespaces, "head", "tickets name " + address, 20)
    join("a", "near", ticket(), "--cpus", "0")
    deadline = time.monotonic() + 20
    while not glob.glob(state + "near/**/hub.json", recursive=True):
        if time.monotonic() > deadline:
            raise Refused("the near node did not come up:\n" + namespaces.log("near"))
        time.sleep(0.01)
    python = os.environ["IORUN_BENCH_PYTHON"]
    with _driver(namespaces, python, "iorun", state + "near", environment) as driver:
        joins = []
        for number in range(JOINS):
            last = number == JOINS - 1
            # The ticket is made before the clock starts: that is the inviting side's work.
            invitation = ticket()
            start = time.monotonic()
            node = join(
                "b", f"far{number}", invitation, "--cpus", "2", "--resources", '{"far": 1}')
            at = _asked(driver, {"nodes": 2, "seconds": 60}, 70)["at"]
            joins.append((at - start) * 1e3)
            _say(f"iorun: joined in {joins[-1]:.0f} ms")
            if not last:
                node.send_signal(signal.SIGTERM)
                node.wait(30)
                _asked(driver, {"nodes": -1, "seconds": 60}, 70)
        result = _asked(
            driver, {"rtt_ms": options.rtt_ms, "seconds": options.seconds}, _patience(options))
        result["join_ms"] = statistics.median(joins)
        _say("iorun: measured")
        result["version"] = driver.version
        return result


def _ray(namespaces: Namespaces, options: argparse.Namespace) -> Dict[str, Any]:
    python = os.environ["RAY_BENCH_PYTHON"]
    ray = os.path.dirname(python) + "/ray"
    # `ray start` turns tokens on where it finds one, and a driver does not always follow.
    environment = dict(clean_environment(namespaces.scratch), RAY_AUTH_MODE="disabled")
    namespaces.run(
        "a",
        [ray, "start", "--head", "--num-cpus=0", "--port=6379", f"--node-ip-address={NEAR}",
         f"--temp-dir={namespaces.scratch}/ray", "--disable-usage-stats"], environment)
    with _driver(namespaces, python, "ray", NEAR + ":6379", environment) as driver:
        start = time.monotonic()
        namespaces.run(
            "b",
            [ray, "start", f"--address={NEAR}:6379", "--num-cpus=2", '--resources={"far": 1}',
             f"--node-ip-address={FAR}", "--disable-usage-stats"], environment)
        joined = _asked(driver, {"nodes": 2, "seconds": 60}, 70)["at"]
        result = _asked(
            driver, {"rtt_ms": options.rtt_ms, "seconds": options.seconds}, _patience(options))
        result["join_ms"] = (joined - start) * 1e3
        result["version"] = driver.version
        return result


def _patience(options: argparse.Namespace) -> float:
    return 180 + 60 * options.seconds + 2 * options.rtt_ms


def _before(rtt_ms: float) -> Optional[Dict[str, float]]:
    figures = RAY_BEFORE.get(rtt_ms)
    return None if figures is None else dict(zip(FIGURES, figures))


def _print(results: Dict[str, Dict[str, Any]], options: argparse.Namespace) -> None:
    print(machine.sentence(machine.describe()))
    print(f"{options.rtt_ms:g} ms there and back, {options.loss:g} % of packets lost each way, "
          "1 Gb/s; head and driver on one side, two workers on the other\n")
    columns = list(results)
    print("| figure | " + " | ".join(columns) + " |")
    print("| - | " + " | ".join("-:" for _ in columns) + " |")
    more = [key for key in next(iter(results.values())) if key.endswith(("_ms", "_per_s"))]
    for figure in dict.fromkeys([*FIGURES, *more]):
        cells = [results[name].get(figure) for name in columns]
        print(f"| {figure} | " + " | ".join(
            "-" if cell is None else f"{cell:,.1f}" for cell in cells) + " |")


def _one(system: Any, options: argparse.Namespace) -> Dict[str, Any]:
    with scratch_folder() as scratch:
        try:
            with linked(
                scratch, os.environ["WAN_LINK_BIN"], options.rtt_ms, options.loss
            ) as namespaces:
                try:
                    return system(namespaces, options)
                finally:
                    end_descendants(os.getpid(), grace=0.0, spare=namespaces.link)
        finally:
            end_descendants(os.getpid(), grace=2.0)


def main() -> int:
    options = _options()
    # Both end as Ctrl-C does: what was made is removed on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results: Dict[str, Dict[str, Any]] = {}
    try:
        check()
        adopt_orphans()
        if not options.no_iorun:
            results["iorun"] = _one(_iorun, options)
        if options.with_ray or options.no_iorun:
            if os.environ.get("RAY_BENCH_PYTHON"):
                results["Ray"] = _one(_ray, options)
            else:
                _say("SKIPPED: Ray is not measured, because it cannot be had here")
    except (Refused, SessionFailed) as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; the namespaces are removed")
        return 130
    before = _before(options.rtt_ms)
    if options.json:
        first = dict(next(iter(results.values())))
        ordered = {key: first[key] for key in FIGURES}
        ordered.update(first, rtt_ms=options.rtt_ms, loss_percent=options.loss)
        ordered["ray"] = results.get("Ray", before)
        print(json.dumps({
            key: round(value, 3) if isinstance(value, float) else value
            for key, value in ordered.items()}))
    else:
        if before is not None and options.loss == 0:
            results["Ray, measured before"] = before
        _print(results, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
