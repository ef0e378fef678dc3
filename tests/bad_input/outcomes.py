"""Runs parts of the table for the tests; each part is a file of tests, so that the cores share them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LEAST = 400


def run_cases(out: Path, *options: str) -> list[dict[str, Any]]:
    """The outcomes of an interpreter of its own: no jaxtyping hook, no pytest, nothing imported before."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UNIPAN_", "PYTEST_"))}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "tests.bad_input.run", "--out", str(out), *options]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    return [json.loads(line) for line in out.read_text().splitlines()]
