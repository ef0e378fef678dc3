"""The last lines of `make test`: measured figures, and how many tests saw real photographs."""

from collections.abc import Callable
from typing import Literal

import pytest

from tests.conftest import ANNOUNCED, REAL_DATA, closing_lines


def report(
    name: str,
    when: Literal["setup", "call", "teardown"],
    said: tuple[str, ...] = (),
    real: bool = False,
    skip: bool = False,
) -> pytest.TestReport:
    keywords = {REAL_DATA: 1} if real else {}
    properties = [(ANNOUNCED, line) for line in said]
    outcome = "skipped" if skip else "passed"
    return pytest.TestReport(name, (name, 1, name), keywords, outcome, None, when, user_properties=properties)


def test_figures_come_once_and_before_the_count() -> None:
    reports = [
        report("b", "call", ("second", "third"), real=True),
        report("b", "teardown", ("second", "third"), real=True),
        report("a", "call", ("first",)),
        report("c", "setup", real=True, skip=True),
    ]
    assert closing_lines(reports) == ["first", "second", "third", "real-data tests: 1 run, 1 skipped"]


def test_announcing_leaves_a_property_that_xdist_carries(
    announce: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    announce("a figure")
    assert request.node.user_properties == [(ANNOUNCED, "a figure")]
    request.node.user_properties.clear()
