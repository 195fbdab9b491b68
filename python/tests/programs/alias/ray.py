"""Makes `import ray` and `from ray.util import …` mean `iorun`, for unchanged programs."""

import importlib
import importlib.abc
import importlib.util
import sys


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.startswith("ray."):
            return importlib.util.spec_from_loader(name, self)
        return None

    def create_module(self, spec):
        return importlib.import_module("iorun" + spec.name[len("ray") :])

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, _Finder())
sys.modules["ray"] = importlib.import_module("iorun")
# What is there already is not imported again: that would put modules over functions of their name.
for _name, _module in list(sys.modules.items()):
    if _name.startswith("iorun."):
        sys.modules["ray" + _name[len("iorun") :]] = _module
