"""Runtime environments."""

import importlib
import importlib.util
import os
import zipfile

import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")


@ray.remote
def variable(name):
    return os.environ.get(name)


def test_env_vars_of_a_task(shared):
    task = variable.options(runtime_env={"env_vars": {"CHOSEN": "yes"}})
    assert ray.get(task.remote("CHOSEN")) == "yes"
    assert ray.get(variable.remote("CHOSEN")) is None


def test_env_vars_of_an_actor(shared):
    @ray.remote(runtime_env={"env_vars": {"CHOSEN": "actor"}})
    class A:
        def read(self):
            return os.environ["CHOSEN"]

        def child(self):
            return ray.get(variable.remote("CHOSEN"))

    actor = A.remote()
    assert ray.get(actor.read.remote()) == "actor"
    assert ray.get(actor.child.remote()) == "actor"


def test_env_vars_of_a_job(fresh):
    ray.init(num_cpus=2, runtime_env={"env_vars": {"A": "job", "B": "job"}}, log_to_driver=False)
    assert ray.get(variable.remote("A")) == "job"
    task = variable.options(runtime_env={"env_vars": {"A": "task"}})
    assert ray.get([task.remote("A"), task.remote("B")]) == ["task", "job"]


def test_working_dir_of_a_job(fresh, tmp_path):
    (tmp_path / "data.txt").write_text("from the folder")
    (tmp_path / "helper_module.py").write_text("VALUE = 5\n")
    ray.init(num_cpus=2, runtime_env={"working_dir": str(tmp_path)}, log_to_driver=False)

    @ray.remote
    def f():
        import helper_module

        with open("data.txt") as file:
            return file.read(), helper_module.VALUE

    assert ray.get(f.remote()) == ("from the folder", 5)


def test_py_modules(fresh, tmp_path):
    package = tmp_path / "my_package_of_modules"
    package.mkdir()
    (package / "__init__.py").write_text("NAME = 'package'\n")
    ray.init(num_cpus=2, runtime_env={"py_modules": [str(package)]}, log_to_driver=False)

    @ray.remote
    def f():
        import my_package_of_modules

        return my_package_of_modules.NAME

    assert ray.get(f.remote()) == "package"


def test_the_context_shows_it(shared):
    @ray.remote(runtime_env={"env_vars": {"X": "1"}})
    def f():
        return dict(ray.get_runtime_context().runtime_env).get("env_vars")

    assert ray.get(f.remote())["X"] == "1"


def test_the_class(shared):
    RuntimeEnv = submodule("runtime_env").RuntimeEnv
    environment = RuntimeEnv(env_vars={"Y": "2"})
    assert environment["env_vars"] == {"Y": "2"}
    assert ray.get(variable.options(runtime_env=environment).remote("Y")) == "2"


@pytest.mark.parametrize(
    "environment",
    [{"env_vars": {"a": 1}}, {"env_vars": 5}, {"working_dir": 3}, {"pip": ["a"], "conda": "b"}],
)
def test_wrong_ones_are_refused(shared, environment):
    with pytest.raises((TypeError, ValueError)):
        variable.options(runtime_env=environment).remote("a")


def test_a_package_that_does_not_exist(shared):
    environment = {"pip": ["this-package-does-not-exist-anywhere-1234"]}
    task = variable.options(runtime_env=environment, max_retries=0)
    with pytest.raises(exceptions.RuntimeEnvSetupError):
        ray.get(task.remote("a"), timeout=80)


def test_a_setup_hook_runs_in_each_worker(fresh):
    def hook():
        os.environ["HOOKED"] = "yes"

    ray.init(num_cpus=1, runtime_env={"worker_process_setup_hook": hook}, log_to_driver=False)
    assert ray.get(variable.remote("HOOKED")) == "yes"


@pytest.mark.skipif(IS_RAY, reason="of how packages travel here")
def test_a_large_folder_reaches_nodes_that_lack_it(fresh, tmp_path, monkeypatch):
    from iorun._environment import cache

    # All nodes are on this machine: its cache is emptied instead.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "noise.bin").write_bytes(os.urandom(200_000))
    (folder / "module_in_folder.py").write_text("VALUE = 7\n")
    cluster = submodule("cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1}
    )
    try:
        cluster.add_node(num_cpus=1)
        ray.init(
            address=cluster.address,
            runtime_env={"working_dir": str(folder)},
            log_to_driver=False,
        )
        packages = cache.folder("packages")
        for name in os.listdir(packages):
            os.unlink(os.path.join(packages, name))

        @ray.remote(scheduling_strategy="SPREAD")
        def f():
            import module_in_folder

            return module_in_folder.VALUE, os.path.getsize("noise.bin")

        assert ray.get([f.remote() for _ in range(4)]) == [(7, 200_000)] * 4
    finally:
        ray.shutdown()
        cluster.shutdown()


def wheel(folder, name, value):
    """A wheel of one module, made by hand."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VALUE = {value!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return str(path)


@pytest.mark.timeout(150)
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_packages_of_a_job(fresh, tmp_path, installer):
    if installer == "uv" and importlib.util.find_spec("uv") is None:
        pytest.skip("uv is not installed: pip install uv")
    name = f"of_a_job_by_{installer}"
    options = "pip_install_options" if installer == "pip" else "uv_pip_install_options"
    package = {"packages": [wheel(tmp_path, name, 5)], options: ["--no-index"]}
    ray.init(num_cpus=2, runtime_env={installer: package}, log_to_driver=False)

    @ray.remote
    def f():
        return importlib.import_module(name).VALUE

    assert ray.get(f.remote()) == 5
    assert importlib.util.find_spec(name) is None


def test_what_is_excluded_of_a_working_dir(fresh, tmp_path):
    folder = tmp_path / "folder"
    (folder / "data").mkdir(parents=True)
    for path in ("kept.txt", "left.log", "data/left.bin", "data/kept.csv"):
        (folder / path).write_text(path)
    (folder / ".gitignore").write_text("*.log\n")
    ray.init(
        num_cpus=1,
        runtime_env={"working_dir": str(folder), "excludes": ["data/*.bin"]},
        log_to_driver=False,
    )

    @ray.remote
    def f():
        found = [os.path.join(top, name) for top, _, names in os.walk(".") for name in names]
        return sorted(path[2:] for path in found if not path.endswith(".gitignore"))

    assert ray.get(f.remote()) == ["data/kept.csv", "kept.txt"]
