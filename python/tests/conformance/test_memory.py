"""More objects than memory holds, a full disk, and a machine that runs out of memory."""

import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from module_under_test import IS_RAY, ray

MIB = 2**20


def test_more_objects_than_the_store_holds(fresh, tmp_path):
    spilled = tmp_path / "spilled"
    ray.init(
        num_cpus=2,
        object_store_memory=80 * MIB,
        object_spilling_directory=str(spilled),
        log_to_driver=False,
    )

    @ray.remote
    def make(i):
        return np.full(2 * MIB, i)

    @ray.remote
    def first(array):
        return int(array[0]), len(array)

    # 16 MiB each: 192 MiB that the driver has put, and 96 MiB that tasks have made.
    refs = [ray.put(np.full(2 * MIB, i)) for i in range(12)]
    refs += [make.remote(i) for i in range(12, 18)]
    ray.wait(refs, num_returns=len(refs))
    files = [name for _, _, names in os.walk(spilled) for name in names]
    assert files, "nothing was spilled"
    for _ in range(2):
        for i, ref in enumerate(refs):
            array = ray.get(ref)
            assert array[0] == i and array[-1] == i and len(array) == 2 * MIB
            del array
    assert ray.get([first.remote(ref) for ref in refs]) == [(i, 2 * MIB) for i in range(18)]


def in_a_mount_namespace(program, mounts, tmp_path):
    """Runs a program where a shell has mounted something first; skips where it may not."""
    if IS_RAY:
        pytest.skip("Ray reads other files")
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can mount in a namespace of its own")
    probe = ["unshare", "-m", "--propagation", "private", "sh", "-c", mounts]
    if subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(program).replace("MODULE", ray.__name__))
    done = subprocess.run(
        [*probe[:-1], f'{mounts} && exec "$@"', "sh", sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=80,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_full_disk_is_an_error(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    program = f"""
    import numpy as np
    import MODULE as ray
    ray.init(num_cpus=1, object_store_memory=80 * 2**20, object_spilling_directory={str(disk)!r},
             log_to_driver=False)
    refs = []
    try:
        for i in range(30):
            refs.append(ray.put(np.full(2**21, i)))
    except ray.exceptions.ObjectStoreFullError as error:
        print("full after", len(refs))
    # Room that is given back is used again.
    del refs[:4]
    refs += [ray.put(np.full(2**21, i)) for i in range(2)]
    assert int(ray.get(refs[-1])[0]) == 1
    print("went on")
    ray.shutdown()
    """
    # Nine tenths of 64 MiB, beside the 80 MiB of memory: eight objects of 16 MiB at the most.
    said = in_a_mount_namespace(program, f"mount -t tmpfs -o size=64m tmpfs {disk}", tmp_path)
    count = int(said.split("full after ")[1].split()[0])
    assert 4 <= count <= 8
    assert "went on" in said


def test_the_newest_worker_ends_when_memory_does(tmp_path):
    # A control group's files, in which the program itself says what is in use.
    group = tmp_path / "cgroup"
    group.mkdir()
    (group / "memory.max").write_text(f"{1000 * MIB}\n")
    (group / "memory.current").write_text(f"{100 * MIB}\n")
    (group / "memory.stat").write_text("inactive_file 0\n")
    program = """
    import time
    import MODULE as ray

    def say(mib):
        with open("/sys/fs/cgroup/memory.current", "w") as file:
            file.write(f"{mib * 2**20}")

    ray.init(num_cpus=2, log_to_driver=False)

    @ray.remote(max_retries=0)
    def eat():
        taken = bytearray(b"x" * (200 * 2**20))
        say(990)
        time.sleep(60)
        return len(taken)

    @ray.remote
    class Small:
        def f(self):
            return 1

    small = Small.remote()
    ray.get(small.f.remote())
    try:
        ray.get(eat.remote())
        raise SystemExit("nobody ended it")
    except ray.exceptions.OutOfMemoryError as error:
        print("ended:", str(error).splitlines()[0])
    say(100)
    # Who has hardly any memory stays.
    assert ray.get(small.f.remote()) == 1
    ray.shutdown()
    """
    said = in_a_mount_namespace(program, f"mount --bind {group} /sys/fs/cgroup", tmp_path)
    assert "ended:" in said
