"""`unipan.fuse`: cases made by hand, what it does with nothing, and one sentence for every mistake."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import unipan
from tests.any_detector.cases import S, T, drawn_input
from unipan.panoptic.categories import Categories, Category, distinct_color

ARRAYS, TENSORS = np.asarray, torch.as_tensor


def street() -> dict[str, Any]:
    """Two overlapping squares of class 0 on the left stuff; the right half is the other stuff."""
    v = np.zeros((4, 20, 40), np.float32)
    v[2, :, :20], v[3, :, 20:] = 4, 4
    v[0, 4:16, 2:18] = 8
    boxes = np.array([[2, 4, 12, 16], [8, 4, 18, 16]], np.float32)
    masks = np.full((2, 28, 28), 5, np.float32)
    masks[1, :, :10] = -5  # it says that it does not reach the other one
    return {"semantic": v, "boxes": boxes, "scores": np.array([0.7, 0.9]), "classes": np.array([0, 0]), "masks": masks}


@pytest.mark.parametrize("kind", [ARRAYS, TENSORS])
def test_masks_decide_where_boxes_overlap(kind: Any) -> None:
    given = {name: kind(value) for name, value in street().items()}
    result = unipan.fuse(**given, categories=2)
    names = [segment.category.name for segment in result]
    assert names == ["thing 0", "thing 0", "stuff 0", "stuff 1"]
    assert result.ids[10, 9] == 1
    assert result.ids[10, 14] == 2
    assert [segment.score for segment in result][:2] == pytest.approx([0.7, 0.9])
    assert result.ids.shape == (20, 40)
    without = unipan.fuse(**{**given, "masks": None}, categories=2)
    assert without.ids[10, 9] == 2  # now the more confident box takes what both cover


@pytest.mark.parametrize("kind", [ARRAYS, TENSORS])
def test_queries_give_an_object_what_its_box_missed(kind: Any) -> None:
    given = {name: kind(value) for name, value in street().items()}
    given = {name: value[1:] if name in ("boxes", "scores", "classes") else value for name, value in given.items()}
    given |= {"masks": None, "categories": 2}
    given["boxes"] = kind(np.array([[8, 4, 14, 16]], np.float32))
    queries = np.zeros((2, 20, 40), np.float32)
    queries[0], queries[1] = -1, 0
    queries[:, 4:16, 8:18] = np.array([0, 3])[:, None, None]
    alone = unipan.fuse(**given, fusion="potential")
    told = unipan.fuse(**given, queries=kind(queries))
    assert alone.ids[10, 16] != alone.ids[10, 9]
    assert told.ids[10, 16] == told.ids[10, 9] == 1


def test_a_coarser_grid_and_an_image(tmp_path: Any) -> None:
    given = street()
    given["boxes"] = given["boxes"] * 3
    image = np.full((60, 120, 3), 90, np.uint8)
    result = unipan.fuse(**given, categories=2, size=(60, 120), image=image, name="street.png")
    assert result.ids.shape == (60, 120)
    assert result.image is not None
    assert "street.png" in repr(result)
    result.save(tmp_path / "overlay.png")
    assert (tmp_path / "overlay.png").stat().st_size > 0
    assert len(result.to_coco()["segments_info"]) == len(result)
    white = unipan.fuse(**given, categories=2, size=(60, 120))
    assert (white.image == 255).all()


def test_whole_masks_are_told_by_their_shape() -> None:
    given = street()
    whole = np.full((2, 20, 40), -5.0)
    whole[0, 4:16, 2:12], whole[1, 4:16, 12:18] = 5, 5
    result = unipan.fuse(**{**given, "masks": whole}, categories=2)
    np.testing.assert_array_equal(result.ids[4:16, 2:12], 1)
    np.testing.assert_array_equal(result.ids[4:16, 12:18], 2)
    certain = unipan.fuse(**{**given, "masks": whole > 0}, categories=2)
    np.testing.assert_array_equal(certain.ids, result.ids)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_masks_of_whole_numbers_are_masks(kind: Any) -> None:
    """0 is outside, not a logit of one half."""
    mask = np.zeros((1, 12, 16), bool)
    mask[0, 2:6, 2:8] = True
    semantic = np.stack([np.ones((12, 16), np.float32), np.zeros((12, 16), np.float32)])
    given = {"semantic": semantic, "boxes": np.array([[0, 0, 14, 12]], np.float32)}
    given |= {"scores": np.array([0.9], np.float32), "classes": np.array([0])}
    for masks in (mask, mask.astype(np.uint8), mask.astype(np.int64), mask.astype(np.uint8) * np.uint8(255)):
        found = unipan.fuse(**{name: kind(each) for name, each in given.items()}, masks=kind(masks), categories=1)
        thing = next(segment for segment in found if segment.category.isthing)
        assert ((found.ids == thing.id) == mask[0]).all()


def test_things_are_counted_or_said_or_named() -> None:
    v, found = drawn_input(0, 4, "none")
    arrays = (v, found.boxes, found.scores, np.array([0, 1, 0, 1]))
    guessed = {segment.category.name for segment in unipan.fuse(*arrays)}
    assert "stuff 2" in guessed  # channel 2 is taken for stuff, since no detection has that class
    assert {segment.category.name for segment in unipan.fuse(*arrays, categories=T)} <= {
        *(f"thing {number}" for number in range(T)), *(f"stuff {number}" for number in range(S))
    }  # fmt: skip
    named = Categories(tuple(Category(k, name, k < 3, distinct_color(k)) for k, name in enumerate("abcde")))
    assert {segment.category.name for segment in unipan.fuse(*arrays, categories=named)} <= set("abcde")


@pytest.mark.parametrize("kind", [ARRAYS, TENSORS])
@pytest.mark.parametrize("fusion", ["potential", "affinity", "heuristic"])
def test_no_detections_and_no_things(kind: Any, fusion: str) -> None:
    v = drawn_input(0, 0, "none")[0]
    queries = kind(np.ones((2, 4, 4), np.float32)) if fusion == "affinity" else None
    for things in (0, T):
        result = unipan.fuse(kind(v), [], [], [], queries=queries, categories=things, fusion=fusion)  # type: ignore[arg-type]
        assert {segment.isthing for segment in result} == {False}
        if things == 0 and fusion == "potential":
            np.testing.assert_array_equal(result.ids, 1 + np.unique(v.argmax(0), return_inverse=True)[1])


@pytest.mark.parametrize("kind", [ARRAYS, TENSORS])
def test_no_stuff_and_nothing_sure(kind: Any) -> None:
    v = kind(np.zeros((2, 6, 8), np.float32))
    result = unipan.fuse(v, [[1, 1, 4, 4]], [0.1], [1], categories=2)
    assert len(result) == 0
    assert (result.ids == 0).all()


GOOD = (np.zeros((3, 8, 8)), [[1, 1, 4, 4], [2, 2, 6, 6]], [0.9, 0.8], [0, 1])
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"semantic": np.zeros((8, 8))}, "semantic"),
    ({"semantic": np.zeros((0, 8, 8))}, "semantic"),
    ({"semantic": np.full((3, 8, 8), np.nan)}, "semantic is nan"),
    ({"semantic": np.array([["a"]])}, "semantic"),
    ({"boxes": [[1, 1, 4], [2, 2, 6]]}, "boxes"),
    ({"boxes": [[1, 1, 4, np.inf], [2, 2, 6, 6]]}, "boxes"),
    ({"boxes": [[1, 1, 4, 4], [6, 2, 6, 6]]}, "box 1 is empty"),
    ({"boxes": [[0.1, 0.1, 0.5, 0.5], [0, 0, 1, 1]]}, "all boxes lie within 0..1, so they are relative"),
    ({"masks": np.full((2, 3, 3), 7, np.uint8)}, "masks are whole numbers between 7 and 7"),
    ({"boxes": [[1, 1, 4, 4], [8, 2, 9, 6]]}, "box 1 lies outside"),
    ({"boxes": [[1, -4, 4, 0], [2, 2, 6, 6]]}, "box 0 lies outside"),
    ({"scores": [0.9]}, "1 scores for 2 boxes"),
    ({"scores": [0.9, 1.5]}, "score 1 is 1.5"),
    ({"classes": [0, 1, 1]}, "3 classes for 2 boxes"),
    ({"classes": [0, -1]}, "detection 1 is of class -1"),
    ({"classes": [0, 2], "categories": 2}, "detection 1 is of class 2"),
    ({"classes": [0, 9]}, "10 thing classes for 3 channels"),
    ({"classes": [0.0, 1.0]}, "classes"),
    ({"categories": 0}, "detection 0 is of class 0"),
    ({"categories": 4}, "4 thing classes"),
    ({"masks": np.ones((1, 28, 28))}, "masks"),
    ({"masks": np.ones((2, 28))}, "masks"),
    ({"masks": np.linspace(0, 1, 2 * 28 * 28).reshape(2, 28, 28)}, "probabilities"),
    ({"queries": np.zeros((8, 8))}, "queries"),
    ({"queries": np.zeros((0, 8, 8))}, "queries"),
    ({"fusion": "affinity"}, "needs queries"),
    ({"fusion": "heuristic"}, "needs masks"),
    ({"fusion": "best"}, "best"),
    ({"variant": "D"}, "variant 'D'"),
    ({"size": (0, 8)}, "size"),
    ({"image": np.zeros((4, 4, 3), np.uint8)}, "4 x 4"),
]


@pytest.mark.parametrize("kind", [ARRAYS, TENSORS])
@pytest.mark.parametrize(("change", "said"), WRONG, ids=lambda value: value if isinstance(value, str) else None)
def test_a_mistake_is_one_sentence(kind: Any, change: dict[str, Any], said: str) -> None:
    given = dict(zip(("semantic", "boxes", "scores", "classes"), GOOD, strict=True)) | change
    if kind is TENSORS and np.asarray(given["semantic"]).dtype.kind == "f":
        given["semantic"] = torch.as_tensor(given["semantic"])
    with pytest.raises(ValueError, match=said) as caught:
        unipan.fuse(**given)
    assert "\n" not in str(caught.value)


def test_upsnet_needs_things() -> None:
    with pytest.raises(ValueError, match="upsnet needs thing classes"):
        unipan.fuse(np.zeros((3, 8, 8)), [], [], [], categories=0, fusion="upsnet")


def test_half_precision_and_gradients_are_no_obstacle() -> None:
    given = {name: torch.as_tensor(value) for name, value in street().items()}
    given["semantic"] = given["semantic"].bfloat16().requires_grad_()
    assert len(unipan.fuse(**given, categories=2)) == 4


def test_arrays_are_fused_without_torch() -> None:
    """In an interpreter where torch cannot be imported at all."""
    code = """
import sys
sys.modules["torch"] = None
import numpy as np
import unipan
rng = np.random.default_rng(0)
boxes, masks = [[2, 3, 20, 20], [10, 5, 30, 22]], rng.normal(size=(2, 28, 28))
for fusion in ("potential", "affinity", "heuristic", "upsnet"):
    result = unipan.fuse(rng.normal(size=(5, 24, 32)), boxes, [0.9, 0.8], [0, 2], masks, rng.normal(size=(3, 6, 8)),
                         fusion=fusion)
    print(fusion, result.ids.shape, len(result) > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.count("(24, 32) True") == 4


def test_the_image_may_be_a_path(tmp_path: Path) -> None:
    picture = np.full((20, 40, 3), 77, np.uint8)
    Image.fromarray(picture).save(tmp_path / "street.png")
    for path in (tmp_path / "street.png", str(tmp_path / "street.png")):
        result = unipan.fuse(**street(), categories=2, image=path, name="street")
        assert (result.image == picture).all()
        assert result.name == "street"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": (5,)}, "fuse: size is"),
        ({"size": (10**9, 10**9)}, "fuse: size is"),
        ({"categories": 1.5}, "fuse: categories are of type float"),
        ({"categories": [1]}, "fuse: categories are of type list"),
        ({"score_threshold": float("nan")}, "fuse: score_threshold: nan"),
        ({"score_threshold": 7.0}, "fuse: score_threshold: 7.0"),
        ({"heuristic": 3}, "give a HeuristicConfig"),
        ({"boxes": [[1], [1, 2]]}, "fuse: boxes is no array"),
    ],
)
@pytest.mark.usefixtures("no_type_checks")
def test_wrong_kinds_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unipan.fuse(**{**street(), "categories": 2, **change})
