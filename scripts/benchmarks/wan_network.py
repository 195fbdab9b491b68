"""Two network namespaces joined by the project's own emulated link, and programs in them."""

import os
import subprocess
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List

#: The addresses of the two ends, as `wan-link` gives them.
NEAR, FAR = "10.200.0.1", "10.200.0.2"


class Refused(Exception):
    """Something that the benchmark needs is not there, or did not work: the message says what."""


class Namespaces:
    """The near side ("a": head and driver) and the far side ("b": the worker node)."""

    def __init__(self, scratch: str) -> None:
        self.scratch = scratch
        #: The process that is the link.
        self.link = 0
        self._prefix = f"iorun-wan-{os.getpid()}"

    def name(self, side: str) -> str:
        """The name of a side's namespace."""
        return f"{self._prefix}-{side}"

    def make(self) -> None:
        """Makes both, with their loopbacks up."""
        for side in ("a", "b"):
            _ip("netns", "add", self.name(side))
            _ip("-n", self.name(side), "link", "set", "lo", "up")

    def remove(self) -> None:
        """Removes both; processes in them must have ended."""
        for side in ("a", "b"):
            subprocess.run(
                ["ip", "netns", "del", self.name(side)], capture_output=True, check=False)

    def command(self, side: str, arguments: List[str]) -> List[str]:
        """The words that run a program on a side."""
        return ["ip", "netns", "exec", self.name(side), *arguments]

    def start(
        self, side: str, arguments: List[str], log: str, environment: Dict[str, str], **others: Any
    ) -> "subprocess.Popen[str]":
        """Starts a program on a side; what it says goes to a file of the scratch folder."""
        with open(f"{self.scratch}/{log}.log", "w", encoding="utf-8") as file:
            settings = {"stdin": subprocess.DEVNULL, "stdout": file, **others}
            return subprocess.Popen(
                self.command(side, arguments), env=environment, cwd=self.scratch, text=True,
                stderr=file, **settings)

    def run(self, side: str, arguments: List[str], environment: Dict[str, str]) -> str:
        """Runs a program on a side to its end, and returns what it printed."""
        done = subprocess.run(
            self.command(side, arguments), env=environment, cwd=self.scratch, text=True,
            capture_output=True, check=False, timeout=90)
        if done.returncode != 0:
            raise Refused(f"{' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def log(self, name: str) -> str:
        """The end of what a started program said."""
        with open(f"{self.scratch}/{name}.log", encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-20:])


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def check() -> None:
    """Raises where namespaces and links cannot be made."""
    if os.geteuid() != 0:
        raise Refused("network namespaces need root: run this with sudo")
    if not os.path.exists("/dev/net/tun"):
        raise Refused("the emulated link needs /dev/net/tun")
    try:
        subprocess.run(["ip", "-V"], capture_output=True, check=True)
    except FileNotFoundError:
        raise Refused("network namespaces need the `ip` command: install iproute2") from None


@contextmanager
def linked(scratch: str, binary: str, rtt_ms: float, loss: float) -> Iterator[Namespaces]:
    """Both namespaces and the link between them; all of it is gone afterwards."""
    namespaces = Namespaces(scratch)
    link = None
    try:
        namespaces.make()
        link = subprocess.Popen(
            [binary, "--a", namespaces.name("a"), "--b", namespaces.name("b"),
             "--rtt-ms", str(rtt_ms), "--loss-percent", str(loss)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if link.stdout is None or link.stdout.readline().strip() != "ready":
            raise Refused("wan-link did not make its link; its message is above")
        namespaces.link = link.pid
        yield namespaces
    finally:
        if link is not None:
            link.terminate()
            link.wait()
            for stream in (link.stdin, link.stdout):
                if stream is not None:
                    stream.close()
        namespaces.remove()


def wait_for_text(namespaces: Namespaces, log: str, text: str, seconds: float) -> None:
    """Waits until a started program has said something."""
    deadline = time.monotonic() + seconds
    while text not in namespaces.log(log):
        if time.monotonic() > deadline:
            raise Refused(f"{log} did not say {text!r} in {seconds:g} s:\n{namespaces.log(log)}")
        time.sleep(0.01)
