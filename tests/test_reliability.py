"""Every promise of docs/reliability.md names a test or a benchmark that exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"


def test_each_promise_is_held_by_something_that_exists() -> None:
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("|") and "`" in line]
    promises = [cells for cells in rows if len(cells) == 4 and re.search(r"tests/|benchmarks/", cells[2])]
    assert len(promises) > 20
    for _, promise, held, _ in promises:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", held)
        scripts = re.findall(r"`(benchmarks/\w+\.py)`", held)
        assert tests or scripts, promise
        for file, name in tests:
            tree = ast.parse((ROOT / file).read_text())
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (promise, name)
        assert all((ROOT / script).is_file() for script in scripts), promise
