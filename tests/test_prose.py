"""Numbers are written in one way on all pages, and each page of results says its main figures first."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")), *(ROOT / "docs").rglob("*.md")]
RESULTS = [page for page in (ROOT / "docs" / "results").glob("*.md") if page.name != "README.md"]

CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`|(?<=\n\n)(?: {4}.*\n)+|(?<=\])\([^)\n]*\)", re.DOTALL | re.MULTILINE)
"""Blocks, words and indented lines of code, and the targets of links."""
QUOTED = re.compile(r'"[^"\n]*"')
VALUES = re.compile(r"(?<=\|)[\d /]+(?=\|)")
"""A cell of a table with several values of a setting."""
WRONG = {
    "thousands have commas": re.compile(r"(?<!\d )(?<![\w.,])\d{1,3}(?: \d{3})+(?!\w)"),
    "commas from 10,000 on": re.compile(r"(?<![\w.,/-])\d{5,}(?!\w|\.\d)"),
    "no comma below 10,000": re.compile(r"(?<![\w.,])\d,\d{3}(?![\w,])"),
    "a minus sign, not a hyphen": re.compile(r"(?<![\w)\]–+.-])-\d"),
    "a zero before the point": re.compile(r"(?<![\w.)\]])\.\d"),
}


def wrong_numbers(text: str) -> list[str]:
    """The numbers of a page that break the rule of CONTRIBUTING.md, with the words around them."""
    for other in (CODE, QUOTED, VALUES):
        text = other.sub(lambda found: "`" + "\n" * found[0].count("\n"), text)
    return [
        f"line {text[: found.start()].count(chr(10)) + 1}: {rule}: ...{text[max(0, found.start() - 20) : found.end()]}"
        for rule, pattern in WRONG.items()
        for found in pattern.finditer(text)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_numbers_are_written_in_one_way(page: Path) -> None:
    assert wrong_numbers(page.read_text()) == []


@pytest.mark.parametrize(
    "text", ["18 949 cells", "seed 4000000", "3,363 cases", "gains -1.2 PQ", "(-0.3, 1.0)", "from .9 on"]
)
def test_other_ways_are_found(text: str) -> None:
    assert len(wrong_numbers(text)) == 1


@pytest.mark.parametrize(
    "text",
    ["18,949 of 1024 x 2048", "−1.2 (−3.7, 1.3)", "`--seed 4000000`", "arXiv 1901.03784", "ResNet-101", "| 384 384 |"],
)
def test_numbers_in_code_and_names_are_let_be(text: str) -> None:
    assert wrong_numbers(text) == []


@pytest.mark.parametrize("page", RESULTS, ids=lambda page: page.name)
def test_each_page_of_results_begins_with_a_summary(page: Path) -> None:
    before_the_first_section = page.read_text().split("\n## ")[0]
    assert "> **Summary**" in before_the_first_section
    points = re.findall(r"^> - ", before_the_first_section, re.MULTILINE)
    assert 1 <= len(points) <= 5
