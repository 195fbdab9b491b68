"""What processes are called while they run something."""

from types import SimpleNamespace

from iorun._core.executor import Executor
from iorun._core.titles import ProcessTitle


def test_a_title_is_set_when_it_changes():
    shown = []
    title = ProcessTitle(shown.append)
    for text in ["ray::f", "ray::f", "ray::IDLE", "ray::f"]:
        title.show(text)
    assert shown == ["ray::f", "ray::IDLE", "ray::f"]


def test_an_actors_process_is_called_after_its_class():
    shown = []
    executor = Executor(SimpleNamespace())
    executor._title = ProcessTitle(shown.append)
    executor.show_actor("Counter", True)
    executor.show_actor("Counter", False)
    assert shown == ["ray::Counter.__init__", "ray::Counter"]
    assert executor._title.idle == "ray::Counter"
