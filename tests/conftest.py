"""Shared fixtures. Importing unipan through jaxtyping's hook checks every annotated shape while the tests run."""

import os
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook("unipan", "beartype.beartype")

torch.set_num_threads(1)

_real_data_tests = {"run": 0, "skipped": 0}


@pytest.fixture
def shared_data() -> Path:
    """The folder of real photographs: UNIPAN_SHARED, else ../shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("UNIPAN_SHARED", beside))
    if not (folder / "coco20").is_dir():
        pytest.skip(f"no real photographs at {folder}; set UNIPAN_SHARED")
    return folder
