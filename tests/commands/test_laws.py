"""What keeps the command line thin: one short file per verb, and imports without circles."""

from graphlib import CycleError, TopologicalSorter
from keyword import iskeyword
from pathlib import Path

import grimp
import pytest

from unipan.cli import VERBS

COMMANDS = Path(__file__).resolve().parents[2] / "src" / "unipan" / "commands"
LONGEST = 120


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Who imports whom, at any place of a file."""
    return grimp.build_graph("unipan", exclude_type_checking_imports=True)


def test_every_verb_has_its_file() -> None:
    assert [verb for verb in VERBS if not (COMMANDS / f"{verb}{'_' * iskeyword(verb)}.py").is_file()] == []


def test_commands_are_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in COMMANDS.glob("*.py")}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_command_imports_another(graph: grimp.ImportGraph) -> None:
    verbs = {f"unipan.commands.{verb}{'_' * iskeyword(verb)}" for verb in VERBS}
    assert {verb: found for verb in verbs if (found := graph.find_modules_directly_imported_by(verb) & verbs)} == {}


def test_no_module_imports_itself_through_others(graph: grimp.ImportGraph) -> None:
    sorter = TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_only_two_verbs_import_the_reproduction(graph: grimp.ImportGraph) -> None:
    inside = {"unipan.reproduction", *graph.find_descendants("unipan.reproduction")}
    importers = {other for module in inside for other in graph.find_modules_that_directly_import(module)} - inside
    assert importers == {"unipan.commands.figures", "unipan.commands.reproduce"}
