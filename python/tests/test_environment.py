"""Runtime environments: what is refused, what is packed, merged and built."""

import base64
import http.server
import io
import json
import os
import shutil
import signal
import stat
import struct
import sys
import threading
import time
import zipfile

import pytest
from test_zygote import FAILED, PROGRESS, FakeHub

from iorun import _environment
from iorun._environment import build, cache, ignore, installer, packing
from iorun.runtime_env import RuntimeEnv, RuntimeEnvConfig


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("IORUN_CACHE_DIR", str(folder))
    return folder


def folder_with(path, **files):
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        file = path / name.replace("__", ".")
        file.write_text(content)
    return path


def wheel(folder, name, value):
    """A pure wheel with one module."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VALUE = {value!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


# What is refused


@pytest.mark.parametrize(
    "environment, error, words",
    [
        ({"no_such_field": 1}, ValueError, "no_such_field"),
        ({"conda": "base"}, ValueError, "pip or uv"),
        ({"env_vars": {"A": 1}}, TypeError, "Dict[str, str]"),
        ({"env_vars": ["A"]}, TypeError, "Dict[str, str]"),
        ({"working_dir": "/no/such/folder"}, ValueError, "does not exist"),
        ({"working_dir": "s3://bucket/a.zip"}, ValueError, "fetch it first"),
        ({"working_dir": 5}, TypeError, "working_dir"),
        ({"py_modules": "folder"}, TypeError, "list"),
        ({"pip": ["a"], "uv": ["b"]}, ValueError, "cannot both"),
        ({"pip": {"packages": ["a"], "wrong": 1}}, ValueError, "wrong"),
        ({"pip": {"pip_check": True}}, ValueError, "packages"),
        ({"pip": {"packages": ["a"], "pip_check": 1}}, TypeError, "bool"),
        ({"pip": 5}, TypeError, "pip"),
        ({"pip": "/no/such/requirements.txt"}, ValueError, "not a valid file"),
        ({"uv": [1]}, TypeError, "list[str]"),
        ({"excludes": "a"}, TypeError, "excludes"),
        ({"config": {"setup_timeout_seconds": 0}}, ValueError, "greater than zero"),
        ({"config": 5}, TypeError, "config"),
        ({"worker_process_setup_hook": 5}, TypeError, "must be a function"),
        ({"worker_process_setup_hook": "function"}, ValueError, "module.function"),
        ([], None, ""),
        ("text", TypeError, "dict"),
    ],
)
def test_wrong_environments_are_refused(environment, error, words):
    if error is None:
        assert _environment.resolve(environment) == {}
        return
    with pytest.raises(error) as caught:
        _environment.resolve(environment)
    assert words in str(caught.value)


def test_folder_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "SIZE_LIMIT", 1000)
    folder_with(tmp_path, big__bin="x" * 2000, small__py="")
    with pytest.raises(ValueError, match="big.bin"):
        _environment.resolve({"working_dir": str(tmp_path)})
    assert _environment.resolve({"working_dir": str(tmp_path), "excludes": ["*.bin"]})


def test_text_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="env_vars"):
        _environment.environment_hash({"env_vars": {"A": "x" * 200_000}})


# Hashes and merging


def test_plain_environment_has_no_hash():
    for plain in (None, {}, {"config": {"setup_timeout_seconds": 5}}, {"env_vars": {}}):
        assert _environment.environment_hash(plain) == ("", "")


def test_equal_environments_have_equal_hashes():
    one = _environment.environment_hash({"env_vars": {"A": "1", "B": "2"}})
    two = _environment.environment_hash(RuntimeEnv(env_vars={"B": "2", "A": "1"}))
    three = _environment.environment_hash(
        {"env_vars": {"B": "2", "A": "1"}, "config": RuntimeEnvConfig(setup_timeout_seconds=7)}
    )
    assert one == two
    assert one[0] == three[0]
    assert one[0] != _environment.environment_hash({"env_vars": {"A": "1"}})[0]
    assert _environment.decode(one[1]) == {"env_vars": {"A": "1", "B": "2"}}


def test_merge_is_by_variable_and_by_field():
    parent = _environment.resolve({"env_vars": {"A": "1", "B": "1"}, "pip": ["x"]})
    child = _environment.resolve({"env_vars": {"B": "2", "C": "2"}})
    merged = _environment.merge(parent, child)
    assert merged["env_vars"] == {"A": "1", "B": "2", "C": "2"}
    assert merged["pip"] == {"packages": ["x"]}
    replaced = _environment.merge(parent, _environment.resolve({"uv": ["y"]}))
    assert "pip" not in replaced and replaced["uv"] == {"packages": ["y"]}
    assert parent["env_vars"] == {"A": "1", "B": "1"}


def test_hash_of_a_folder_is_of_its_content(tmp_path):
    one = folder_with(tmp_path / "one", a__py="A = 1\n")
    two = folder_with(tmp_path / "two", a__py="A = 1\n")
    first = _environment.environment_hash({"working_dir": str(one)})[0]
    assert first == _environment.environment_hash({"working_dir": str(two)})[0]
    (one / "a.py").write_text("A = 22\n")
    assert first != _environment.environment_hash({"working_dir": str(one)})[0]


def test_description_has_the_users_paths(tmp_path):
    document = _environment.resolve({"working_dir": str(tmp_path), "env_vars": {"A": "1"}})
    assert _environment.describe(document) == {
        "working_dir": str(tmp_path),
        "env_vars": {"A": "1"},
    }


# Packing


def test_package_leaves_out_what_is_ignored(tmp_path):
    root = folder_with(tmp_path / "root", a__py="", b__log="", __gitignore="*.log\n/data/\n")
    folder_with(root / "data", large__bin="")
    folder_with(root / "inner" / "data", kept__txt="")
    folder_with(root / ".git", config="")
    folder_with(root / "secret", key__pem="", __gitignore="!*.pem\n")
    (root / "loop").symlink_to(root)
    (root / "nowhere").symlink_to(root / "missing")
    package = packing.pack(str(root), ["secret/*.pem"], as_module=False)
    with zipfile.ZipFile(package.file) as archive:
        names = sorted(archive.namelist())
    assert names == [
        ".gitignore",
        "a.py",
        "inner/data/kept.txt",
        "secret/.gitignore",
        "secret/key.pem",
    ]


@pytest.mark.parametrize(
    "pattern, path, is_folder, ignored",
    [
        ("*.pyc", "a/b/c.pyc", False, True),
        ("/top.txt", "top.txt", False, True),
        ("/top.txt", "a/top.txt", False, False),
        ("a/b", "a/b", False, True),
        ("a/b", "x/a/b", False, False),
        ("**/b", "x/y/b", False, True),
        ("a/**", "a/x/y", False, True),
        ("a/**/z", "a/z", False, True),
        ("name/", "name", False, False),
        ("name/", "x/name", True, True),
        ("[ab].txt", "b.txt", False, True),
        ("[!ab].txt", "b.txt", False, False),
        ("?.txt", "xy.txt", False, False),
        ("./here.txt", "here.txt", False, True),
        ("# comment", "# comment", False, False),
        ("a+(b).txt", "a+(b).txt", False, True),
        ("[", "[", False, True),
    ],
)
def test_ignore_patterns(pattern, path, is_folder, ignored):
    assert ignore.is_ignored(path, is_folder, ignore.parse([pattern])) is ignored


def test_package_keeps_modes_and_is_written_once(tmp_path):
    root = folder_with(tmp_path / "root", run__sh="#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    package = packing.pack(str(root), [], as_module=False)
    written = os.stat(package.file).st_ino
    packing._known.clear()
    assert packing.pack(str(root), [], as_module=False) == package
    assert os.stat(package.file).st_ino == written
    packing.unpack(package.file, str(tmp_path / "out"))
    assert os.stat(tmp_path / "out" / "run.sh").st_mode & stat.S_IXUSR


def test_unpacking_stays_in_its_folder(tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../outside.txt", "")
    packing.unpack(str(path), str(tmp_path / "a" / "b"))
    assert not (tmp_path / "outside.txt").exists()


def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1 << 20))
    out = tmp_path / "out"
    # It is what a folder may hold: any package may be so large.
    packing.unpack(str(path), str(tmp_path / "whole"))
    monkeypatch.setattr(packing, "SIZE_LIMIT", 1 << 10)
    with pytest.raises(ValueError, match="would unpack to 1.0 MiB"):
        packing.unpack(str(path), str(out))
    monkeypatch.setattr(packing, "RATIO_LIMIT", 2000)
    packing.unpack(str(path), str(tmp_path / "again"))
    monkeypatch.setattr(packing, "UNPACKED_LIMIT", 1 << 19)
    with pytest.raises(ValueError, match="the maximum is 0.5 MiB"):
        packing.unpack(str(path), str(out))
    monkeypatch.setattr(packing, "UNPACKED_LIMIT", 4 << 30)
    monkeypatch.setattr(packing, "FILES_LIMIT", 0)
    with pytest.raises(ValueError, match="in 1 files"):
        packing.unpack(str(path), str(out))
    assert not out.exists()


def test_an_archive_that_lies_about_a_size_fills_nothing(tmp_path):
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1 << 20))
    content = path.read_bytes()
    true = struct.pack("<I", 1 << 20)
    assert content.count(true) == 2
    path.write_bytes(content.replace(true, struct.pack("<I", 10)))
    with pytest.raises(ValueError):
        packing.unpack(str(path), str(tmp_path / "out"))
    assert os.path.getsize(tmp_path / "out" / "zeros") <= 10


def test_unpacking_ends_in_time(tmp_path, monkeypatch):
    package = packing.pack(str(folder_with(tmp_path / "root", a__py="")), [], as_module=False)
    monkeypatch.setattr(packing, "UNPACK_SECONDS", -1.0)
    with pytest.raises(ValueError, match="within"):
        packing.unpack(package.file, str(tmp_path / "out"))


def test_archive_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(ValueError, match="no zip"):
        _environment.resolve({"working_dir": str(tmp_path / "a.zip")})


def test_environments_that_are_not_used_are_trimmed(monkeypatch):
    monkeypatch.setattr(cache, "KEPT_ENVIRONMENTS", 1)
    place = cache.folder("environments")
    for number, name in enumerate(["oldest", "used", "newest"]):
        os.mkdir(os.path.join(place, name))
        os.utime(os.path.join(place, name), (number, number))
    lock = cache.Lock(os.path.join(place, "used.lock"))
    assert lock.try_acquire(shared=True)
    cache.trim_environments()
    assert sorted(n for n in os.listdir(place) if not n.endswith(".lock")) == ["newest", "used"]
    lock.release()


def test_lock_on_a_removed_file_is_no_lock():
    path = os.path.join(cache.folder(), "a.lock")
    lock = cache.Lock(path)
    assert lock.try_acquire()
    os.unlink(path)
    assert not lock.try_acquire()
    assert lock.try_acquire()
    with pytest.raises(TimeoutError):
        cache.Lock(path).acquire(time.monotonic())
    lock.release()


def test_variables_expand():
    assert build.expand("${A}:${B}/$A", {"A": "1"}) == "1:/$A"


# Built by a zygote

PROGRAM = """
import json, os, sys

def tell():
    facts = {"cwd": os.getcwd(), "files": sorted(os.listdir()), "path": sys.path[0]}
    for name in ("beside", "package", "single", "from_wheel", "from_pip", "from_uv"):
        try:
            facts[name] = __import__(name).VALUE
        except ImportError:
            facts[name] = None
    facts["python"] = sys.executable
    print(json.dumps(facts))
    sys.exit(0)
"""


def build_in_a_zygote(tmp_path, environment, own_cache, worker="aa"):
    """The facts that a worker tells, and the progress of its zygote."""
    program = folder_with(tmp_path / "program", teller__py=PROGRAM)
    place = tmp_path / f"hub-{time.monotonic_ns()}"
    place.mkdir()
    document = _environment.merge(
        _environment.resolve(environment),
        {"worker_process_setup_hook": "teller.tell"},
    )
    document = _environment.decode(_environment.encode(document)[1])
    hub = FakeHub(place, document, cache=own_cache, sys_path=[str(program)])
    try:
        hub.fork(worker)
        progress = []
        while True:
            _, operation, _, content = hub.frame()
            if operation == PROGRESS:
                progress.append(content["text"])
            elif operation == FAILED:
                return content["message"], progress
            elif content.get("lines") and content["stream"] == "out":
                return json.loads(content["lines"][0]), progress
            elif "lastLines" in content:
                raise AssertionError(content)
    finally:
        hub.close()


def test_working_dir_and_modules(tmp_path, own_cache):
    working = folder_with(tmp_path / "working", beside__py="VALUE = 1\n", data__txt="x")
    folder_with(tmp_path / "package")
    (tmp_path / "package" / "__init__.py").write_text("VALUE = 2\n")
    folder_with(tmp_path, single__py="VALUE = 3\n")
    environment = {
        "working_dir": str(working),
        "py_modules": [
            str(tmp_path / "package"),
            str(tmp_path / "single.py"),
            str(wheel(tmp_path, "from_wheel", 4)),
        ],
    }
    facts, _ = build_in_a_zygote(tmp_path, environment, own_cache)
    assert facts["files"] == ["beside.py", "data.txt"]
    assert facts["path"] == facts["cwd"] != str(working)
    values = [facts[name] for name in ("beside", "package", "single", "from_wheel")]
    assert values == [1, 2, 3, 4]
    # The next one removes the folders of zygotes that are gone.
    cache.sweep_running()
    assert os.listdir(cache.folder("running")) == []


def test_large_working_dir_comes_from_the_cache(tmp_path, own_cache):
    working = folder_with(tmp_path / "working", beside__py="VALUE = 1\n")
    (working / "noise.bin").write_bytes(os.urandom(100_000))
    document = _environment.resolve({"working_dir": str(working)})
    assert "content" not in document["working_dir"]
    facts, _ = build_in_a_zygote(tmp_path, {"working_dir": str(working)}, own_cache)
    assert facts["beside"] == 1 and "noise.bin" in facts["files"]


def test_pip_installs_once_and_keeps(tmp_path, own_cache):
    package = wheel(tmp_path, "from_pip", "installed")
    environment = {"pip": {"packages": [str(package)], "pip_install_options": ["--no-index"]}}
    facts, progress = build_in_a_zygote(tmp_path, environment, own_cache)
    assert facts["from_pip"] == "installed"
    assert facts["python"].startswith(str(own_cache))
    assert any("Successfully installed" in line for line in progress)
    facts, progress = build_in_a_zygote(tmp_path, environment, own_cache)
    assert facts["from_pip"] == "installed"
    assert progress == []


def test_uv_installs_once_and_keeps(tmp_path, own_cache, monkeypatch):
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed: pip install uv")
    package = wheel(tmp_path, "from_uv", "installed")
    environment = {"uv": {"packages": [str(package)], "uv_pip_install_options": ["--no-index"]}}
    facts, progress = build_in_a_zygote(tmp_path, environment, own_cache)
    assert facts["from_uv"] == "installed"
    assert facts["python"].startswith(str(own_cache))
    assert progress
    facts, progress = build_in_a_zygote(tmp_path, environment, own_cache)
    assert facts["from_uv"] == "installed"
    assert progress == []


def test_pip_that_fails_says_why(tmp_path, own_cache):
    environment = {
        "pip": {"packages": ["no-such-package-1234"], "pip_install_options": ["--no-index"]}
    }
    message, _ = build_in_a_zygote(tmp_path, environment, own_cache)
    assert "failed with status 1" in message
    assert "No matching distribution found for no-such-package-1234" in message
    assert [n for n in os.listdir(cache.folder("environments")) if not n.endswith(".lock")] == []


def test_installer_that_takes_too_long_is_ended(monkeypatch):
    lines = []
    with pytest.raises(installer.InstallError, match="setup_timeout_seconds"):
        installer._run(
            [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"],
            time.monotonic() + 1,
            lines.append,
        )
    assert lines == ["begun"]


def test_setup_hook_as_a_function(tmp_path, own_cache):
    import cloudpickle

    def hook():
        import os as system

        system.kill(system.getpid(), 9)

    document = _environment.resolve({"worker_process_setup_hook": hook})
    assert _environment.describe(document)["worker_process_setup_hook"].endswith("hook")
    assert cloudpickle
    hub = FakeHub(tmp_path, document, cache=own_cache)
    try:
        hub.fork("aa")
        _, end = hub.until_exit("aa")
        assert end["signal"] == signal.SIGKILL
    finally:
        hub.close()


def test_launcher_says_how_to_start_a_zygote():
    launcher = _environment.launcher()
    assert launcher["kind"] == "zygote"
    assert launcher["argv"][:3] == [sys.executable, "-c", _environment.START]
    assert launcher["cwd"] == os.getcwd()
    assert not [name for name in launcher["environment"] if name.startswith("IORUN_")]


def test_class_checks_what_is_set_later():
    environment = RuntimeEnv(env_vars={"A": "1"}, pip=["x", "x"])
    assert environment.pip_config() == {"packages": ["x"]}
    assert environment.has_pip() and not environment.has_uv() and not environment.has_working_dir()
    with pytest.raises(TypeError):
        environment["env_vars"] = {"A": 1}
    environment["env_vars"] = {"A": "2"}
    assert environment.env_vars() == {"A": "2"}
    again = RuntimeEnv.deserialize(environment.serialize())
    assert again == environment and type(again) is RuntimeEnv
    assert environment.to_dict() == dict(environment)
    limited = RuntimeEnv(config={"setup_timeout_seconds": 9})
    config = limited.get("config", data_class=RuntimeEnvConfig)
    assert config["setup_timeout_seconds"] == 9


@pytest.fixture
def web(tmp_path, own_cache):
    """A web server of a folder: (the folder, its address)."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self):
            if self.path.startswith("/elsewhere"):
                self.send_response(302)
                self.send_header("Location", "file:///etc/passwd")
                self.end_headers()
            elif self.path.startswith("/short"):
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"PK")
            else:
                super().do_GET()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_archives_of_the_web_are_packages(web):
    folder, address = web
    with zipfile.ZipFile(folder / "repository.zip", "w") as archive:
        archive.writestr("repository-main/", "")
        archive.writestr("repository-main/data.txt", "from the web")
        archive.writestr("repository-main/package/__init__.py", "")
    with zipfile.ZipFile(folder / "flat.zip", "w") as archive:
        archive.writestr("a.py", "A = 1")
        archive.writestr("b.py", "B = 1")
    uri = f"{address}/repository.zip"
    document = _environment.resolve({"working_dir": uri, "py_modules": [f"{address}/flat.zip"]})
    assert _environment.describe(document)["working_dir"] == uri

    def names(entry):
        content = base64.b64decode(entry["content"])
        return sorted(zipfile.ZipFile(io.BytesIO(content)).namelist())

    # One folder around everything, as hosts of repositories make it, is taken away.
    assert names(document["working_dir"]) == ["data.txt", "package/__init__.py"]
    assert names(document["py_modules"][0]) == ["a.py", "b.py"]


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/nothing.zip", "cannot be fetched.*404"),
        ("/text.zip", "no zip archive"),
        ("/elsewhere.zip", "leads to|not allowed"),
        ("/short.zip", "fetched|ended after"),
        ("/page.html", "address of a .zip"),
    ],
)
def test_what_is_no_archive_on_the_web(web, path, complaint):
    folder, address = web
    (folder / "text.zip").write_text("no zip")
    with pytest.raises(ValueError, match=complaint):
        _environment.resolve({"working_dir": address + path})


def test_an_archive_of_the_web_that_is_too_large(web, own_cache, monkeypatch):
    folder, address = web
    (folder / "large.zip").write_bytes(bytes(3 << 20))
    monkeypatch.setattr(packing, "SIZE_LIMIT", 1 << 20)
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        _environment.resolve({"working_dir": f"{address}/large.zip"})
    assert not list(own_cache.rglob("downloads/*"))
