"""Public examples of Ray Core, in their authors' manner: each must run as it stands.

They say `import ray`, and get the module that IORUN_CONFORMANCE_MODULE names.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MODULE = os.environ.get("IORUN_CONFORMANCE_MODULE", "iorun")


@pytest.mark.parametrize("program", sorted(path.stem for path in (FOLDER / "scripts").glob("*.py")))
def test_a_program_runs(program, tmp_path):
    alias = ["-m", "iorun.as_ray"] if MODULE != "ray" else []
    done = subprocess.run(
        [sys.executable, *alias, str(FOLDER / "scripts" / f"{program}.py")],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip(), "the program says what it found"
