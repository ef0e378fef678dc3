"""What other tools really export for one of our pictures, read by unipan; each in an environment of its own."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unipan.datasets.doctor.diagnose import diagnose, write_repaired
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.formats.format import FormatOptions, PanopticDataset
from unipan.datasets.formats.registry import open_dataset, suggested_command
from unipan.panoptic.maps import PanopticMap

Run = Callable[..., Path]

THINGS = {("car", 121, False): 2, ("person", 187, False): 1}
STREET = {("road", 64 * 18, False): 1, **THINGS}


@pytest.fixture
def run(python_of: Callable[[str], str], tmp_path: Path) -> Run:
    """Runs a script of this folder with a tool's Python and returns the folder that it wrote."""

    def export(tool: str, script: str, *arguments: Path) -> Path:
        out = tmp_path / "export"
        command = [python_of(tool), str(Path(__file__).with_name(script)), *map(str, arguments), str(out)]
        out.mkdir()
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        return out

    return export


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A road, two cars and a person, apart from each other."""
    masks = {name: np.zeros((48, 64), bool) for name in ("road", "car1", "car2", "person")}
    masks["road"][30:] = masks["car1"][4:15, 4:15] = masks["car2"][4:15, 20:31] = masks["person"][4:21, 40:51] = True
    np.savez(tmp_path / "scene.npz", photo=np.full((48, 64, 3), 90, np.uint8), **masks)  # type: ignore[arg-type]
    return tmp_path / "scene.npz"


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    names = [("road", 0), ("car", 1), ("person", 1)]
    rows = [{"id": number, "name": name, "isthing": isthing} for number, (name, isthing) in enumerate(names, 1)]
    (tmp_path / "classes.json").write_text(json.dumps(rows))
    return tmp_path / "classes.json"


def kinds(truth: PanopticMap) -> Counter[tuple[str, int, bool]]:
    """(class, area, crowd) -> number of segments."""
    return Counter((each.category.name, each.area, each.iscrowd) for each in truth)


def opened(source: object, **options: object) -> PanopticDataset:
    data = open_dataset(str(source), FormatOptions(**options))  # type: ignore[arg-type]
    data.image_path(0)
    return data


def test_datumaro(run: Run, scene: Path, classes: Path) -> None:
    out = run("datumaro", "datumaro_sets.py", scene)
    panoptic, photos = out / "coco_panoptic/annotations/panoptic_train.json", out / "coco_panoptic/images/train"
    found = diagnose(panoptic, photos)
    assert found.counts == {"stuff-several": 1}  # isthing is 0 for all
    assert f"unipan data convert {panoptic} OUT --images {photos} --as-things car" in found.findings[0].text
    assert kinds(opened(panoptic, images=photos, as_things=("car", "person")).truth(0)) == STREET
    instances, photos = out / "coco_instances/annotations/instances_train.json", out / "coco_instances/images/train"
    assert "--crowds things" in str(suggested_command(instances))  # run-length masks, iscrowd 1 throughout
    things = FormatOptions(images=photos, as_stuff=("road",), crowds="things")
    assert kinds(open_dataset(f"coco-instances:{instances}", things).truth(0)) == STREET
    assert kinds(opened(f"voc:{out / 'voc'}", as_stuff=("road",)).truth(0)) == STREET
    with pytest.raises(ValueError, match=r"label_colors\.txt: "):
        opened(out / "cityscapes", split="train")
    # Version 1.13 writes no instances in this format, so that groups are all that can be read.
    grouped = kinds(opened(out / "cityscapes", split="train", classes=classes).truth(0))
    assert {name for name, _, _ in grouped} == {"road", "car", "person"}
    assert all(crowd == (name != "road") for name, _, crowd in grouped)


def test_labelbox(run: Run, scene: Path, tmp_path: Path) -> None:
    out = run("labelbox", "labelbox_panoptic.py", scene)
    found = diagnose(out)
    assert found.counts["segment-twice"] == 1
    assert "for road, car, person" in next(str(each) for each in found.findings if each.kind == "segment-twice")
    write_repaired(found, tmp_path / "repaired")
    assert kinds(CocoPanoptic(tmp_path / "repaired").truth(0)) == STREET


def test_label_studio(run: Run, scene: Path) -> None:
    out = run("label-studio-sdk", "label_studio_sets.py", scene)
    for source in ("coco-instances:coco/result.json", "yolo:yolo", "label-studio:tasks.json"):
        name, path = source.split(":")
        data = opened(f"{name}:{out / path}", images=out / "images", as_stuff=("road",))
        assert kinds(data.truth(0)) == STREET, source
    assert "coco-instances:" in str(suggested_command(out / "coco/result.json"))


def test_segments_ai(run: Run, scene: Path) -> None:
    out = run("segments-ai", "segments_sets.py", scene)
    (panoptic,), (instances,) = (out.glob(f"coco-{kind}/*.json") for kind in ("panoptic", "instance"))
    photos = out / "cache/me_street/v1"  # and the PNGs
    assert any("--panoptic DIR" in remark for remark in diagnose(panoptic).remarks)
    assert kinds(opened(panoptic, images=photos, panoptic=photos).truth(0)) == STREET
    assert kinds(opened(f"coco-instances:{instances}", images=photos, as_stuff=("road",)).truth(0)) == STREET


def test_transformers(run: Run, tmp_path: Path) -> None:
    out = run("transformers", "transformers_fused.py")
    listed = json.loads((out / "a.json").read_text())["segments_info"]
    assert sum(each["was_fused"] for each in listed) == 2  # one road, listed for both queries
    rows = [{"id": 5, "name": "car", "isthing": 1}, {"id": 3, "name": "road", "isthing": 0}]
    (out / "classes.json").write_text(json.dumps(rows))
    data = open_dataset(f"huggingface:{out}", FormatOptions(contiguous=True))
    assert Counter(each.category.name for each in data.truth(0)) == {"road": 1, "car": 2}
    assert len(data.truth(1)) == 0
