"""A case written by its script, and a command with what it says.

The scripts lie in the folder `cases` beside that of `UNIPAN_SHARED`; the head of each says what the input is, where it
was reported, and what is right. Nothing of them is in this repository.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.public_cases.tools import Make, Say
from unipan.cli import main

SHARED = Path(os.environ.get("UNIPAN_SHARED", Path(__file__).resolve().parents[3] / "shared" / "data"))
CASES = SHARED.parent / "cases"


@pytest.fixture
def case(tmp_path: Path) -> Make:
    """Writes a case by its script and returns its folder."""

    def make(name: str) -> Path:
        script = CASES / f"{name}.py"
        if not script.is_file():
            pytest.skip(f"no scripts of public cases at {CASES}; UNIPAN_SHARED names the folder beside it")
        out = tmp_path / name
        subprocess.run([sys.executable, "-W", "ignore", str(script), str(out)], check=True)
        return out

    return make


@pytest.fixture
def unipan(capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command and returns its exit status, and all that it says."""

    def run(*words: object) -> tuple[int, str]:
        try:
            status = main([str(word) for word in words])
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        said = capsys.readouterr()
        return int(status or 0), " ".join((said.out + said.err).split())

    return run
