"""Where and when figures were measured."""

import datetime
import os
import platform
from typing import Any, Dict


def describe() -> Dict[str, Any]:
    """The machine and its state now."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for text in file:
            if text.startswith("model name"):
                model = text.partition(":")[2].strip()
                break
    with open("/proc/meminfo", encoding="utf-8") as file:
        kibibytes = int(file.readline().split()[1])
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(kibibytes / 2**20),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "load": os.getloadavg()[0],
    }


def sentence(machine: Dict[str, Any]) -> str:
    """The same for people."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}, {machine['date']}, "
        f"load average {machine['load']:.2f}")
