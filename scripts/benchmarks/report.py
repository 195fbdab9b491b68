"""From rounds to figures: the medians, their JSON and their table."""

import statistics
from typing import Any, Dict, List, Optional

#: Order of the columns; the keys of the JSON begin with these.
SYSTEMS = ("swift", "python", "ray")
_EXTRA = (
    "milliseconds", "first_milliseconds", "tasks", "submit_seconds", "seconds", "bytes_per_task",
    "resident_mb", "processes", "threads")


def _median(rounds: List[Dict[str, Any]], key: str) -> Optional[float]:
    values = [each[key] for each in rounds if each.get(key) is not None]
    return statistics.median(values) if values else None


def _rounded(value: Optional[float]) -> Optional[float]:
    return None if value is None else float(f"{value:.4g}")


def row(line: str, rounds: Dict[str, List[Dict[str, Any]]], unit: str) -> Dict[str, Any]:
    """One line's object: `rounds` holds what each system answered in each round."""
    is_rate = unit.endswith("/s")
    figures = {name: _median(rounds.get(name, []), "value") for name in SYSTEMS}
    result: Dict[str, Any] = {"line": line}
    for name in SYSTEMS:
        result[name + "_per_s"] = _rounded(figures[name]) if is_rate else None
    ours, rays = result["python_per_s"], result["ray_per_s"]
    result["ratio"] = _rounded(ours / rays) if ours and rays else None
    result["unit"] = unit
    for name in SYSTEMS:
        each = rounds.get(name, [])
        if not each:
            continue
        if not is_rate:
            result[f"{name}_value"] = _rounded(figures[name])
        values = [one["value"] for one in each if one.get("value") is not None]
        if values:
            result[f"{name}_range"] = [_rounded(min(values)), _rounded(max(values))]
            result[f"{name}_rounds"] = len(values)
        for key, as_key in (("cpu_us", "cpu_us"), ("stdev", "stdev")):
            if _median(each, key) is not None:
                result[f"{name}_{as_key}"] = _rounded(_median(each, key))
        for key in _EXTRA:
            if _median(each, key) is not None:
                result[f"{name}_{key}"] = _rounded(_median(each, key))
        errors = [one["error"] for one in each if "error" in one]
        if errors:
            result[f"{name}_error"] = errors[0]
    return result


def _number(value: Optional[float]) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _cell(result: Dict[str, Any], name: str) -> str:
    if f"{name}_error" in result and result[name + "_per_s"] is None:
        return "failed"
    value = result[name + "_per_s"]
    if value is None:
        value = result.get(f"{name}_value")
    text = _number(value)
    if f"{name}_milliseconds" in result:
        text += f" ({_number(result[f'{name}_milliseconds'])} ms)"
    if f"{name}_bytes_per_task" in result:
        text += f" ({_number(result[f'{name}_bytes_per_task'])} B each)"
    return text


def table(results: List[Dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    head = [
        "line", "unit", "Swift", "Python", "Ray", "Python / Ray", "CPU µs Swift", "CPU µs Python",
        "CPU µs Ray"]
    rows = [head]
    for each in results:
        rows.append([
            each["line"], each["unit"], *(_cell(each, name) for name in SYSTEMS),
            _number(each["ratio"]),
            *(_number(each.get(f"{name}_cpu_us")) for name in SYSTEMS)])
    widths = [max(len(one[column]) for one in rows) for column in range(len(head))]
    texts = []
    for number, one in enumerate(rows):
        texts.append("| " + " | ".join(
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(one, widths))) + " |")
        if number == 0:
            texts.append("| " + " | ".join(
                "-" * width if column < 2 else "-" * (width - 1) + ":"
                for column, width in enumerate(widths)) + " |")
    return "\n".join(texts)


def floor_sentence(floors: List[Dict[str, Optional[float]]]) -> str:
    """What the floors were over the whole run."""
    parts = []
    for key, name in (("unix_socket", "Unix socket"), ("libzmq", "libzmq over ipc")):
        values = [each[key] for each in floors if each.get(key)]
        if values:
            parts.append(
                f"{name} {_number(statistics.median(values))}/s "
                f"({_number(min(values))} to {_number(max(values))})")
        else:
            parts.append(f"{name}: not to be had")
    return "100 bytes there and back, between groups of lines: " + ", ".join(parts)
