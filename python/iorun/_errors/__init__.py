"""The classes of `iorun.exceptions`, by what failed."""
