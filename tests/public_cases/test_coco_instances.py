"""COCO instances as annotation tools write them, from public trouble reports."""

from pathlib import Path

import pytest

from tests.public_cases.tools import Make, Say, areas, converted, kinds, steps, void
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.sources import open_training, require_data

pytestmark = pytest.mark.real_data

PIXELS = 48 * 64


def test_cvat_rle_crowds(case: Make, unipan: Say, tmp_path: Path) -> None:
    file = case("cvat_rle_crowds") / "instances_default.json"
    _, said = converted(unipan, f"coco-instances:{file}", tmp_path / "crowds")
    assert "every segment of car, person is a crowd" in said
    assert "--crowds things" in said
    assert "no thing is left" in said
    options = ("--crowds", "things", "--background", "background")
    data, said = converted(unipan, f"coco-instances:{file}", tmp_path / "out", *options)
    assert "crowds 0" in said
    for index in range(2):
        found = [("background", PIXELS - 3 * 384), ("car", 384), ("car", 384), ("person", 384)]
        assert areas(data.truth(index)) == found
    assert "--crowds things" in unipan("data", "check", file)[1]  # the command that it names


def test_no_background(case: Make, unipan: Say, tmp_path: Path) -> None:
    """Two commands lead from the export to a trained network, and each refusal on the way names the first."""
    folder = case("no_background") / "train"
    convert = f"unipan data convert coco-instances:{folder}/_annotations.coco.json"
    assert "--background background" in unipan("data", "check", folder)[1]
    status, said = steps(unipan, folder, tmp_path / "no")
    assert (status, f"{convert} OUT --background background" in said) == (1, True), said
    with pytest.raises(FileNotFoundError, match=r"unipan data convert coco-instances:.* --background background"):
        require_data(str(folder))
    data, said = converted(unipan, f"coco-instances:{folder}", tmp_path / "out", "--background", "background")
    assert "left out: classes that are only the heading of the others (Roboflow's project): 1 (fish-project" in said
    assert [each.name for each in data.categories] == ["pike", "carp", "background"]
    for index in range(12):
        assert areas(data.truth(index)) == [("background", 96 * 128 - 2400), ("carp", 1200), ("pike", 1200)]
    assert len(open_training(str(tmp_path / "out"), None)[0]) == 10
    status, said = steps(unipan, tmp_path / "out", tmp_path / "run")
    assert (status, "2.0 things an image" in said) == (0, True), said


def test_label_studio_coco(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("label_studio_coco")
    for name in ("result", "windows"):
        source = f"coco-instances:{folder / name}.json"
        options = ("--images", folder / "images", "--as-stuff", "road")
        data, said = converted(unipan, source, tmp_path / name, *options)
        assert ("left out: boxes without a mask" in said) == (name == "result")  # a rectangle
        assert ("1 (annotation 2 of" in said) == (name == "result")
        assert areas(data.truth(0)) == [("car", 320), ("road", 64 * 18 - 200)]  # the car is in front
        assert len(data.truth(1)) == 0
        assert [round(data[index].image.mean()) for index in range(2)] == [60, 110]  # each its own photograph
        assert data.file_names == ["0a1b-a.jpg", "0a1b-b.jpg"]


def test_label_studio_coco_by_its_options(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("label_studio_coco")
    source, images = f"coco-instances:{folder / 'result.json'}", ("--images", folder / "images")
    status, said = unipan("data", "convert", source, tmp_path / "no", *images)
    assert (status, "annotation 1 (car) shares 200 pixels with a road" in said) == (1, True)
    for rule in ("last", "small"):
        data, _ = converted(unipan, source, tmp_path / rule, *images, "--overlap", rule, "--boxes", "paint")
        cars_and_road = dict(areas(data.truth(0)))
        assert (cars_and_road["car"], cars_and_road["road"]) == (320, 64 * 18 - 200)
        [sign] = [each for each in data.truth(0) if each.category.name == "sign"]
        assert sign.area == sign.bbox[2] * sign.bbox[3]
        assert sign.bbox[:2] == (32, 5)


@pytest.mark.parametrize(
    ("name", "cars", "left_out"),
    [
        ("flat", [100, 676], []),
        ("point", [100, 676], ["polygons of fewer than three corners"]),
        ("pointonly", [100], ["polygons of fewer than three corners", "boxes without a mask"]),
        ("empty", [100], ["boxes without a mask"]),
        ("bbox_only", [100], ["boxes without a mask"]),
        ("outside", [24 * 28], []),
    ],
)
def test_odd_polygons(name: str, cars: list[int], left_out: list[str], case: Make, unipan: Say, tmp_path: Path) -> None:
    file, out = case("odd_polygons") / f"{name}.json", tmp_path / name
    status, said = unipan("data", "convert", f"coco-instances:{file}", out)
    assert status == 0, said
    assert said.count("left out") == len(left_out)
    for what in left_out:
        told = said[said.index(f"left out: {what}") :]
        assert f": 1 (annotation 7 of {file}: image 1)" in told
    truth = CocoPanoptic.of(out / "panoptic.json", None, out / "panoptic").truth(0)
    assert sorted(each.area for each in truth) == cars
    assert kinds(truth) == {("car", False): len(cars)}
    assert void(truth) == PIXELS - sum(cars)
