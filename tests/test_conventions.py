"""Conventions that no linter knows: lengths, what an import costs, what no file may name, where the repository is."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import unipan

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "unipan"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODELS = sorted((PACKAGE / "models").rglob("*.py"))


def where(path: Path) -> str:
    """A module's path within the package; files of several folders have the same name."""
    return path.relative_to(PACKAGE).as_posix()


def function_lengths(path: Path) -> dict[str, int]:
    nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    # With the line, because methods of several classes have the same name.
    return {f"{where(path)}:{n.lineno}:{n.name}": (n.end_lineno or n.lineno) - n.lineno + 1 for n in nodes}


def tracked_files() -> list[Path]:
    """The files that git knows; all of the checkout where there is no git."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_files_fit_on_a_few_screens() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert {where(path): length for path, length in lengths.items() if length >= 400} == {}
    assert {where(path): lengths[path] for path in MODELS if lengths[path] >= 200} == {}


def test_functions_fit_on_one_screen() -> None:
    lengths = {name: length for path in SOURCES for name, length in function_lengths(path).items()}
    assert {name: length for name, length in lengths.items() if length >= 60} == {}
    middle = sorted(lengths.values())[len(lengths) // 2]
    assert middle <= 13  # with the signature and the docstring; 10 lines of body


def test_there_are_no_drawers_for_everything() -> None:
    assert [path for path in SOURCES if path.stem in ("utils", "misc", "helpers", "common")] == []
    assert [path for path in SOURCES if "from __future__ import annotations" in path.read_text()] == []


SHARED_NAMES = {
    "main": "the entry point of a command",
    "VERBS": "of `unipan` and of `unipan data`",
    "HELP": "of `unipan` and of `unipan data`",
    "FORMAT": "of each data format",
}
"""The names that more than one module may define, with what they are there."""


def defined_names(path: Path) -> set[str]:
    """What a module defines at its top level: functions, classes, constants and type aliases."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("__")}


def test_a_name_means_one_thing() -> None:
    """No two modules define the same name, public or private: who searches for one finds one.

    Methods, and functions inside functions, may share theirs: the class or function around them says which is meant.
    """
    modules: dict[str, list[str]] = {}
    for path in SOURCES:
        for name in defined_names(path):
            modules.setdefault(name, []).append(where(path))
    twice = {name: places for name, places in modules.items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in SHARED_NAMES} == {}
    assert set(SHARED_NAMES) - set(twice) == set()  # an exception that is no longer needed goes


def test_the_arguments_of_a_model_are_named_where_it_is_built() -> None:
    """Constructors of models/ take keywords alone: `build.py` reads as a list of the paper's parts and sizes."""
    positional = {}
    for path in MODELS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                taken = [each.arg for each in [*node.args.posonlyargs, *node.args.args][1:]]
                if taken or node.args.vararg:
                    positional[f"{where(path)}:{node.lineno}"] = taken
    assert positional == {}


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=ROOT / "src")
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "statement",
    ["import unipan", "import unipan.cli", "import unipan.presets", "from unipan.commands import train, evaluate"],
)
def test_importing_is_light(statement: str) -> None:
    heavy = {"torch", "torchvision", "lightning_fabric", "cv2", "scipy", "matplotlib", "tensorboard"}
    assert modules_after(statement) & heavy == set()


def test_the_segmenter_needs_no_training_engine_and_no_plotting() -> None:
    heavy = {"lightning_fabric", "tensorboard", "matplotlib", "faster_coco_eval"}
    assert modules_after("import unipan; unipan.Segmenter") & heavy == set()


def test_no_file_names_a_registry_or_a_machine() -> None:
    # Written in pieces, so that this file does not name them either.
    hosts = [
        "py" + "pi.org",
        "pythonhosted" + ".org",
        "download.py" + "torch.org/whl",
        "--index" + "-url",
        "--extra" + "-index",
    ]
    places = ["/" + "root/", "/work" + "/main", "/work" + "/shared"]
    forbidden = re.compile("|".join(re.escape(word) for word in hosts + places))
    found = {}
    for path in tracked_files():
        if path.suffix in (".safetensors", ".png", ".jpg"):
            continue
        hit = forbidden.search(path.read_text(errors="replace"))
        if hit:
            found[str(path.relative_to(ROOT))] = hit.group()
    assert found == {}


def test_the_constraints_pin_versions_and_nothing_else() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert {line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line)} == set()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert {"torch", "torchvision", "numpy", "tyro", "lightning-fabric", "pytest", "ruff", "mypy"} <= pinned


def test_the_set_up_never_changes_what_is_tracked() -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {".venv/", "runs/", "__pycache__/"} <= set(ignored)


def test_one_address_of_the_repository_and_its_files_exist() -> None:
    """`project.urls` says where the repository is; README and the site lead there, to files that exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    home = project["urls"]["Repository"]
    assert yaml_value("mkdocs.yml", "repo_url") == yaml_value("CITATION.cff", "repository-code") == home
    assert yaml_value("CITATION.cff", "version") == unipan.__version__
    assert f"## [{unipan.__version__}] - " in (ROOT / "CHANGELOG.md").read_text()
    owner_and_name = home.removeprefix("https://github.com/")
    link = re.compile(
        rf"{re.escape(home)}/blob/main/([^)\s#\"]+)|https://raw\.githubusercontent\.com/{owner_and_name}/main/([^)\s#\"]+)"
    )
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "pyproject.toml", *(ROOT / "docs").rglob("*.md")]
    pages += (ROOT / ".github").rglob("*.yml")
    targets = {target for page in pages for pair in link.findall(page.read_text()) for target in pair if target}
    assert len(targets) > 15
    assert {target for target in targets if not (ROOT / target).exists()} == set()
    # A relative link of README leads nowhere on a page of a package index.
    assert re.findall(r"\]\((?!https?://|#)[^)]*\)", (ROOT / "README.md").read_text()) == []


def test_the_table_of_packages_is_the_contract_of_imports() -> None:
    """CONTRIBUTING names every package and module of the contract in pyproject.toml, once, from top to bottom."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    height = {name: -floor for floor, layer in enumerate(layers) for name in layer.split(" | ")}
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Packages")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [name.removesuffix("/").removesuffix(".py") for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert sorted(named) == sorted(height)
    assert named == sorted(named, key=lambda name: -height[name])


def test_every_extra_that_a_page_names_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {
        (page.name, extra.strip())
        for page in pages
        for listed in re.findall(r"\bunipan\[([^\]]+)\]", page.read_text())
        for extra in listed.split(",")
    }
    assert {extra for _, extra in named} >= {"torch", "train"}
    assert {(page, extra) for page, extra in named if extra not in extras} == set()


def test_the_table_of_experiments_is_complete() -> None:
    """Each script has a row with its question, and the pages of the row's last cell exist."""
    folder = ROOT / "experiments"
    rows = re.findall(r"^\| `(\w+\.py)` \| \S.* \| (.+) \|$", (folder / "README.md").read_text(), flags=re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(path.name for path in folder.glob("*.py"))
    pages = {page for _, cell in rows for page in re.findall(r"`([^`]*/[^`]*\.md)`", cell)}
    assert {page for page in pages if not (ROOT / page).is_file()} == set()


def test_every_folder_is_explained_and_in_the_sdist() -> None:
    """A folder of the checkout is named in CONTRIBUTING and in MANIFEST.in; src/ is packed by itself."""
    hidden = {".ci", ".github"}
    folders = {path.relative_to(ROOT).parts[0] for path in tracked_files() if len(path.relative_to(ROOT).parts) > 1}
    grafted = set(re.findall(r"^graft (\S+)$", (ROOT / "MANIFEST.in").read_text(), flags=re.MULTILINE))
    assert folders - grafted == {"src", ".github"}
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    assert {folder for folder in folders - hidden if f"`{folder}/" not in guide} == set()


def yaml_value(file: str, key: str) -> str:
    """The plain text of a key on the first level."""
    [found] = re.findall(rf"^{key}: (\S+)", (ROOT / file).read_text(), flags=re.MULTILINE)
    return str(found)


def test_the_page_of_dependencies_is_complete() -> None:
    """Each package that a user gets is listed with what it is for, under the extra that brings it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        name: rows for name, rows in project["optional-dependencies"].items() if name not in ("all", "dev", "docs")
    }
    wanted = {
        (extra, re.split(r"[\[<>=,;]", row)[0])
        for extra, rows in {"always": project["dependencies"], **extras}.items()
        for row in rows
        if not row.startswith("unipan[")
    }
    found, extra = set(), ""
    for line in (ROOT / "docs" / "dependencies.md").read_text().splitlines():
        cells = [cell.strip(" `") for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and cells[1] not in ("package", "---"):
            extra = cells[0] or extra
            assert cells[2]
            found.add((extra, cells[1]))
    assert found == wanted
