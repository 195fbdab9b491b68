"""Which files of a folder are left out of its package: patterns as `.gitignore` has them."""

from __future__ import annotations

import re
from typing import Iterable, List, NamedTuple, Pattern


class Rule(NamedTuple):
    """One pattern, for paths below the folder it was found in."""

    expression: Pattern[str]
    negated: bool
    folders_only: bool
    #: The folder it was found in, relative to the root, with a slash at its end; "" for the root.
    base: str


def parse(lines: Iterable[str], base: str = "") -> List[Rule]:
    """The rules of a file's lines. Lines that are empty or comments are none."""
    rules = []
    for line in lines:
        line = line.rstrip("\n").rstrip("\r")
        if not line.endswith("\\ "):
            line = line.rstrip(" ")
        if not line or line.startswith("#"):
            continue
        negated = line.startswith("!")
        if negated:
            line = line[1:]
        folders_only = line.endswith("/")
        line = line.rstrip("/")
        if line.startswith("./"):
            line = line[1:]
        if line:
            expression = re.compile(_translate(line), re.DOTALL)
            rules.append(Rule(expression, negated, folders_only, base))
    return rules


def _translate(pattern: str) -> str:
    # gitignore(5): a slash at the start or in the middle binds the pattern to its folder.
    anchored = "/" in pattern
    pattern = pattern.lstrip("/")
    parts = []
    i = 0
    while i < len(pattern):
        c = pattern[i]
        if pattern.startswith("**/", i):
            parts.append("(?:.*/)?")
            i += 3
        elif pattern.startswith("**", i):
            parts.append(".*")
            i += 2
        elif c == "*":
            parts.append("[^/]*")
            i += 1
        elif c == "?":
            parts.append("[^/]")
            i += 1
        elif c == "[":
            end = pattern.find("]", i + 2)
            if end < 0:
                parts.append(r"\[")
                i += 1
            else:
                inner = pattern[i + 1 : end].replace("\\", r"\\")
                parts.append("[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]")
                i = end + 1
        elif c == "\\" and i + 1 < len(pattern):
            parts.append(re.escape(pattern[i + 1]))
            i += 2
        else:
            parts.append(re.escape(c))
            i += 1
    start = "" if anchored else "(?:.*/)?"
    return f"{start}{''.join(parts)}\\Z"


def is_ignored(path: str, is_folder: bool, rules: Iterable[Rule]) -> bool:
    """Whether rules leave a path out, given relative to the root; the last that matches decides."""
    ignored = False
    for rule in rules:
        if rule.folders_only and not is_folder or not path.startswith(rule.base):
            continue
        if rule.expression.match(path[len(rule.base) :]):
            ignored = not rule.negated
    return ignored
