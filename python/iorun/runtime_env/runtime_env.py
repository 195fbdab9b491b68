"""`runtime_env` under the name of its module in Ray."""

from iorun.runtime_env import RuntimeEnv, RuntimeEnvConfig

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
