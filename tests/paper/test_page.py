"""docs/paper.md stays true: whatever it cites exists, every claim has a verdict, every verdict its reason."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "paper.md"
VERDICTS = ("confirmed", "refuted", "needs the full data")
HEADER = ["claim", "where", "verdict", "measured by"]

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
OUR_PAGE = re.compile(r"\]\(((?:results/|design_choices)[^)\s#]+)")
CODE = re.compile(r"`([^`]+)`")
NODE = re.compile(r"tests/[\w/]+\.py::\w+")
PATH = re.compile(r"^(?:src|tests|docs|benchmarks|experiments)/[\w./-]+")


def rows() -> list[list[str]]:
    """The cells of every claim."""
    found: list[list[str]] = []
    inside = False
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells == HEADER:
            inside = True
        elif not cells:
            inside = False
        elif inside and set("".join(cells)) - {"-"}:
            found.append(cells)
    return found


@cache
def names(path: Path) -> frozenset[str]:
    """What a file defines: functions, classes, constants; methods and fields as Class.name."""
    found: set[str] = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                collect(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets += [node.target] if isinstance(node, ast.AnnAssign) else []
            found.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    collect(ast.parse(path.read_text()).body, "")
    return frozenset(found)


def local_links() -> list[tuple[str, Path]]:
    links = [(text, target.partition("#")[0]) for text, target in LINK.findall(PAGE.read_text())]
    return [(text, (PAGE.parent / target).resolve()) for text, target in links if target and "://" not in target]


def test_every_file_exists() -> None:
    assert [path for _, path in local_links() if not path.is_relative_to(ROOT) or not path.exists()] == []
    # In a code span, in any place of a command; a node's own test is below.
    words = [word for code in CODE.findall(PAGE.read_text()) for word in code.split()]
    paths = [hit.group().partition("::")[0] for word in words if (hit := PATH.match(word))]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert len(local_links()) > 50


def test_every_function_is_where_the_page_says() -> None:
    symbols = [(text.strip("`"), path) for text, path in local_links() if path.suffix == ".py" and text.startswith("`")]
    assert [f"{path.name}: {symbol}" for symbol, path in symbols if symbol not in names(path)] == []


def test_every_test_exists() -> None:
    nodes = NODE.findall(PAGE.read_text())
    missing = []
    for node in nodes:
        file, _, name = node.partition("::")
        if not (ROOT / file).exists() or name not in names(ROOT / file) or not name.startswith("test_"):
            missing.append(node)
    assert missing == []
    assert len(set(nodes)) > 60


def quoted(cell: str) -> list[str]:
    """Code spans that are neither a test nor a command."""
    return [code for code in CODE.findall(cell) if not NODE.match(code) and not code.startswith("unipan ")]


def test_every_figure_still_stands_in_the_page_that_it_is_quoted_from() -> None:
    gone, count = [], 0
    for claim, _, _, measured in rows():
        pages = [(PAGE.parent / target).read_text().replace("*", "") for target in OUR_PAGE.findall(measured)]
        count += len(quoted(measured))
        gone += [f"{claim}: {quote}" for quote in quoted(measured) if not any(quote in page for page in pages)]
    assert gone == [], "measured anew? then let docs/paper.md say so"
    assert count > 10


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: cells[0][:40])
def test_every_claim_has_a_verdict_and_its_reason(cells: list[str]) -> None:
    assert len(cells) == len(HEADER)
    claim, where, verdict, measured = cells
    assert claim
    assert where
    assert verdict.strip("*") in VERDICTS
    if verdict == "needs the full data":
        assert measured.startswith("needs: ")
    else:
        assert measured.startswith("measured: ")
        assert NODE.search(measured) or (OUR_PAGE.search(measured) and quoted(measured))


def test_the_counts_at_the_top_are_right() -> None:
    found = [cells[2].strip("*") for cells in rows()]
    said = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in VERDICTS)
    assert f"**{said}**" in PAGE.read_text()


def test_every_equation_and_table_of_the_paper_is_there() -> None:
    text = PAGE.read_text()
    wanted = [f"Eq. {n}" for n in range(1, 6)] + [f"Table {n}" for n in (*range(1, 6), *"FGHIJ")]
    assert [name for name in wanted if not re.search(rf"{re.escape(name)}\b", text)] == []


ASIDES = (
    "any other detector architecture",  # A.2
    "further performance gains are likely",
    "ImageNet pretrained ResNet-50",
    "to initialise all experiments",
    "weight decay of 0.0001",
    "less overfitting is observed",
    "single-scale inference",
    "full-resolution images in a single forward pass",  # up to here App. B
    "2,975 training images, 500 validation images, and 1,525 test images",  # Sec. 4
    "118k training images, 5k validation images, and 20k test-dev images",
    "even though they utilise stronger backbones",  # Sec. 4.2
    "Xception-71",
    "to the bottoms and tyres of cars",  # App. E
    "cannot be substituted by directly inserting",  # Sec. 2
    "to ease the learning task",  # Sec. 3.4.2
)
"""The paper's words for what it claims outside its equations and tables; easily left out."""


@pytest.mark.parametrize("words", ASIDES)
def test_what_the_paper_claims_in_passing_is_there(words: str) -> None:
    assert [claim for claim, *_ in rows() if words in claim], "one row of docs/paper.md has these words as its claim"
