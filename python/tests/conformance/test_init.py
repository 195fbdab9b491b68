"""`init`: what it reads of the environment, and how logs are written."""

import json
import logging
import os
import subprocess
import sys
import textwrap

import pytest
from module_under_test import IS_RAY, ray

MODULE = ray.__name__


def run(program, tmp_path, **environment):
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(program).replace("MODULE", MODULE))
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


ATTACH = """
    import MODULE as ray
    ray.init(ADDRESS)
    print(ray.get_runtime_context().namespace, ray.get_runtime_context().gcs_address)
    print(len(ray.nodes()), ray.cluster_resources().get("CPU"))
"""


@pytest.mark.parametrize("given", ["", "'auto'"])
def test_address_and_namespace_of_the_environment(fresh, tmp_path, given):
    ray.init(num_cpus=3, log_to_driver=False)
    address = ray.get_runtime_context().gcs_address
    done = run(
        ATTACH.replace("ADDRESS", given),
        tmp_path,
        RAY_ADDRESS=address,
        RAY_NAMESPACE="named" if not IS_RAY else "",
    )
    first, second = done.stdout.splitlines()
    assert first.split()[1] == address
    assert IS_RAY or first.split()[0] == "named"
    assert second == "1 3.0"


def test_an_address_of_nowhere(tmp_path):
    with pytest.raises(AssertionError, match="ConnectionError"):
        run(ATTACH.replace("ADDRESS", ""), tmp_path, RAY_ADDRESS="127.0.0.1:1")


def test_what_is_said_outright_wins(fresh, tmp_path):
    done = run(
        ATTACH.replace("ADDRESS", "'local', num_cpus=2, namespace='own'"),
        tmp_path,
        RAY_ADDRESS="127.0.0.1:1",
        RAY_NAMESPACE="named",
    )
    first, second = done.stdout.splitlines()
    assert first.split()[0] == "own"
    assert second == "1 2.0"


LOGGING = """
    import logging
    import MODULE as ray
    ray.init(
        num_cpus=1,
        logging_config=ray.LoggingConfig(
            encoding="ENCODING", log_level="INFO", additional_log_standard_attrs=["name"]
        ),
    )

    @ray.remote
    def task():
        logging.getLogger("mine").info("from a task", extra={"colour": "red"})
        logging.getLogger("mine").debug("not shown")

    @ray.remote
    class Actor:
        def method(self):
            try:
                1 / 0
            except ZeroDivisionError:
                logging.getLogger("mine").exception("from an actor")

    logging.getLogger("mine").warning("from the driver")
    actor = Actor.options(name="one").remote()
    ray.get([task.remote(), actor.method.remote()])
    ray.shutdown()
"""


def test_json_lines_of_driver_and_workers(tmp_path):
    done = run(LOGGING.replace("ENCODING", "JSON"), tmp_path)
    found = {}
    for line in (done.stdout + done.stderr).splitlines():
        start = line.find("{")
        if start >= 0:
            try:
                row = json.loads(line[start:].replace("\\x1b[0m", "").rstrip("\x1b[0m"))
            except ValueError:
                continue
            found[row["message"]] = row
    assert "not shown" not in found
    driver, task, actor = (found[f"from {who}"] for who in ("the driver", "a task", "an actor"))
    for row in (driver, task, actor):
        assert row["name"] == "mine"
        assert row["filename"] == "program.py"
        assert row["job_id"] == driver["job_id"]
        assert row["asctime"] and row["lineno"] and row["node_id"] and row["worker_id"]
    assert driver["levelname"] == "WARNING" and "task_id" not in driver
    assert task["colour"] == "red" and task["task_name"] == "task" and task["task_id"]
    assert actor["actor_name"] == "one" and actor["actor_id"]
    assert "ZeroDivisionError" in actor["exc_text"]


def test_text_lines_have_the_attributes_behind_them(tmp_path):
    done = run(LOGGING.replace("ENCODING", "TEXT"), tmp_path)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "from a task" in line]
    assert len(lines) == 1
    assert "INFO program.py:" in lines[0] and "-- from a task" in lines[0]
    for part in ("name=mine", "colour=red", "task_name=task", "timestamp_ns="):
        assert part in lines[0]


def test_wrong_logging_configs():
    with pytest.raises(ValueError, match="encoding"):
        ray.LoggingConfig(encoding="XML")
    with pytest.raises(ValueError, match="attribute"):
        ray.LoggingConfig(additional_log_standard_attrs=["colour"])


def test_options_without_effect_are_named(fresh, caplog):
    if IS_RAY:
        pytest.skip("Ray has cgroups for them")
    logging.getLogger(MODULE).propagate = True
    with caplog.at_level(logging.WARNING, logger=MODULE):
        ray.init(num_cpus=1, system_reserved_cpu=1, configure_logging=False, log_to_driver=False)
    assert "init(system_reserved_cpu=…) has no effect here." in caplog.text
