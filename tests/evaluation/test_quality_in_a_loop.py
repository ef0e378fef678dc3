"""PQ inside a training loop: the figures of `unipan pq`, to the last bit, however the images come."""

import json
import pickle
import subprocess
import sys
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest
import torch

import unipan
from tests.evaluation.cases import CLASSES, random_pair
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import CocoPanoptic, PanopticWriter
from unipan.evaluation.bootstrap import bootstrap_pq
from unipan.panoptic.maps import PanopticMap

COUNT = 9


def rows(panoptic: PanopticMap) -> list[dict[str, object]]:
    return [segment.to_coco() for segment in panoptic]


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What `unipan pq --json` writes for the same images."""
    folder = tmp_path_factory.mktemp("pq")
    for side, position in (("truth", 0), ("prediction", 1)):
        with PanopticWriter(folder / side, CLASSES) as writer:
            for number in range(COUNT):
                writer.add(f"{number}.jpg", number, random_pair(number)[position])
    assert main(["pq", str(folder / "truth"), str(folder / "prediction"), "--json", str(folder / "s.json")]) == 0
    found: dict[str, object] = json.loads((folder / "s.json").read_text())
    return found


@pytest.mark.parametrize("tensors", [False, True], ids=["arrays", "tensors"])
def test_arrays_and_tensors_give_what_the_command_gives(tensors: bool, official: dict[str, object]) -> None:
    metric = unipan.PanopticQuality(CLASSES)
    for number in reversed(range(COUNT)):
        truth, prediction = random_pair(number)
        given = [torch.from_numpy(each.ids.astype(np.int64)) if tensors else each.ids for each in (truth, prediction)]
        metric.update((given[0], rows(truth)), (given[1], rows(prediction)))
    assert json.loads(json.dumps(metric.to_json())) == official


def test_parts_of_several_ranks_give_the_same_bits_in_any_order(official: dict[str, object]) -> None:
    parts = []
    for rank in range(4):
        part = unipan.PanopticQuality(unipan.Categories.from_coco(CLASSES.to_coco()))  # as a JSON lists them
        for number in range(rank, COUNT, 4):
            part.update(*random_pair(number))
        parts.append(pickle.loads(pickle.dumps(part)))
    for order in (parts, parts[::-1]):
        merged = reduce(add, order)
        assert len(merged) == COUNT
        assert json.loads(json.dumps(merged.to_json())) == official
    assert [len(part) for part in parts] == [3, 2, 2, 2]  # merging changes none of them
    merged.update(*random_pair(77))
    merged.update(*random_pair(78))
    assert len(merged) == COUNT + 2


def test_images_without_a_name_are_numbered_and_named_ones_still_count_once() -> None:
    metric = unipan.PanopticQuality(CLASSES)
    metric.update(*random_pair(1))
    metric.update(*random_pair(2), "a.png")
    metric.update(*random_pair(3))
    assert metric.names == ["#000000001", "#000000003", "a.png"]
    with pytest.raises(ValueError, match=r"a\.png: this image was counted already"):
        metric.update(*random_pair(2), "a.png")
    with pytest.raises(ValueError, match=r"a\.png: this image was counted in both parts"):
        metric + metric
    assert bootstrap_pq(metric)["All"] is not None


def test_reset_starts_anew() -> None:
    metric = unipan.PanopticQuality(CLASSES)
    metric.update(*random_pair(1))
    first = metric.compute()
    metric.reset()
    assert len(metric) == 0
    metric.update(*random_pair(2))
    second = metric.compute()
    assert second != first
    metric.reset()
    metric.update(*random_pair(1))
    assert metric.compute() == first


def test_one_process_gathers_itself() -> None:
    metric = unipan.PanopticQuality(CLASSES)
    assert metric.gather() is metric


def _rank(rank: int, world: int, store: str, out: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    metric = unipan.PanopticQuality(CLASSES)
    for number in range(rank, COUNT, world):
        metric.update(*random_pair(number))
    Path(out, f"{rank}.json").write_text(json.dumps(metric.gather().to_json()))
    torch.distributed.destroy_process_group()


def test_two_processes_gather_all_images(tmp_path: Path, official: dict[str, object]) -> None:
    torch.multiprocessing.spawn(_rank, (2, str(tmp_path / "store"), str(tmp_path)), nprocs=2)
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == official


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["coco20", "nuclei/val"])
def test_photographs(name: str, shared_data: Path, tmp_path: Path) -> None:
    """With crowds and void, against the command on the same files."""
    data = CocoPanoptic(shared_data / name)
    metric = unipan.PanopticQuality(data.categories)
    with PanopticWriter(tmp_path / "moved", data.categories) as writer:
        for index in range(min(len(data), 20)):
            truth = data.truth(index)
            moved = np.roll(truth.ids, 2, axis=0)
            kept = [segment for segment in truth if not segment.iscrowd]
            ids = np.where(np.isin(moved, [segment.id for segment in kept]), moved, 0)
            prediction = (ids, {segment.id: segment.category.id for segment in kept})
            metric.update((truth.ids, rows(truth)), prediction, data.names[index])
            writer.add(data.names[index], data.image_ids[index], PanopticMap(ids.astype(np.int32), tuple(kept)))
    moved_json, truth_json = tmp_path / "moved" / "panoptic.json", tmp_path / "truth.json"
    content = json.loads((shared_data / name / "panoptic.json").read_text())
    counted = {row["image_id"] for row in json.loads(moved_json.read_text())["annotations"]}
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] in counted]
    content["images"] = [row for row in content["images"] if row["id"] in counted]
    truth_json.write_text(json.dumps(content))
    folder = ["--gt-folder", str(shared_data / name / "panoptic"), "--json", str(tmp_path / "s.json")]
    assert main(["pq", str(truth_json), str(moved_json), *folder]) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    assert json.loads(json.dumps(metric.to_json()))["strict"] == found["strict"]


def test_rows_of_categories_are_told_how_to_become_categories() -> None:
    """In a process of its own: here types are checked before anything runs."""
    code = "import unipan; unipan.PanopticQuality([{'id': 7, 'name': 'car', 'isthing': 1}])"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "TypeError: PanopticQuality: list instead of Categories; unipan.Categories.from_coco" in done.stderr
