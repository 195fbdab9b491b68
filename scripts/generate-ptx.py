#!/usr/bin/env python3
"""Compiles scripts/ptx/pow.cu to PTX, as the text in Sources/PoW/CPoW/ptx.c.

Needs no GPU and no CUDA toolkit, only two wheels, at the time of development alone:

    python3 -m venv .venv && .venv/bin/pip install nvidia-cuda-nvrtc-cu12==12.4.127 nvidia-cuda-nvcc-cu12==12.4.131
    .venv/bin/python scripts/generate-ptx.py          # writes ptx.c, and assembles it for each chip
    .venv/bin/python scripts/generate-ptx.py --check  # fails where ptx.c is not what pow.cu gives

Two texts: for compute 6.1 (dp4a) and 8.0 (tensor cores as well). The driver makes machine code of
them. ptxas assembles each for the chips that it is for, and prints registers and spills.
"""
import argparse
import ctypes
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "scripts/ptx/pow.cu"
TARGET = ROOT / "Sources/PoW/CPoW/ptx.c"
# The version of the PTX language is lowered: nothing here needs more, and older drivers read it.
TEXTS = {
    "61": ("compute_61", "6.4", ["sm_61", "sm_70", "sm_75"]),
    "80": ("compute_80", "7.0", ["sm_80", "sm_86", "sm_89", "sm_90"]),
}


def wheel(name):
    spec = importlib.util.find_spec(f"nvidia.{name}")
    if spec is None:
        sys.exit(f"nvidia.{name} is missing; see the lines at the top of this file")
    return pathlib.Path(next(iter(spec.submodule_search_locations)))


def compile_ptx(nvrtc, architecture):
    program = ctypes.c_void_p()
    source = SOURCE.read_bytes()

    def check(code, doing):
        if code == 0:
            return
        size = ctypes.c_size_t()
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        sys.exit(f"{doing} failed ({code}):\n{log.value.decode()}")

    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"pow.cu", 0, None, None), "create")
    options = (ctypes.c_char_p * 2)(f"--gpu-architecture={architecture}".encode(), b"--std=c++17")
    check(nvrtc.nvrtcCompileProgram(program, 2, options), "compile")
    size = ctypes.c_size_t()
    check(nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size)), "size")
    text = ctypes.create_string_buffer(size.value)
    check(nvrtc.nvrtcGetPTX(program, text), "text")
    return text.value.decode()


def strip(text, version):
    lines = []
    for line in text.splitlines():
        line = line.split("//")[0].rstrip()
        if line.startswith(".version"):
            line = f".version {version}"
        if line.strip():
            lines.append(line.replace("\t", " ").strip())
    return lines


def assemble(lines, chips):
    ptxas = wheel("cuda_nvcc") / "bin/ptxas"
    ptxas.chmod(0o755)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "pow.ptx"
        path.write_text("\n".join(lines) + "\n")
        for chip in chips:
            made = subprocess.run(
                [ptxas, "-v", f"-arch={chip}", path, "-o", f"{folder}/pow.cubin"],
                capture_output=True, text=True)
            if made.returncode:
                sys.exit(f"ptxas for {chip}: {made.stdout}{made.stderr}")
            name = ""
            for line in made.stderr.splitlines():
                if "Compiling entry function" in line:
                    name = line.split("'")[1]
                elif "bytes stack frame" in line:
                    spills = line.strip()
                elif "Used" in line:
                    print(f"{chip} {name}: {line.split('Used')[1].split(',')[0].strip()}; {spills}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    nvrtc = ctypes.CDLL(str(next((wheel("cuda_nvrtc") / "lib").glob("libnvrtc.so.1*"))))
    out = [
        "// Made by scripts/generate-ptx.py from scripts/ptx/pow.cu; not to be edited.",
        '#include "CPoWGPU.h"',
        "",
    ]
    for name, (architecture, version, chips) in TEXTS.items():
        lines = strip(compile_ptx(nvrtc, architecture), version)
        assemble(lines, chips)
        out.append(f"const char iorun_pow_ptx_{name}[] =")
        for line in lines:
            quoted = line.replace("\\", "\\\\").replace('"', '\\"')
            out.append(f'    "{quoted}\\n"')
        out[-1] += ";"
        out.append("")
    text = "\n".join(out)
    if check:
        if TARGET.read_text() != text:
            sys.exit(f"{TARGET} is not what {SOURCE} gives: run this without --check")
    else:
        TARGET.write_text(text)


main()
