"""PNGs of flat pictures, read by two other programs."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.tiny import draw
from unipan.visualization.flat import indexed_map
from unipan.visualization.indexed_png import indexed_png


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 256), st.integers(0, 10**6))
def test_every_decoder_reads_the_same_pixels(height: int, width: int, colors: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    index = rng.integers(0, colors, (height, width), dtype=np.uint8)
    palette = rng.integers(0, 256, (colors, 3), dtype=np.uint8)
    png = indexed_png(index, palette)
    with Image.open(io.BytesIO(png)) as image:
        assert image.mode == "P"
        image.verify()  # checksums
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), palette[index])
    assert np.array_equal(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], palette[index])


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda index: index[::2, ::-1]])
def test_any_layout_in_memory(layout: object) -> None:
    assert callable(layout)
    index = layout(np.arange(48, dtype=np.uint8).reshape(6, 8))
    palette = np.arange(144, dtype=np.uint8).reshape(48, 3)
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(indexed_png(index, palette))).convert("RGB")), palette[index]
    )


def test_a_flat_map_takes_no_more_room_than_with_pillow() -> None:
    picture = indexed_map(draw(3, things=4).truth)
    file, image = io.BytesIO(), Image.fromarray(picture.index.astype(np.uint8))
    image.putpalette(picture.palette.tobytes())
    image.save(file, "png", compress_level=3)
    assert len(indexed_png(picture.index, picture.palette)) < 1.15 * len(file.getvalue())
