"""Other tools run in environments of their own, which `make test-others` makes; `UNIPAN_TOOLS` names their folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# They import packages that only those environments have.
collect_ignore_glob = ["*_sets.py", "labelbox_panoptic.py", "transformers_fused.py", "evaluators.py"]


@pytest.fixture(scope="session")
def python_of() -> Callable[[str], str]:
    """The Python of a tool's environment."""

    def find(tool: str) -> str:
        found = Path(os.environ.get("UNIPAN_TOOLS", "nowhere"), tool, "bin", "python").absolute()
        if not found.is_file():
            pytest.skip(f"UNIPAN_TOOLS names no folder with an environment {tool}: make test-others")
        return str(found)

    return find
