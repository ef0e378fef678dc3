"""Other detections on an exported network's scene give what they give on torch's, without torch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.exported.test_segmenter import WITH_GRAPHS, both, drawn
from unipan.export.parity import differing_pixels, moved_boxes
from unipan.exported.graphs import files_beside
from unipan.exported.scene import ExportedScene
from unipan.exported.segmenter import ExportedSegmenter
from unipan.files import checkpoint_path
from unipan.numpy_fusion.psi import Found
from unipan.server.scenes import EditableScene


def parts(found: Found) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return found.boxes.copy(), found.scores.copy(), found.classes.copy()


@pytest.mark.parametrize("name", WITH_GRAPHS)
@pytest.mark.parametrize("size", [None, (201, 333)])
def test_moved_and_new_boxes_give_the_maps_of_torch(name: str, size: tuple[int, int] | None) -> None:
    image = drawn(size)
    scenes = [segmenter.scene(image) for segmenter in both(name)]
    boxes = moved_boxes(scenes[0])  # type: ignore[arg-type]
    one, other = (scene.edit(*boxes) for scene in scenes)
    assert len(other.detections) == len(scenes[1].detections) + 1 > 3
    np.testing.assert_allclose(other.potential, one.potential.numpy(), atol=1e-3)
    np.testing.assert_allclose(other.panoptic, one.panoptic.numpy(), atol=1e-3)
    for fusion in ("affinity", "potential", *(["heuristic"] if one.config.detection.masks else [])):
        mine, theirs = one.result(fusion), other.result(fusion)
        assert differing_pixels(mine, theirs) <= 0.001 * mine.ids.size
        assert differing_pixels(theirs, scenes[1].result(fusion)) > 0.001 * mine.ids.size  # the boxes did count


@pytest.mark.real_data
def test_photographs_are_edited_alike(shared_data: Path) -> None:
    photographs = [next(iter(sorted((shared_data / name).rglob("*.jpg")))) for name in ("coco20", "facades")]
    pixels = differing = 0
    for path in photographs:
        scenes = [segmenter.scene(path) for segmenter in both()]
        boxes = moved_boxes(scenes[0])  # type: ignore[arg-type]
        one, other = (scene.edit(*boxes).result() for scene in scenes)
        pixels += one.ids.size
        differing += differing_pixels(one, other)
    assert differing <= 0.001 * pixels


@pytest.fixture(scope="module")
def scene() -> ExportedScene:
    found = both()[1].scene(drawn((100, 200)))
    assert 2 < len(found.detections) < len(found.cues.found)
    return found


def test_the_same_detections_give_the_same_maps(scene: ExportedScene) -> None:
    edited = scene.edit(*parts(scene.detections))
    assert np.array_equal(edited.potential, scene.potential)
    assert np.array_equal(edited.panoptic, scene.panoptic)
    assert np.array_equal(edited.result("heuristic").ids, scene.result("heuristic").ids)
    assert len(edited.cues.found) == len(scene.cues.found)


def test_their_order_is_that_of_the_channels(scene: ExportedScene) -> None:
    edited, count = scene.edit(*(each[::-1] for each in parts(scene.detections))), len(scene.detections)
    np.testing.assert_allclose(edited.potential[:count], scene.potential[:count][::-1], atol=1e-6)
    assert np.array_equal(edited.potential[count:], scene.potential[count:])


def test_without_detections_there_is_stuff_alone_and_masks_are_made_again(scene: ExportedScene) -> None:
    empty = scene.edit(np.zeros((0, 4)), [], [])
    assert empty.potential.shape[0] == len(scene.categories.stuff)
    assert not any(segment.isthing for segment in empty.result())
    again = empty.edit(*parts(scene.detections))  # from `masks.onnx`, as `dense.onnx` made them
    np.testing.assert_allclose(again.potential, scene.potential, atol=1e-5)


def test_the_scene_that_was_edited_stays_as_it_was(scene: ExportedScene) -> None:
    before, boxes = scene.potential.copy(), scene.detections.boxes.copy()
    scene.edit([[-10, -10, 500, 20]], [1.0], [0])
    assert np.array_equal(scene.potential, before)
    assert np.array_equal(scene.detections.boxes, boxes)
    cut = scene.edit([[-10, -10, 500, 20]], [1.0], [0]).detections.boxes
    np.testing.assert_allclose(cut, [[0, 0, 200, 20]], atol=1e-4)


def test_the_levels_are_found_once_and_only_for_masks() -> None:
    for name, needed in (("scenes", True), ("scenes_mask_free", False)):
        segmenter = ExportedSegmenter.load(name, threads=1)
        found = segmenter.scene(drawn())
        assert isinstance(found, EditableScene)  # `unipan.server` can show it
        assert "masks" not in vars(segmenter.graphs)  # the graph is not even opened before
        before = found.nbytes
        found.prepare()
        assert (found.nbytes > before) == needed
        levels = vars(found).get("features")
        found.edit([[1, 2, 30, 40]], [1.0], [0]).result()
        assert vars(found).get("features") is levels


def test_what_is_no_detection_is_refused(scene: ExportedScene) -> None:
    for boxes, scores, classes, said in (
        ([[5, 5, 5, 9]], [1], [0], "box 0 has no area inside the image, which is 200 x 100"),
        ([[1, 1, 9, 9]], [1.5], [0], r"score of box 0 is 1\.5"),
        ([[1, 1, 9, 9]], [1], [4], "class of box 0 is 4; the 4 things count from 0"),
        ([[1, 1, 9, 9]], [1, 1], [0], "1 boxes, 2 scores and 1 classes"),
        ([[1, 1, 9]], [1], [0], "boxes must be rows of four"),
    ):
        with pytest.raises(ValueError, match=said):
            scene.edit(boxes, scores, classes)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    path = checkpoint_path("scenes")
    for file in (path, *files_beside(path, masks=True)):
        shutil.copyfile(file, tmp_path / file.name)
    return tmp_path / path.name


def test_an_export_of_an_earlier_version_opens_and_edits_what_needs_no_mask(copied: Path) -> None:
    model, *_, masks = files_beside(copied, masks=True)
    told = json.loads(model.read_text())
    model.write_text(json.dumps({key: value for key, value in told.items() if key not in ("masks", "mask_weights")}))
    masks.unlink()
    found = ExportedSegmenter.load(copied, threads=1).scene(drawn())
    fewer = found.edit(*(each[1:] for each in parts(found.detections)))
    assert len(fewer.result().segments) > 0
    with pytest.raises(ValueError, match=r"masks.*unipan export .* --beside"):
        found.edit([[1, 2, 30, 40]], [1.0], [0])


def test_a_graph_of_masks_that_was_lost_is_named(copied: Path) -> None:
    files_beside(copied, masks=True)[3].unlink()
    with pytest.raises(FileNotFoundError, match=r"scenes\.masks\.onnx is missing"):
        ExportedSegmenter.load(copied)
