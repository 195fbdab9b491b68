"""How the driver prints workers' lines."""

from iorun._core.logs import LogPrinter, Repetitions


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_lines_of_several_processes_that_differ_in_numbers_come_once():
    clock = Clock()
    seen = Repetitions(5, clock)
    assert not seen.hides("out", ("n", 1), "(f pid=1)", "epoch 1")
    assert seen.hides("out", ("n", 2), "(f pid=2)", "epoch 2")
    assert seen.hides("out", ("n", 3), "(f pid=3)", "epoch 0x1f")
    assert not seen.hides("err", ("n", 3), "(f pid=3)", "epoch 3")
    assert seen.due() == []
    clock.now = 5
    ((stream, line),) = seen.due()
    assert stream == "out" and line.startswith("(f pid=3) epoch 0x1f [repeated 2x across cluster")
    # It begins anew.
    assert not seen.hides("out", ("n", 2), "(f pid=2)", "epoch 9")


def test_a_process_that_repeats_itself_is_left_alone():
    seen = Repetitions(5, Clock())
    assert not any(seen.hides("out", ("n", 1), "", f"step {i}") for i in range(100))
    # Numbers alone are all that there is to see.
    assert not seen.hides("out", ("n", 1), "", "17") and not seen.hides("out", ("n", 2), "", "17")


def test_what_is_remembered_is_bounded():
    seen = Repetitions(5, Clock())
    for number in range(5_000):
        seen.hides("out", ("n", 1), "", "x" * (number % 5_000))
    assert len(seen._seen) <= 1_000


def test_lines_of_other_nodes_say_their_address(capsys):
    printer = LogPrinter("aa", {"bb": "10.0.0.2"}.get)
    line = {"name": "f", "pid": 7, "stream": "out", "lines": ["hello"]}
    printer.print({**line, "node": "aa"})
    printer.print({**line, "node": "bb", "lines": ["there"], "dropped": 3})
    assert capsys.readouterr().out == (
        "(f pid=7) hello\n"
        "(f pid=7, ip=10.0.0.2) there\n"
        "(f pid=7, ip=10.0.0.2) … 3 lines more were dropped\n"
    )


def test_all_lines_come_where_that_is_wanted(capsys, monkeypatch):
    monkeypatch.setenv("RAY_DEDUP_LOGS", "0")
    printer = LogPrinter("aa", {}.get)
    for pid in range(3):
        printer.print({"name": "f", "pid": pid, "node": "aa", "lines": ["same"]})
    assert capsys.readouterr().out.count("same") == 3
