"""An older name of `iorun.util.state`."""
