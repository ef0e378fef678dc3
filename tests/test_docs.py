"""The documentation builds strictly, and the Python examples of README and docs/ run."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unipan.datasets.formats.coco_panoptic import PanopticWriter, write_coco_panoptic
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.exported.segmenter import ExportedSegmenter

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?:^<!-- not run: (?P<reason>.*?) -->\n+)?^```python\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[tuple[int, str]]:
    """The Python blocks of a page that are to run, each with the line on which it starts."""
    text = page.read_text()
    found = [each for each in BLOCK.finditer(text) if each["reason"] is None]
    return [(text[: each.start("code")].count("\n"), each["code"]) for each in found]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples use: a dataset data/, predictions pred/ and other/ for it, and pred/ in two shards."""
    folder = tmp_path_factory.mktemp("example")
    samples = list(Scenes(range(4_000_000, 4_000_004)))
    write_coco_panoptic(folder / "data", samples, SCENE_CATEGORIES)
    parts = {"pred": samples, "other": samples, "shard0": samples[:2], "shard1": samples[2:]}
    for name, part in parts.items():
        with PanopticWriter(folder / name, SCENE_CATEGORIES, scores=True) as writer:
            for sample in part:
                writer.add(sample.name, sample.image_id, sample.truth)
    return folder


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_the_python_examples_of_a_page_run(
    page: Path, example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(example, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    if any('"deployed' in code for _, code in blocks(page)):  # what the page's command has made; it takes half a minute
        export = [sys.executable, "-m", "unipan", "export", "scenes", "--out", "deployed", "--data", "data"]
        subprocess.run(export, check=True, capture_output=True)
    names: dict[str, Any] = {"__name__": "example"}
    for line, code in blocks(page):  # one after the other, as a reader would type them
        exec(compile("\n" * line + code, str(page), "exec"), names)
    for _, code in blocks(page):
        if "InferenceSession(" in code:
            by_hand_is_by_unipan(code)


def by_hand_is_by_unipan(code: str) -> None:
    """The graphs in another program, on an image whose sides are no multiples of 32."""
    image = next(iter(Scenes(range(4_000_009, 4_000_010), (113, 225)))).image
    names: dict[str, Any] = {"image": image}
    exec(code, names)
    scene = ExportedSegmenter.load("deployed").scene(image)
    assert names["panoptic"].shape == scene.panoptic.shape
    assert np.mean(names["winners"] == scene.panoptic.argmax(0)) > 0.999


def test_the_first_example_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """README's, typed into an empty folder by somebody who has just installed the package."""
    monkeypatch.chdir(tmp_path)
    [(_, code), *_] = blocks(ROOT / "README.md")
    exec(compile(code, "README.md", "exec"), {"__name__": "example"})
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.png"]


def test_most_examples_run_and_the_others_say_why_not() -> None:
    found = [each for page in PAGES for each in BLOCK.finditer(page.read_text())]
    reasons = [each["reason"] for each in found if each["reason"] is not None]
    assert all(len(reason) > 20 for reason in reasons)
    assert len(found) - len(reasons) > 2 * len(reasons)


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    """No link, anchor or name of the API reference leads nowhere, and no page loads anything from another site."""
    if find_spec("mkdocs") is None:
        pytest.skip('mkdocs is not installed; pip install "unipan[docs]"')
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    loaded = re.compile(r'<(?:script|img|iframe)[^>]* src="https?:|<link[^>]* rel="?stylesheet"?[^>]* href="https?:')
    assert [page.name for page in pages if loaded.search(page.read_text())] == []
