"""Finds a network on this machine, or starts one that is this process's own.

A node's agent publishes its Unix socket in `<state folder>/<node>/hub.json`. Networks of
`iorun up` are in the state folder; those that a driver or a test cluster started for itself are
in folders of their own, and are listed in a registry so that `init(address="auto")` of another
process finds them.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from iorun._system_config import SystemConfig

__all__ = ["Hub", "PrivateNetwork", "find", "find_binary", "hub_of_folder", "registry"]

#: How long a network that was just started may take until its socket answers.
START_SECONDS = 30.0


class Hub(NamedTuple):
    """A node's agent that answers on this machine."""

    socket: str
    node: str
    name: str
    state_dir: str
    address: str


def find_binary() -> str:
    """The `iorun` program: `$IORUN_BIN`, beside this package, or on the PATH."""
    named = os.environ.get("IORUN_BIN")
    if named:
        # The folder that a build leaves it in is as good as the file.
        path = Path(named) / "iorun" if os.path.isdir(named) else Path(named)
        if not os.access(path, os.X_OK):
            raise FileNotFoundError(f"$IORUN_BIN names {named}, which is no program.")
        return str(path)
    beside = Path(__file__).parent / "bin" / "iorun"
    if os.access(beside, os.X_OK):
        return str(beside)
    on_path = shutil.which("iorun")
    # A console script of this package would start itself.
    if on_path and not _is_script(on_path):
        return on_path
    raise FileNotFoundError(
        "The program `iorun`, which runs the network, was not found. Build it with `swift build "
        "-c release` in iorun's sources and put `.build/release/iorun` on the PATH, or name it "
        "in $IORUN_BIN."
    )


def _is_script(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def state_folder() -> Path:
    """Where `iorun up` keeps its network, unless told otherwise."""
    return Path(os.environ.get("IORUN_STATE_DIR") or Path.home() / ".iorun")


def registry() -> Path:
    """The folder that lists networks outside of the state folder; only its owner may read it."""
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return base / f"iorun-networks-{os.getuid()}"


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _head_address(folder: Path) -> str:
    try:
        return json.loads((folder / "network.json").read_text())["headAddress"]
    except (OSError, ValueError, KeyError):
        # A joined node's folder has none.
        return ""


def hubs_of_folder(folder: Path) -> Iterator[Hub]:
    """The agents of a state folder that answer, by name."""
    for path in sorted(folder.glob("*/hub.json")) + sorted(folder.glob("hub.json")):
        try:
            found = json.loads(path.read_text())
            hub = Hub(
                found["socket"],
                found["node"],
                found.get("name", ""),
                str(folder),
                _head_address(folder),
            )
        except (OSError, ValueError, KeyError):
            # It is being written or removed just now.
            continue
        if _answers(hub.socket):
            yield hub


def hub_of_folder(folder: Path, seconds: float = 0) -> Optional[Hub]:
    """The first agent of a state folder that answers, waiting that long for one."""
    deadline = time.monotonic() + seconds
    while True:
        for hub in hubs_of_folder(folder):
            return hub
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.01)


def _registered() -> List[Hub]:
    """Networks in the registry that answer, the newest first; forgets those that are gone."""
    entries = []
    for path in registry().glob("*.json"):
        try:
            entry = json.loads(path.read_text())
            entries.append((path.stat().st_mtime, path, Path(entry["state_dir"])))
        except (OSError, ValueError, KeyError):
            continue
    hubs = []
    for _, path, folder in sorted(entries, reverse=True):
        if not folder.exists():
            path.unlink(missing_ok=True)
        else:
            hubs.extend(hub for hub in [hub_of_folder(folder)] if hub)
    return hubs


def find(address: Optional[str]) -> Optional[Hub]:
    """The agent to attach to; None where there is no network and none was demanded.

    `address` is None (a network of `iorun up`, if there is one), "auto" (any network on this
    machine), a state folder, an agent's socket, or the head's host:port. Raises
    `ConnectionError` where a network was demanded and there is none.
    """
    inside = os.environ.get("IORUN_HUB")
    if inside and address in (None, "auto"):
        return Hub(inside, "", "", "", "")
    if address is None:
        return hub_of_folder(state_folder())
    if address.startswith("unix:") or address.endswith(".sock"):
        path = address[len("unix:") :] if address.startswith("unix:") else address
        if not _answers(path):
            raise ConnectionError(f"No agent answers on {path}; is the node still running?")
        return Hub(path, "", "", "", "")
    if os.path.isdir(address):
        hub = hub_of_folder(Path(address))
        if hub is None:
            raise ConnectionError(f"No node of the state folder {address} is running.")
        return hub
    return _find_by_name(address)


def _find_by_name(address: str) -> Hub:
    scheme, _, rest = address.rpartition("://")
    # Ray Client's notation: there is one kind of driver here, it attaches to a local agent.
    wanted = "auto" if scheme and rest.split(":")[0] in ("localhost", "127.0.0.1") else rest
    local = hub_of_folder(state_folder())
    known = ([local] if local else []) + _registered()
    for hub in known:
        if wanted == "auto" or hub.address == wanted:
            return hub
    if wanted == "auto":
        raise ConnectionError(
            "Could not find any running network on this machine. Start one with `iorun up`, join "
            "one with `iorun join`, or call `init()` without an address."
        )
    addresses = ", ".join(sorted({hub.address for hub in known if hub.address})) or "none"
    raise ConnectionError(
        f"No node of the network {address} runs on this machine (there are: {addresses}). A "
        "driver attaches to a node of its own machine: join the network with `iorun join TICKET`."
    )


def run_binary(arguments: List[str], seconds: float = START_SECONDS) -> str:
    """What the `iorun` program printed; raises `RuntimeError` with what it complained of."""
    command = [find_binary(), *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"`{' '.join(command)}` did not end within {seconds:.0f} s.") from None
    if done.returncode != 0:
        raise RuntimeError(
            f"`{' '.join(command)}` failed (exit status {done.returncode}): "
            f"{(done.stderr or done.stdout).strip()}"
        )
    return done.stdout


def _remove_arena(path: str) -> None:
    # What the agent named in its answer to hello, and nothing else.
    if path.startswith("/dev/shm/iorun-"):
        Path(path).unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Removes what networks left whose owner was killed: they ended, and nobody tidied up."""
    for path in folder.glob("*.json"):
        try:
            entry = json.loads(path.read_text())
            owner, state_dir = int(entry["owner"]), Path(entry["state_dir"])
            os.kill(owner, 0)
            continue
        except ProcessLookupError:
            pass
        except (OSError, ValueError, KeyError):
            # Another process's, or being written just now.
            continue
        ours = state_dir.name.startswith("iorun-") and state_dir.name == path.stem
        if ours and hub_of_folder(state_dir) is None:
            _remove_arena(str(entry.get("arena") or ""))
            shutil.rmtree(state_dir, ignore_errors=True)
            path.unlink(missing_ok=True)


class PrivateNetwork:
    """A head and a node of this process's own; they end with it."""

    def __init__(
        self,
        num_cpus: Optional[float] = None,
        num_gpus: Optional[float] = None,
        resources: Optional[Dict[str, float]] = None,
        labels: Optional[Dict[str, str]] = None,
        object_store_memory: Optional[int] = None,
        object_spilling_directory: Optional[str] = None,
        memory: Optional[int] = None,
        config: Optional[SystemConfig] = None,
    ):
        self.owner = os.getpid()
        # Short: a Unix socket's path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="iorun-"))
        self._entry: Optional[Path] = None
        self._arena = ""
        arguments = ["up", "--nodes", "1", "--state-dir", str(self.folder), "--json"]
        # The network ends when this process is gone, however it went.
        arguments += ["--owner-pid", str(self.owner)]
        arguments += node_options(
            num_cpus, num_gpus, resources, labels, object_store_memory, memory
        )
        arguments += (config or SystemConfig()).node_options()
        if object_spilling_directory:
            arguments += ["--object-spilling-directory", os.path.abspath(object_spilling_directory)]
        try:
            self.address = json.loads(run_binary(arguments))["head_address"]
            hub = hub_of_folder(self.folder, START_SECONDS)
            if hub is None:
                raise RuntimeError(
                    f"The node of {self.folder} does not answer. The end of its log: "
                    f"{_end_of_log(self.folder)}"
                )
        except BaseException:
            self.stop()
            raise
        self.hub = hub
        self._register()

    def _register(self) -> None:
        folder = registry()
        folder.mkdir(mode=0o700, exist_ok=True)
        _sweep(folder)
        self._entry = folder / f"{self.folder.name}.json"
        self._write_entry()

    def keep_arena(self, path: str) -> None:
        """The shared memory of this process's job: it goes with the network, whoever ends first.

        An agent that is stopped in the middle of a job's end may leave it, and it is memory.
        """
        self._arena = path
        self._write_entry()

    def _write_entry(self) -> None:
        if self._entry is None:
            return
        entry = {"state_dir": str(self.folder), "owner": self.owner, "arena": self._arena}
        self._entry.write_text(json.dumps(entry))

    def stop(self) -> None:
        """Ends head and node and removes their folder. Only the process that made them may."""
        if os.getpid() != self.owner:
            return
        if self._entry is not None:
            self._entry.unlink(missing_ok=True)
        if (self.folder / "run").exists() or (self.folder / "network.json").exists():
            try:
                run_binary(["down", "--state-dir", str(self.folder)])
            except RuntimeError as error:
                # They watch this process and end with it; the folder may stay.
                print(f"iorun: could not stop {self.folder}: {error}", file=sys.stderr)
                return
        _remove_arena(self._arena)
        shutil.rmtree(self.folder, ignore_errors=True)


def node_options(
    num_cpus: Optional[float],
    num_gpus: Optional[float],
    resources: Optional[Dict[str, float]],
    labels: Optional[Dict[str, str]],
    object_store_memory: Optional[int],
    memory: Optional[int] = None,
) -> List[str]:
    """What a node offers, as options of `iorun up` and `iorun join`."""
    options: List[str] = []
    for name, value in (("--cpus", num_cpus), ("--gpus", num_gpus)):
        if value is not None:
            if value < 0 or value != int(value):
                raise ValueError(f"A node has a whole number of {name[2:]}, not {value}.")
            options += [name, str(int(value))]
    if resources:
        options += ["--resources", json.dumps(check_resources(resources))]
    if labels:
        options += ["--labels", json.dumps(labels)]
    if object_store_memory is not None:
        options += ["--object-store-memory", str(int(object_store_memory))]
    if memory is not None:
        # The store counts in for `iorun`, and does not for Ray. No node is made of less.
        most = int(memory) + int(object_store_memory or 0)
        options += ["--memory", str(max(most, 256 * 2**20))]
    return options


def check_resources(resources: Any) -> Dict[str, float]:
    """The custom resources of a node; raises `ValueError` or `TypeError` for what they cannot be."""
    if not isinstance(resources, dict):
        raise TypeError(f"`resources` is a dict of numbers, not {type(resources).__name__}.")
    if "CPU" in resources or "GPU" in resources:
        raise ValueError(
            "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' "
            "keyword"
        )
    for name, amount in resources.items():
        if not isinstance(amount, (int, float)) or amount < 0:
            raise ValueError(f"The resource {name!r} must be a non-negative number: {amount!r}.")
    return resources


def _end_of_log(folder: Path, lines: int = 10) -> str:
    texts = []
    for path in sorted((folder / "log").glob("*.log")):
        texts += [
            f"{path.name}: {line}" for line in path.read_text("utf-8", "replace").splitlines()
        ]
    return "\n".join(texts[-lines:]) or "(empty)"
