"""A folder for `sys.path` in which `ray` is this package: see `iorun.as_ray`."""
