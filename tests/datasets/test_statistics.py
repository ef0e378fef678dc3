"""The numbers that anchors and limits are fitted to."""

from dataclasses import replace

import numpy as np
import pytest

from tests.tiny import CATEGORIES, Drawn
from unipan.config import DataConfig
from unipan.datasets.statistics import thing_statistics
from unipan.panoptic.maps import Sample, panoptic_map

DISC, _, SKY, _ = CATEGORIES


class Squares:
    """Image i of 80 x 160 holds one disc of 20 x 10 (height x width) and, if i is odd, a crowd."""

    categories = CATEGORIES

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Sample:
        ids = np.ones((80, 160), np.int32)
        ids[10:30, 10:20] = 2
        classes, crowds = {1: SKY, 2: DISC}, set()
        if index % 2:
            ids[40:70, 40:100] = 3
            classes[3], crowds = DISC, {3}
        return Sample(np.zeros((80, 160, 3), np.uint8), panoptic_map(ids, classes, crowds=crowds), index, str(index))


def test_sides_are_in_pixels_of_the_networks_input() -> None:
    for short, factor, stride in ((0, 1.0, 4), (160, 2.0, 4), (160, 2.0, 2)):
        seen = thing_statistics(Squares(), DataConfig(short_side=short, max_side=1000), stride)
        assert seen.images == 6
        assert seen.per_image == (1.0, 1.0, 1)  # crowds are left out
        assert seen.side == pytest.approx([factor * 200**0.5] * 7)
        assert seen.aspect == pytest.approx([2.0] * 3)
        assert seen.cells == pytest.approx([factor**2 * 200 / stride**2] * 2)
        assert seen.size == (80 * factor, 160 * factor)


def test_only_a_sample_is_opened() -> None:
    assert thing_statistics(Squares(), DataConfig(short_side=0), 4, images=2).images == 2


def test_a_dataset_without_things() -> None:
    seen = thing_statistics(Drawn([0, 0]), DataConfig(short_side=0), 4)
    assert seen.per_image == (0.0, 0.0, 0)
    assert "0.0 things an image" in str(seen)
    assert "warning: no thing is in any of these images, none is labelled" in str(seen)
    crowds = replace(seen, crowds=4)
    assert "all 4 segments of thing classes are crowds" in str(crowds)
    assert "warning" not in str(thing_statistics(Drawn([3]), DataConfig(short_side=0), 4))


def test_it_reads_as_a_sentence() -> None:
    text = str(thing_statistics(Drawn([3, 2, 4]), DataConfig(short_side=0), 2))
    assert "3 images seen at 64 x 96" in text
    assert "cells of the 1/2 grid (median; 10 % under" in text
    assert "most 4" in text or "most 3" in text


def test_an_empty_dataset_is_refused() -> None:
    with pytest.raises(ValueError, match="no images"):
        thing_statistics(Drawn([]), DataConfig(short_side=0), 4)


def test_the_share_of_things_is_told() -> None:
    data = Drawn([3, 2, 4])
    seen = thing_statistics(data, DataConfig(short_side=0), 2)
    truths = [data[n].truth for n in range(3)]
    areas = sum(segment.area for truth in truths for segment in truth if segment.isthing and not segment.iscrowd)
    assert seen.cover == areas / sum(truth.ids.size for truth in truths)
