"""Other detections on the same pass: what is unchanged stays to the bit, what is new is what the network would say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.test_inference import segmenter_of, tiny
from unipan.fusion.edits import CERTAIN
from unipan.presets import scenes, scenes_mask_free
from unipan.scene import Scene
from unipan.structures import Detections


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (70, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def scene(image: np.ndarray) -> Scene:
    """Of an input of another size than the image, with candidates below the threshold of Psi."""
    config = tiny(scenes())
    config = replace(config, data=replace(config.data, short_side=128, max_side=1000))
    segmenter = segmenter_of(config)
    scores = segmenter.scene(image).detections.scores
    segmenter.network.score_threshold = float(scores.sort().values[len(scores) // 2])
    made = segmenter.scene(image)
    assert 0 < len(made.detections) < len(made.output.candidates[0])
    return made


def parts(found: Detections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return found.boxes.numpy().copy(), found.scores.numpy().copy(), found.classes.numpy().copy()


def test_the_same_detections_give_the_same_maps(scene: Scene) -> None:
    edited = scene.edit(*parts(scene.detections))
    assert torch.equal(edited.potential, scene.potential)
    assert torch.equal(edited.panoptic, scene.panoptic)
    for fusion in ("affinity", "potential", "heuristic"):
        assert np.array_equal(edited.result(fusion).ids, scene.result(fusion).ids)
    assert len(edited.output.candidates[0]) == len(scene.output.candidates[0])


def test_their_order_is_that_of_the_channels(scene: Scene) -> None:
    boxes, scores, classes = (each[::-1] for each in parts(scene.detections))
    edited, count = scene.edit(boxes, scores, classes), len(boxes)
    torch.testing.assert_close(edited.potential[:count], scene.potential[:count].flip(0))
    assert torch.equal(edited.potential[count:], scene.potential[count:])


def test_without_detections_there_is_stuff_alone(scene: Scene) -> None:
    empty = scene.edit(np.zeros((0, 4)), [], [])
    assert empty.potential.shape[0] == len(scene.categories.stuff)
    assert not any(segment.isthing for segment in empty.result())
    again = empty.edit(*parts(scene.detections))  # their masks are gone, and come from the mask head again
    torch.testing.assert_close(again.potential, scene.potential, atol=1e-5, rtol=1e-4)


def test_a_score_scales_its_channel_alone(scene: Scene) -> None:
    boxes, scores, classes = parts(scene.detections)
    scores[0] /= 2
    edited = scene.edit(boxes, scores, classes)
    torch.testing.assert_close(edited.potential[0], scene.potential[0] / 2)  # s V M, variant B
    assert torch.equal(edited.potential[1:], scene.potential[1:])
    assert not torch.equal(edited.panoptic[0], scene.panoptic[0])


def test_a_moved_box_has_the_mask_that_the_mask_head_makes_there(scene: Scene) -> None:
    boxes, scores, classes = parts(scene.detections)
    boxes[0] = [3, 5, 60, 50]
    edited = scene.edit(boxes, scores, classes)
    assert scene.network is not None
    placed = scene.geometry.to_input(torch.tensor(boxes[:1]))
    with torch.no_grad():
        [mask] = scene.network.detection.masks(scene.features, [placed], [torch.tensor(classes[:1])])
        given = Detections(placed, torch.tensor(scores[:1]), torch.tensor(classes[:1]), mask)
        wanted = scene.network.potential(scene.semantic, given)
    assert torch.equal(edited.potential[0], wanted[0])
    assert torch.equal(edited.potential[1:], scene.potential[1:])


def test_another_class_gets_another_mask(scene: Scene) -> None:
    boxes, scores, classes = parts(scene.detections)
    classes[0] = (classes[0] + 1) % len(scene.categories.things)
    edited = scene.edit(boxes, scores, classes)
    old, new = scene.network_detections.masks, edited.network_detections.masks
    assert old is not None
    assert new is not None
    assert not torch.equal(old[0], new[0])
    assert torch.equal(old[1:], new[1:])


def test_the_backbone_runs_at_most_once_more_and_only_for_masks(image: np.ndarray) -> None:
    runs = []
    for config in (scenes(), scenes_mask_free()):
        segmenter = segmenter_of(tiny(config))
        made = segmenter.scene(image)
        before = made.nbytes
        calls: list[int] = []
        segmenter.network.backbone.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        made.edit([[1, 2, 30, 40]], [1.0], [0])
        made.edit([[1, 2, 31, 40], [5, 5, 9, 9]], [1.0, 0.3], [0, 1]).result()
        made.prepare()
        runs.append(len(calls))
        assert (made.nbytes > before) == bool(calls)
    assert runs == [1, 0]


def test_a_detector_without_masks_of_any_box_gets_the_whole_box(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scene.network is not None
    monkeypatch.setattr(scene.network.detection, "masks", lambda *_: [None])
    masks = scene.edit([[1, 2, 30, 40]], [1.0], [0]).network_detections.masks
    assert masks is not None
    assert bool((masks == CERTAIN).all())


def test_boxes_are_cut_at_the_image(scene: Scene) -> None:
    edited = scene.edit([[-10, -10, 500, 20]], [1.0], [0])
    torch.testing.assert_close(edited.detections.boxes, torch.tensor([[0.0, 0.0, 90.0, 20.0]]))


@pytest.mark.parametrize(
    ("boxes", "scores", "classes", "said"),
    [
        ([[5, 5, 5, 9]], [1], [0], r"box 0 has no area inside the image, which is 90 x 70"),
        ([[1, 1, 9, 9], [100, 5, 120, 9]], [1, 1], [0, 0], "box 1 has no area"),
        ([[1, 1, float("nan"), 9]], [1], [0], "box 0 has no area"),
        ([[1, 1, 9, 9]], [1.5], [0], r"score of box 0 is 1\.5"),
        ([[1, 1, 9, 9]], [float("nan")], [0], "score of box 0 is nan"),
        ([[1, 1, 9, 9]], [1], [4], "class of box 0 is 4; the 4 things count from 0"),
        ([[1, 1, 9, 9]], [1], [-1], "class of box 0 is -1"),
        ([[1, 1, 9, 9]], [1, 1], [0], "1 boxes, 2 scores and 1 classes"),
    ],
)
def test_what_is_no_detection_is_refused(
    scene: Scene, boxes: list[list[float]], scores: list[float], classes: list[int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        scene.edit(boxes, scores, classes)


def test_a_scene_without_its_network_says_so(scene: Scene) -> None:
    with pytest.raises(ValueError, match=r"make it by Segmenter\.scene"):
        replace(scene, network=None).edit([], [], [])


def test_what_is_not_a_number_is_told_in_our_words(scene: Scene) -> None:
    boxes, scores, classes = parts(scene.detections)
    with pytest.raises(ValueError, match="edit: boxes must be rows of four"):
        scene.edit(np.zeros((6, 3))[:1], [0.5], [0])
    with pytest.raises(ValueError, match="edit: classes must be"):
        scene.edit(boxes[:1], scores[:1], ["car"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="whole numbers"):
        scene.edit(boxes[:1], scores[:1], classes[:1] + 0.5)
