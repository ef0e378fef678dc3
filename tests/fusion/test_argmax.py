"""Argmax at the image's own size: the same map as interpolating everything at once, without its memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from unipan.fusion import argmax as decoding
from unipan.fusion.argmax import Grid, argmax, bands, decode, upsample
from unipan.panoptic.categories import Categories, Category
from unipan.structures import Detections, Geometry


def classes(things: int, stuff: int) -> Categories:
    return Categories.of(Category(10 + n, f"class {n}", n < things, (n, 2 * n, 3 * n)) for n in range(things + stuff))


def found(labels: list[int], scores: list[float]) -> Detections:
    return Detections(torch.rand(len(labels), 4), torch.tensor(scores), torch.tensor(labels, dtype=torch.long))


def naive(channels: Tensor, input_size: tuple[int, int], image_size: tuple[int, int], stride: int) -> Tensor:
    """Every channel at full size, by the definition: each pixel looks at its four nearest cell centres."""
    rows = _shares(channels.shape[1], input_size[0], image_size[0], stride)
    columns = _shares(channels.shape[2], input_size[1], image_size[1], stride)
    return torch.einsum("khw,yh,xw->kyx", channels.double(), rows, columns)


def _shares(cells: int, input_side: int, pixels: int, stride: int) -> Tensor:
    """How much each cell counts at each pixel of one axis: a hat around its centre, clamped at the border."""
    shares = torch.zeros(pixels, cells, dtype=torch.float64)
    for y in range(pixels):
        place = min(max((y + 0.5) * input_side / pixels / stride - 0.5, 0), cells - 1)
        for cell in range(cells):
            shares[y, cell] = max(1 - abs(place - cell), 0)
    return shares


def test_equals_torch_where_sizes_are_multiples() -> None:
    torch.manual_seed(0)
    channels = torch.randn(9, 8, 12)
    full = F.interpolate(channels[None], scale_factor=4, mode="bilinear", align_corners=False)[0]
    grid = Grid.of(channels, Geometry((32, 48), (32, 48), 4))
    assert torch.equal(argmax(channels, grid), full.argmax(0))
    torch.testing.assert_close(upsample(channels[0], grid), full[0])


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(5, 23),
    st.integers(5, 23),
    st.integers(3, 31),
    st.integers(3, 31),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 99),
)
def test_equals_the_definition_at_any_size(
    count: int, input_height: int, input_width: int, height: int, width: int, stride: int, seed: int
) -> None:
    channels = torch.randn(count, 8, 8, generator=torch.Generator().manual_seed(seed))
    input_size, image_size = (input_height, input_width), (height, width)
    full = naive(channels, input_size, image_size, stride)
    grid = Grid.of(channels, Geometry(image_size, input_size, stride))
    torch.testing.assert_close(upsample(channels[0], grid).double(), full[0], rtol=0, atol=1e-5)
    won = full.gather(0, argmax(channels, grid)[None])[0]
    torch.testing.assert_close(won, full.amax(0), rtol=0, atol=1e-5)


def test_a_channel_can_win_between_cells_where_it_wins_none() -> None:
    channels = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[0.7, 0.7]]])
    assert argmax(channels, Grid.of(channels, Geometry((1, 6), (1, 2), 1))).tolist() == [[0, 0, 2, 2, 1, 1]]


def test_tiles_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = torch.randn(5, 8, 8)
    grid = Grid.of(channels, Geometry((37, 41), (32, 32), 4))
    whole = argmax(channels, grid)
    monkeypatch.setattr(decoding, "CHUNK", 7)
    assert torch.equal(argmax(channels, grid), whole)


def test_segments_name_their_channels() -> None:
    categories = classes(2, 2)
    panoptic = torch.zeros(4, 4, 4)
    panoptic[1, :, :2] = 5  # the second detection, class 0
    panoptic[3, :, 2:] = 5  # the second stuff class
    result = decode(panoptic, found([1, 0], [0.9, 0.7]), categories, Geometry((16, 16), (16, 16), 4))
    assert np.array_equal(result.ids, np.repeat([[1] * 8 + [2] * 8], 16, axis=0))
    thing, stuff = result.segments
    assert (thing.id, thing.category.name, thing.area, thing.bbox) == (1, "class 0", 128, (0, 0, 8, 16))
    assert thing.score == pytest.approx(0.7)
    assert (stuff.id, stuff.category.name, stuff.area, stuff.bbox) == (2, "class 3", 128, (8, 0, 8, 16))


def test_a_stuff_score_is_its_mean_winning_probability() -> None:
    panoptic = torch.randn(3, 8, 8)
    result = decode(panoptic, found([], []), classes(1, 3), Geometry((32, 32), (32, 32), 4), temperature=2.0)
    winning = F.interpolate((2 * panoptic).softmax(0).amax(0)[None, None], scale_factor=4, mode="bilinear")[0, 0]
    for segment in result:
        inside = torch.from_numpy(result.ids == segment.id)
        assert segment.score == pytest.approx(float(winning[inside].mean()), abs=1e-5)


def test_where_the_loss_takes_log_p_the_score_is_the_share_of_p() -> None:
    panoptic = torch.rand(3, 8, 8)
    panoptic[2] = 0
    result = decode(panoptic, found([], []), classes(1, 3), Geometry((32, 32), (32, 32), 4), temperature=1.0, log=True)
    assert [segment.category.name for segment in result] == ["class 1", "class 2"]
    share = (panoptic / panoptic.sum(0)).amax(0)
    winning = F.interpolate(share[None, None], scale_factor=4, mode="bilinear")[0, 0]
    for segment in result:
        inside = torch.from_numpy(result.ids == segment.id)
        assert segment.score == pytest.approx(float(winning[inside].mean()), abs=1e-4)


def test_only_stuff_and_only_things_and_nothing() -> None:
    stuff = decode(torch.zeros(1, 2, 2), found([], []), classes(1, 1), Geometry((5, 7), (8, 8), 4))
    assert stuff.ids.shape == (5, 7)
    assert [(segment.area, segment.isthing) for segment in stuff] == [(35, False)]
    thing = decode(torch.zeros(1, 2, 2), found([0], [0.5]), classes(1, 0), Geometry((5, 7), (8, 8), 4))
    assert [segment.isthing for segment in thing] == [True]
    nothing = decode(torch.zeros(0, 2, 2), found([], []), classes(1, 0), Geometry((5, 7), (8, 8), 4))
    assert not nothing.ids.any()
    assert not nothing.segments


def test_the_winner_is_the_same_for_one_image_at_two_sizes() -> None:
    panoptic = torch.zeros(2, 8, 8)
    panoptic[1, :, 5:] = 1
    small = decode(panoptic, found([], []), classes(0, 2), Geometry((32, 32), (32, 32), 4))
    large = decode(panoptic, found([], []), classes(0, 2), Geometry((128, 128), (32, 32), 4))
    assert large.segments[0].area == 16 * small.segments[0].area


def test_channels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="4 channels for 1 detections and 2 stuff classes"):
        decode(torch.zeros(4, 2, 2), found([0], [1.0]), classes(1, 2), Geometry((8, 8), (8, 8), 4))
    with pytest.raises(ValueError, match="3 channels for 1 detections and 2 stuff classes and void"):
        decode(torch.zeros(3, 2, 2), found([0], [1.0]), classes(1, 2), Geometry((8, 8), (8, 8), 4), void=True)


def test_what_the_void_channel_wins_has_no_segment() -> None:
    """A thing in the left column of cells, stuff in the middle, void at the right; stuff 1 wins nowhere."""
    panoptic = torch.zeros(4, 2, 3)
    panoptic[[0, 2, 3], :, [0, 1, 2]] = 1
    result = decode(panoptic, found([0], [0.7]), classes(1, 2), Geometry((2, 3), (2, 3), 1), void=True)
    assert result.ids.tolist() == [[1, 2, 0]] * 2
    assert [(segment.category.name, segment.area) for segment in result] == [("class 0", 2), ("class 2", 2)]
    thing, stuff = result.segments
    assert thing.score == pytest.approx(0.7)
    assert stuff.score == pytest.approx(float(panoptic[:, 0, 1].softmax(0).max()))
    nothing = decode(torch.ones(1, 2, 3), found([], []), classes(1, 0), Geometry((2, 3), (2, 3), 1), void=True)
    assert not nothing.ids.any()


def test_no_tensor_of_channels_times_pixels_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every interpolated block stays under CHUNK values, although K x H x W is 60 times as much."""
    largest = 0
    mix = decoding._interpolate

    def watched(low: Tensor, high: Tensor, weight: Tensor) -> Tensor:
        nonlocal largest
        result = mix(low, high, weight)
        largest = max(largest, result.numel())
        return result

    monkeypatch.setattr(decoding, "_interpolate", watched)
    monkeypatch.setattr(decoding, "CHUNK", 100_000)
    decode(torch.randn(92, 64, 64), found([0] * 90, [0.5] * 90), classes(1, 2), Geometry((256, 256), (256, 256), 4))
    assert largest <= 100_000 < 92 * 256 * 256 / 60


@pytest.mark.parametrize("chunk", [1, 37, 500])
def test_bands_change_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the map nor a bit of a value (of the score, its rounding), however few pixels exist at once."""
    channels = torch.randn(5, 9, 13, generator=torch.Generator().manual_seed(3))
    grid = Grid.of(channels, Geometry((71, 103), (36, 52), 4))
    whole, values = argmax(channels, grid), upsample(channels[0], grid)
    monkeypatch.setattr("unipan.fusion.argmax.CHUNK", chunk)
    sure = decoding._confidence(channels, 3.0, False)
    torch.testing.assert_close(sure, (3.0 * channels).softmax(0).amax(0), rtol=1e-6, atol=0)
    assert len(list(bands(grid))) > 1
    assert torch.equal(argmax(channels, grid), whole)
    assert torch.equal(upsample(channels[0], grid), values)
