"""Counting in parts is counting at once."""

import numpy as np
import pytest

from tests.tiny import CATEGORIES
from unipan.numpy_fusion import painting


@pytest.mark.parametrize("at_once", [1, 7, 64])
def test_pixels_are_counted_in_parts(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    channels = rng.integers(0, 4, (9, 11))  # a disc, sky, ground, and void
    confidence = rng.random((9, 11))
    whole = painting.channel_map(channels, confidence, [0], [0.8], CATEGORIES)
    monkeypatch.setattr(painting, "COUNTED_AT_ONCE", at_once)
    parts = painting.channel_map(channels, confidence, [0], [0.8], CATEGORIES)
    assert np.array_equal(parts.ids, whole.ids)
    assert [s.area for s in parts] == [s.area for s in whole] == [int((channels == k).sum()) for k in range(3)]
    assert [s.score for s in parts] == pytest.approx([s.score for s in whole])
    assert parts.segments[1].score == pytest.approx(float(confidence[channels == 1].mean()))
