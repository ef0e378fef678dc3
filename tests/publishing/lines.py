"""Command lines in a process of their own: huggingface_hub reads its environment when it is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.exported.test_segmenter import WITHOUT_TORCH

CODE = """
import contextlib, io, json, sys
from unipan.cli import main
found = []
for line in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(line)
    found.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(found))
"""


def run_lines(lines: list[str], folder: Path, torch: bool = False, **environment: str) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of each line, where no token or cache of this machine is seen."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE if torch else WITHOUT_TORCH + CODE, json.dumps([line.split() for line in lines])],
        check=False, capture_output=True, text=True, cwd=folder,
        env=kept | {"HF_HOME": str(folder / "hf"), "UNIPAN_TRACEBACK": "", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[tuple[int, str, str]] = [tuple(each) for each in json.loads(done.stdout.splitlines()[-1])]
    return found
