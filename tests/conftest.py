"""Shared fixtures. Importing unipan through jaxtyping's hook checks every annotated shape while the tests run."""

import os
import signal
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from jaxtyping import config, install_import_hook

install_import_hook("unipan", "beartype.beartype")

torch.set_num_threads(1)

# The same examples every time, so that a failure is about the change at hand; HYPOTHESIS_PROFILE=new looks for others.
settings.register_profile("same", derandomize=True)
settings.register_profile("new", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # a shell's background job; tests send it, and children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_DATA, ANNOUNCED = "real_data", "announced"


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None, None, None]:
    """Take back the threads that a test gave PyTorch: on cores that all have a test they wait for each other.

    A step of a tiny network took up to 30 times as long, and so did every later test of the same process.
    """
    yield
    torch.set_num_threads(1)


@pytest.fixture
def no_type_checks() -> Generator[None, None, None]:
    """Without jaxtyping, as outside the tests: beartype would refuse a wrong type before our own sentence does."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def shared_data() -> Path:
    """The folder of real photographs: UNIPAN_SHARED, else ../shared/data next to the checkout."""
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("UNIPAN_SHARED", shared))
    if not (folder / "coco20").is_dir():
        pytest.skip(f"no real photographs at {folder}; set UNIPAN_SHARED")
    return folder


@pytest.fixture
def announce(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Call it with a measured figure: `make test` prints the line at its end, whatever pytest captures."""
    # Properties of a test reach the first process also from a worker of xdist.
    return lambda line: request.node.user_properties.append((ANNOUNCED, line))


def closing_lines(reports: Iterable[pytest.TestReport]) -> list[str]:
    """What the tests announced, in the order of their names, then how many saw real photographs."""
    lines: list[str] = []
    run, skipped = set(), set()
    for report in sorted(reports, key=lambda each: each.nodeid):
        if report.when == "call":
            lines += [line for name, line in report.user_properties if name == ANNOUNCED]
        if REAL_DATA in report.keywords:
            (skipped if report.skipped else run).add(report.nodeid)
    return [*lines, f"real-data tests: {len(run - skipped)} run, {len(skipped)} skipped"]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Close with the figures, and how many tests saw real photographs: a run without them proves less."""
    yield  # everything else, pytest's own summary included, comes first
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    # A worker of xdist says nothing: its reports reach the first process.
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    reports = [each for some in reporter.stats.values() for each in some if isinstance(each, pytest.TestReport)]
    for line in closing_lines(reports):
        reporter.write_line(line)
