"""No command replaces what it reads, or what somebody else wrote."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import CATEGORIES, Drawn
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.outputs import signed_by

ATTEMPTS = [
    "evaluate scenes gt --json gt/panoptic.json",
    "evaluate scenes gt --json PHOTO --overwrite",
    "evaluate scenes gt --json mine.json",
    "affinity scenes photo.png --pixel 1 1 --out photo.png",
    "affinity scenes photo.png --pixel 1 1 --out photo.png --overwrite",
    "affinity scenes photo.png --pixel 1 1 --out mine.png",
    "pq gt gt --json gt/panoptic.json --overwrite",
    "pq gt gt --json gt/panoptic/x.json",
    "pq gt gt --json s.json --csv s.json",
    "pq gt gt --json page/index.html --html page",
    "pq gt gt --csv page/images.csv --html page",
    "pq gt gt --csv mine.json",
    "pq gt gt --html mine",
    "data check gt --json gt/panoptic.json --overwrite",
    "data check gt --fix out --json out/report.json",
    "data check gt --fix gt/images/out",
    "data check gt --json mine.json",
    "data show gt --out gt/images/page.html",
    "data show gt --out mine",
    "data convert gt png16:gt/images/out",
    "figures scenes scenes:5-5 --out mine",
    "demo --out mine",
    "import detectron2:weights.safetensors --out weights.safetensors --overwrite",
    "import detectron2:nowhere.pkl --out weights.safetensors",
    "train scenes --init mine/best.safetensors --out mine",
    "scenes --count 2 --seed 3 --out taken",
    "predict scenes gt/images --like gt/panoptic.json --out gt",
    "predict scenes gt/images --out gt --overwrite",
    "predict scenes PHOTO --out gt/images/.. --overwrite",
    "predict scenes photo.png --out mine",
    "reproduce table1 --from-records --out mine.md",
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_coco_panoptic(tmp_path / "gt", [Drawn([2])[0]], CATEGORIES)
    files = ("mine.json", "mine.png", "mine.md", "mine/index.html", "mine/best.safetensors", "weights.safetensors")
    for name in (*files, "runs/records/x.json", "taken/images/scene_0000004.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("mine")
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("line", ATTEMPTS)
def test_it_is_refused_in_one_sentence_and_nothing_changes(
    line: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(home)
    [photo] = Path("gt/images").iterdir()
    assert main(line.replace("PHOTO", str(photo)).split()) == 1
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    words = (
        "is an input",
        "is no name of a JSON file",
        "is there already",
        "which is read",
        "is written there too",
        "not empty",
        "is the ground truth of these images",
    )
    assert any(word in said for word in words), said
    assert contents(home) == before


def test_what_a_command_wrote_it_may_replace(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        "pq gt gt --json a.json --csv a.csv --html page",
        "data check gt --json b.json",
        "data show gt --out show",
        "affinity scenes photo.png --pixel 1 1 --out affinity.png",
    ]
    for line in lines * 2:
        assert main(line.split()) == 0, capsys.readouterr().err
    assert signed_by(home / "affinity.png") == "affinity"
    assert signed_by(home / "page" / "index.html") == "pq"
    assert main(["predict", "scenes", "affinity.png", "--out", "p"]) == 1
    assert "`unipan affinity` wrote this picture" in capsys.readouterr().err
    assert main(["pq", "gt", "gt", "--json", "mine.json", "--overwrite"]) == 0
    assert (home / "mine.json").read_text() != "mine"


def test_results_beside_the_images_are_no_photographs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without a ground truth may hold both: the same command again, and one that reads all of it."""
    (home / "D" / "images").mkdir(parents=True)
    (home / "photo.png").rename(home / "D" / "images" / "a.png")
    for line in ("D/images --out D", "D/images --out D", "D --out again"):
        assert main(["predict", "scenes", *line.split()]) == 0, capsys.readouterr().err
        assert "panoptic.json: 1 image\n" in capsys.readouterr().out
