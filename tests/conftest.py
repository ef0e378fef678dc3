"""Shared fixtures. Importing unipan through jaxtyping's hook checks every annotated shape while the tests run."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook("unipan", "beartype.beartype")

torch.set_num_threads(1)

REAL_DATA = "real_data"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real photographs: UNIPAN_SHARED, else ../shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("UNIPAN_SHARED", beside))
    if not (folder / "coco20").is_dir():
        pytest.skip(f"no real photographs at {folder}; set UNIPAN_SHARED")
    return folder


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Close with how many tests saw real photographs: a run without them proves less."""
    yield  # everything else, pytest's own summary included, comes first
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(
        session.config, "workerinput"
    ):  # a worker of xdist: its reports reach the first process
        return
    run, skipped = set(), set()
    for reports in reporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and REAL_DATA in report.keywords:
                (skipped if report.skipped else run).add(report.nodeid)
    reporter.write_line(f"real-data tests: {len(run - skipped)} run, {len(skipped)} skipped")
