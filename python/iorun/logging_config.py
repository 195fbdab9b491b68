"""`LoggingConfig`: how a job's driver and workers write their logs."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List

__all__ = ["LoggingConfig"]

_FORMAT = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"
#: What every record has; whatever else it has was given with `extra` or says where it comes from.
_STANDARD = frozenset(
    "args asctime created exc_info exc_text filename funcName levelname levelno lineno message "
    "module msecs msg name pathname process processName relativeCreated stack_info thread "
    "threadName taskName".split()
)


@dataclass
class LoggingConfig:
    """The root logger of the driver and of all workers of its job.

    `encoding`: "TEXT" or "JSON", one object a line. Each line has the job, node, worker, task and
    actor that it comes from, what was given with `extra`, and the standard attributes of records
    that `additional_log_standard_attrs` names. `log_level` is that of the root logger.
    """

    encoding: str = "TEXT"
    log_level: str = "INFO"
    additional_log_standard_attrs: List[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.encoding not in ("TEXT", "JSON"):
            raise ValueError(
                f"Invalid encoding type: {self.encoding}. Valid encoding types are: "
                "['TEXT', 'JSON']"
            )
        self.additional_log_standard_attrs = list(self.additional_log_standard_attrs or ())
        for name in self.additional_log_standard_attrs:
            if name not in _STANDARD:
                raise ValueError(
                    f"Unknown python logging standard attribute: {name}. The valid attributes are: "
                    f"{set(_STANDARD)}"
                )

    def to_dict(self) -> Dict[str, Any]:
        """Its fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, d: Dict[str, Any]) -> "LoggingConfig":
        """One of these fields; others are ignored."""
        return cls(**{key: d[key] for key in cls.__dataclass_fields__ if key in d})

    def _apply(self) -> None:
        """Makes this process's root logger and this package's what the configuration says."""
        handler = logging.StreamHandler()
        handler.setLevel(self.log_level)
        handler.setFormatter(_Formatter(self))
        handler.addFilter(_add_origin)
        root = logging.getLogger()
        root.setLevel(self.log_level)
        for known in list(root.handlers):
            # Of an earlier `init`.
            if isinstance(known.formatter, _Formatter):
                root.removeHandler(known)
        root.addHandler(handler)
        own = logging.getLogger("iorun")
        own.setLevel(self.log_level)
        own.handlers = [handler]
        own.propagate = False


def _add_origin(record: logging.LogRecord) -> bool:
    """Where a record comes from, as attributes of it. For handlers: lets all through."""
    from iorun._core import global_state

    core = global_state.worker()
    if core is None:
        return True
    from iorun.runtime_context import get_runtime_context

    context = get_runtime_context()
    origin = {
        "job_id": context.get_job_id(),
        "worker_id": context.get_worker_id(),
        "node_id": context.get_node_id(),
    }
    if core.executor is not None:
        origin.update(
            actor_id=context.get_actor_id(),
            task_id=context.get_task_id(),
            task_name=context.get_task_name(),
            task_func_name=context.get_task_function_name(),
            actor_name=context.get_actor_name(),
        )
    for key, value in origin.items():
        if value:
            setattr(record, key, value)
    return True


class _Formatter(logging.Formatter):
    def __init__(self, config: LoggingConfig):
        super().__init__(_FORMAT)
        self._is_json = config.encoding == "JSON"
        self._attributes = config.additional_log_standard_attrs

    def format(self, record: logging.LogRecord) -> str:
        more = {name: getattr(record, name, None) for name in self._attributes}
        more.update((k, v) for k, v in record.__dict__.items() if k not in _STANDARD)
        more["timestamp_ns"] = int(record.created * 1e9)
        if not self._is_json:
            return " ".join([super().format(record), *(f"{k}={v}" for k, v in more.items())])
        line: Dict[str, Any] = {
            "asctime": self.formatTime(record),
            "levelname": record.levelname,
            "message": record.getMessage(),
            "filename": record.filename,
            "lineno": record.lineno,
            "process": record.process,
        }
        if record.exc_info:
            line["exc_text"] = record.exc_text or self.formatException(record.exc_info)
        return json.dumps({**line, **more}, default=str)
