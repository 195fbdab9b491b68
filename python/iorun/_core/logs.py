"""Prints, in the driver, what the job's workers print."""

from __future__ import annotations

import sys
from typing import Any, Dict

_COLOUR = "\x1b[36m"
_PLAIN = "\x1b[0m"


def print_lines(body: Dict[str, Any]) -> None:
    """The lines of one worker, each behind its name and process id."""
    stream = sys.stderr if body.get("stream") == "err" else sys.stdout
    if stream is None:
        return
    name = body.get("name") or "worker"
    prefix = f"({name} pid={body.get('pid')})"
    if stream.isatty():
        prefix = f"{_COLOUR}{prefix}{_PLAIN}"
    lines = [f"{prefix} {line}" for line in body.get("lines") or []]
    dropped = body.get("dropped")
    if dropped:
        lines.append(f"{prefix} … {dropped} lines more were dropped")
    try:
        stream.write("".join(line + "\n" for line in lines))
        stream.flush()
    except (OSError, ValueError):
        # The driver's output is closed: nobody reads them.
        pass
