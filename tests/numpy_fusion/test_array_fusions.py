"""The fusions in NumPy make the maps that `fusion/` makes."""

import numpy as np
import pytest
import torch
from torchvision.ops import nms

from tests.any_detector.cases import SIZE, drawn_input
from unipan.any_detector.checks import numbered_categories
from unipan.any_detector.fuse import fuse
from unipan.config import HeuristicConfig, UpsnetConfig
from unipan.numpy_fusion.array_fusions import suppressed
from unipan.panoptic.maps import PanopticMap

CATEGORIES = numbered_categories(3, 2)
LIMITS = {
    "heuristic": HeuristicConfig(score_threshold=0.3, min_stuff_area=0.02),
    "upsnet": UpsnetConfig(score_threshold=0.3, nms_threshold=0.7),
}


def assert_alike(one: PanopticMap, other: PanopticMap) -> None:
    """The same segments; a pixel where two channels tie may go either way."""
    assert (one.ids != other.ids).mean() < 0.003
    assert [segment.category for segment in one] == [segment.category for segment in other]
    for mine, theirs in zip(one, other, strict=True):
        assert mine.score == pytest.approx(theirs.score, abs=1e-4)


@pytest.mark.parametrize("fusion", ["potential", "affinity", "heuristic", "upsnet"])
@pytest.mark.parametrize("masks", ["box", "whole"])
@pytest.mark.parametrize("image", [SIZE, (61, 83)])
@pytest.mark.parametrize("count", [0, 1, 12])
def test_arrays_and_tensors_are_fused_alike(fusion: str, masks: str, image: tuple[int, int], count: int) -> None:
    for seed in range(3):
        v, found = drawn_input(seed, count, masks, image=image)
        queries = np.random.default_rng(seed).normal(size=(4, 12, 16)).astype(np.float32)
        arrays = [v, found.boxes, found.scores, found.classes, found.masks, queries]
        tensors = [torch.from_numpy(each) for each in arrays]
        options = {"categories": CATEGORIES, "fusion": fusion, "score_threshold": 0.3, **LIMITS}
        options |= {"whole_masks": masks == "whole", "size": image}
        mine, reference = fuse(*arrays, **options), fuse(*tensors, **options)  # type: ignore[arg-type]
        assert mine.ids.shape == image
        assert_alike(mine, reference)
        if count == 12:
            assert any(segment.isthing for segment in mine)


@pytest.mark.parametrize("variant", ["A", "B", "C"])
def test_without_masks_too(variant: str) -> None:
    v, found = drawn_input(5, 6, "none")
    arrays = [v, found.boxes, found.scores, found.classes]
    options = {"categories": CATEGORIES, "variant": variant}
    reference = fuse(*(torch.from_numpy(each) for each in arrays), **options)  # type: ignore[arg-type]
    assert_alike(fuse(*arrays, **options), reference)  # type: ignore[arg-type]


def test_suppression_is_that_of_torchvision() -> None:
    _, found = drawn_input(3, 40, "none")
    for threshold in (0.1, 0.3, 0.5):
        expected = nms(torch.from_numpy(found.boxes), torch.from_numpy(found.scores), threshold).tolist()
        assert suppressed(found.boxes, found.scores, threshold) == expected
        assert 1 < len(expected) < 40
