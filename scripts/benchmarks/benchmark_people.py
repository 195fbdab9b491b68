"""A forwarded port, a copy and a command, beside ssh and beside nothing in between."""

import argparse
import getpass
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Callable, Dict, List, Optional

import machine

SERVER = r"""
import socket, threading
listener = socket.create_server(("127.0.0.1", 0), backlog=200)
print("port %d" % listener.getsockname()[1], flush=True)
block = bytes(1 << 20)
def serve(peer):
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with peer:
        kind = peer.recv(1)
        if kind == b"D":
            for _ in range(int(peer.recv(16))):
                peer.sendall(block)
        while kind == b"P":
            byte = peer.recv(1)
            if not byte: break
            peer.sendall(byte)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def connect(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def throughput(port: int, mebibytes: int) -> float:
    """MB/s of one download."""
    buffer = bytearray(1 << 20)
    with connect(port) as peer:
        begun = time.perf_counter()
        peer.sendall(b"D%16d" % mebibytes)
        got = 0
        while count := peer.recv_into(buffer):
            got += count
        elapsed = time.perf_counter() - begun
    if got != mebibytes << 20:
        sys.exit(f"error: {got} bytes came instead of {mebibytes} MiB")
    return got / elapsed / 1e6


def round_trips(port: int, count: int) -> List[float]:
    """Microseconds of one byte there and back, on an open connection."""
    times = []
    with connect(port) as peer:
        peer.sendall(b"P")
        for index in range(count + 50):
            begun = time.perf_counter()
            peer.sendall(b"x")
            peer.recv(1)
            if index >= 50:
                times.append((time.perf_counter() - begun) * 1e6)
    return times


def first_byte(port: int, count: int) -> List[float]:
    """Milliseconds from connecting to the first byte's answer."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        with connect(port) as peer:
            peer.sendall(b"Px")
            peer.recv(1)
        times.append((time.perf_counter() - begun) * 1e3)
    return times


class Sshd:
    """An sshd of our own on the loopback, with a key that only this run has."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"], check=True)
        shutil.copy(f"{folder}/user.pub", f"{folder}/authorized")
        os.makedirs("/run/sshd", exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p",
             str(self.port), "-h", f"{folder}/host", "-o", "ListenAddress=127.0.0.1", "-o",
             f"AuthorizedKeysFile={folder}/authorized", "-o", "StrictModes=no", "-o",
             "PidFile=none", "-o", "UsePAM=no", "-o", "PermitRootLogin=yes", "-o",
             "Subsystem=sftp internal-sftp"],
            stderr=subprocess.DEVNULL)
        self.options = [
            "-i", f"{folder}/user", "-o", "StrictHostKeyChecking=no", "-o",
            "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
        self.target = f"{getpass.getuser()}@127.0.0.1"
        self.tunnel: Optional[subprocess.Popen] = None

    def forward(self, remote: int) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            local = free.getsockname()[1]
        self.tunnel = subprocess.Popen(
            ["ssh", "-N", "-L", f"{local}:127.0.0.1:{remote}", "-p", str(self.port)]
            + self.options + [self.target])
        for _ in range(100):
            try:
                connect(local).close()
                return local
            except OSError:
                time.sleep(0.05)
        sys.exit("error: ssh -L did not come up")

    def stop(self) -> None:
        for process in (self.tunnel, self.process):
            if process:
                process.terminate()
                process.wait()


def median_of(body: Callable[[], float], rounds: int) -> float:
    return statistics.median(body() for _ in range(rounds))


def timed(command: List[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=200, help="one transfer (default 200)")
    parser.add_argument("--rounds", type=int, default=3, help="of each (default 3)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    before = machine.describe()
    iorun = os.environ["IORUN_BIN"]
    with tempfile.TemporaryDirectory(prefix="ib-") as folder:
        os.environ["IORUN_STATE_DIR"] = folder + "/s"
        forward = sshd = None
        try:
            subprocess.run([iorun, "up", "--nodes", "1", "--cpus", "4"], check=True,
                           stdout=subprocess.DEVNULL)
            with open(folder + "/server.py", "w", encoding="utf-8") as file:
                file.write(SERVER)
            submitted = subprocess.run(
                [iorun, "submit", "--detach", "--json", "--", sys.executable, folder + "/server.py"],
                check=True, capture_output=True, text=True)
            job = json.loads(submitted.stdout)["id"]
            text = ""
            while "port " not in text:
                time.sleep(0.05)
                text = subprocess.run([iorun, "logs", job], capture_output=True, text=True).stdout
            remote = int(text.split()[1])
            forward = subprocess.Popen(
                [iorun, "port-forward", job, f"0:{remote}", "--json"], stdout=subprocess.PIPE,
                text=True)
            local = json.loads(forward.stdout.readline())["local_port"]
            ports: Dict[str, int] = {"the port itself": remote, "iorun port-forward": local}
            if shutil.which("sshd") or os.path.exists("/usr/sbin/sshd"):
                sshd = Sshd(folder)
                time.sleep(0.5)
                ports["ssh -L"] = sshd.forward(remote)
            else:
                print("SKIPPED: there is no sshd here", file=sys.stderr)

            figures: Dict[str, Dict[str, float]] = {name: {} for name in ports}
            speeds: Dict[str, List[float]] = {name: [] for name in ports}
            trips: Dict[str, List[float]] = {name: [] for name in ports}
            firsts: Dict[str, List[float]] = {name: [] for name in ports}
            for _ in range(options.rounds):
                for name, port in ports.items():
                    speeds[name].append(throughput(port, options.mebibytes))
                    trips[name] += round_trips(port, 1000)
                    firsts[name] += first_byte(port, 30)
            for name in ports:
                trip = sorted(trips[name])
                figures[name] = {
                    "mb_per_second": statistics.median(speeds[name]),
                    "round_trip_p50_microseconds": trip[len(trip) // 2],
                    "round_trip_p99_microseconds": trip[len(trip) * 99 // 100],
                    "first_byte_milliseconds": statistics.median(firsts[name]),
                }

            with open(folder + "/big", "wb") as file:
                for _ in range(options.mebibytes):
                    file.write(os.urandom(1 << 20))
            os.makedirs(folder + "/many")
            for index in range(1000):
                with open(f"{folder}/many/{index}", "w", encoding="utf-8") as file:
                    file.write(str(index) * 100)
            copies: Dict[str, Dict[str, float]] = {"iorun": {}, "ssh": {}}
            number = 0

            def fresh() -> str:
                nonlocal number
                number += 1
                return f"copy{number}"

            copies["iorun"] = {
                "large_file_seconds": median_of(
                    lambda: timed([iorun, "cp", "-q", folder + "/big", f"{job}:{fresh()}"]),
                    options.rounds),
                "thousand_files_seconds": median_of(
                    lambda: timed([iorun, "cp", "-q", folder + "/many", f"{job}:{fresh()}"]),
                    options.rounds),
                "command_seconds": median_of(
                    lambda: timed([iorun, "exec", job, "--", "true"]), 10),
            }
            if sshd:
                scp = ["scp", "-q", "-r", "-P", str(sshd.port)] + sshd.options
                copies["ssh"] = {
                    "large_file_seconds": median_of(
                        lambda: timed(
                            scp + [folder + "/big", f"{sshd.target}:{folder}/{fresh()}"]),
                        options.rounds),
                    "thousand_files_seconds": median_of(
                        lambda: timed(
                            scp + [folder + "/many", f"{sshd.target}:{folder}/{fresh()}"]),
                        options.rounds),
                    "command_seconds": median_of(
                        lambda: timed(
                            ["ssh", "-p", str(sshd.port)] + sshd.options + [sshd.target, "true"]),
                        10),
                }
        finally:
            if forward:
                forward.send_signal(signal.SIGINT)
                forward.wait()
            if sshd:
                sshd.stop()
            subprocess.run([iorun, "down"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if options.json:
        print(json.dumps({"machine": before, "ports": figures, "copies": copies}))
        return
    print(machine.sentence(before) + f"; {machine.describe()['load']:.2f} after it\n")
    print("| way | MB/s | round trip p50 / p99 µs | connection to first byte ms |")
    print("|---|---:|---:|---:|")
    for name, figure in figures.items():
        print(f"| {name} | {figure['mb_per_second']:,.0f} | "
              f"{figure['round_trip_p50_microseconds']:,.0f} / "
              f"{figure['round_trip_p99_microseconds']:,.0f} | "
              f"{figure['first_byte_milliseconds']:.2f} |")
    print(f"\n| what | iorun s | ssh s |\n|---|---:|---:|")
    for key, what in [
        ("large_file_seconds", f"copy a file of {options.mebibytes} MiB"),
        ("thousand_files_seconds", "copy 1,000 small files"), ("command_seconds", "run `true`"),
    ]:
        other = copies["ssh"].get(key)
        print(f"| {what} | {copies['iorun'][key]:.2f} | "
              + (f"{other:.2f} |" if other is not None else "not measured |"))


if __name__ == "__main__":
    main()
