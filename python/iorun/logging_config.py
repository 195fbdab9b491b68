"""`LoggingConfig`: Ray's options of the job's log; taken by `init` for the driver's level."""

from __future__ import annotations

from typing import Optional, Set

__all__ = ["LoggingConfig"]


class LoggingConfig:
    """Encoding, level and further attributes of log lines. Only the level has an effect."""

    def __init__(
        self,
        encoding: str = "TEXT",
        log_level: str = "INFO",
        additional_log_standard_attrs: Optional[Set[str]] = None,
    ):
        if encoding not in ("TEXT", "JSON"):
            raise ValueError(f"Invalid encoding type: {encoding}. Valid are TEXT and JSON.")
        self.encoding = encoding
        self.log_level = log_level
        self.additional_log_standard_attrs = set(additional_log_standard_attrs or ())
