"""In tiles the network finds what it finds in the whole picture, whatever its parts; a picture has several tiles."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.tiny import CATEGORIES, tiny_config, tiny_network
from unipan.config import Config
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.transforms import network_size
from unipan.inference import Segmenter
from unipan.models.detection.head import DetectionHead
from unipan.scene import Scene
from unipan.tiled.features import PaddedPicture, halo_of, receptive_radius, tileable
from unipan.tiled.network import TiledOutput, larger_limits, limit_factor, run_tiled
from unipan.tiled.windows import CellWindow


def with_parts(**parts: dict[str, Any]) -> Config:
    """The tiny config with other fields, section by section."""
    config = tiny_config()
    found = {name: replace(getattr(config, name), **values) for name, values in parts.items()}
    base = replace(config, inference=replace(config.inference, score_threshold=0.0))
    return replace(base, **found)


def segmenter_of(config: Config) -> Segmenter:
    network = tiny_network(config).eval()
    for module in network.modules():  # fresh affinities and offsets are next to nothing
        if isinstance(module, torch.nn.Conv2d) and module.weight.std() < 0.05:
            torch.nn.init.normal_(module.weight, std=0.1)
    return Segmenter(network, config, CATEGORIES, {}, torch.device("cpu"))


@cache
def picture() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (20, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (330, 405)), np.uint8)  # no multiples of anything; a tile of 128 sees 224 more


def both(segmenter: Segmenter, side: int, **options: Any) -> tuple[Scene, TiledOutput]:
    """The whole, with limits that are as large, and the tiles."""
    pixels = picture()
    size = (405, 330) if segmenter.config.data.pad else (416, 320)
    detector = segmenter.network.detection
    assert isinstance(detector, DetectionHead)
    with larger_limits(detector, limit_factor(size, segmenter.config)):
        whole = segmenter.scene(pixels)
    config, categories = segmenter.config, segmenter.categories
    return whole, run_tiled(segmenter.network, pixels, size, config=config, categories=categories, side=side, **options)


CASES = {
    "as it is": {},
    "boxes only": {"detection": {"masks": False}},
    "stretched to a multiple of 32": {"data": {"pad": False}},
    "a finer grid and RoPE": {
        "decoder": {"stride": 2},
        "matching": {"stride": 2},
        "affinity": {"rope": 1, "shortest_wavelength": 32.0},
    },
    "the finest grid, sines": {
        "decoder": {"stride": 1},
        "matching": {"stride": 1},
        "affinity": {"positional_encoding": 2},
    },
    "logits, a mean over pixels": {"potential": {"variant": "A"}, "affinity": {"normalise": "pixels"}},
    "a softmax over pixels": {"affinity": {"normalise": "softmax", "activation": "elu"}},
    "a softmax over pixels, sines": {"affinity": {"normalise": "softmax", "positional_encoding": 1}},
    "no normalisation, log P": {"affinity": {"normalise": "none", "activation": "relu", "loss": "log"}},
    "sum of V and M, three layers": {"potential": {"variant": "C"}, "decoder": {"layers": 3}},
    "no affinities": {"affinity": {"enabled": False}},
    "no affinities, logits": {"affinity": {"enabled": False}, "potential": {"variant": "A"}},
    "no squeeze-and-excite, bottlenecks": {"backbone": {"se_reduction": 0, "depth": 50}},
}


@pytest.mark.parametrize("name", CASES)
def test_tiles_give_what_the_whole_gives(name: str) -> None:
    segmenter = segmenter_of(with_parts(**CASES[name]))
    whole, tiles = both(segmenter, 128)
    found = tiles.panoptic.detections
    assert len(found) == len(whole.network_detections) > 20
    assert torch.allclose(found.boxes, whole.network_detections.boxes, atol=1e-2)
    height, width = whole.panoptic.shape[1:]
    assert tiles.panoptic.size == (height, width)
    with torch.no_grad():
        for window in (CellWindow(0, 37, 0, 41), CellWindow(height - 30, height, width - 45, width)):
            expected = whole.panoptic[:, *window.slices]
            values, rows = tiles.panoptic.panoptic(window)
            if len(rows) < len(found):  # without affinities, only things that are there have a channel
                stuff = torch.arange(len(found), len(expected))
                expected = expected[torch.cat([rows, stuff])]
            assert torch.allclose(values, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    result, expected_result = tiles.decode(), whole.result("affinity" if segmenter.network.affinity else "potential")
    assert (result.ids != expected_result.ids).mean() < 0.002
    assert [each.category for each in result] == [each.category for each in expected_result]
    assert np.allclose([each.score for each in result], [each.score for each in expected_result], atol=1e-3)


def test_the_argmax_of_psi_and_the_margin_are_those_of_the_whole() -> None:
    segmenter = segmenter_of(with_parts())
    whole, tiles = both(segmenter, 192, affinities=False)
    assert np.array_equal(tiles.decode().ids, whole.result("potential").ids)
    assert np.allclose(tiles.margin(), whole.result("potential").margin, atol=1e-4)


def test_deformable_convolutions_are_cut_where_they_look_far() -> None:
    segmenter = segmenter_of(with_parts(decoder={"deformable": True}))
    whole, tiles = both(segmenter, 256)
    with torch.no_grad():
        window = CellWindow(0, *whole.panoptic.shape[1:2], 0, whole.panoptic.shape[2])
        assert (tiles.panoptic.psi(window)[0].argmax(0) == whole.potential.argmax(0)).float().mean() > 0.99


def test_a_thing_wins_nothing_out_of_its_reach() -> None:
    segmenter = segmenter_of(with_parts())
    _, everywhere = both(segmenter, 256)
    _, tiles = both(segmenter, 256, reach=8)
    boxes = tiles.panoptic.detections.boxes
    with torch.no_grad():
        window = CellWindow(0, 60, 0, 60)
        values, rows = tiles.panoptic.panoptic(window)
        free, _ = everywhere.panoptic.panoptic(window)
    assert 0 < len(rows) < len(boxes)
    centres = (torch.arange(60) + 0.5) * 4
    for channel, row in enumerate(rows.tolist()):
        x0, y0, x1, y1 = boxes[row].tolist()
        near = ((centres > y0 - 4) & (centres < y1 + 4))[:, None] & ((centres > x0 - 4) & (centres < x1 + 4))
        far = ((centres < y0 - 16) | (centres > y1 + 16))[:, None] | ((centres < x0 - 16) | (centres > x1 + 16))
        assert torch.allclose(values[channel][near], free[row][near], rtol=1e-3, atol=1e-4)
        assert (values[channel][far] < -1000).all()
    assert torch.allclose(values[len(rows) :], free[len(boxes) :], rtol=1e-3, atol=1e-4)


def test_windows_with_many_things_are_cut_further(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = segmenter_of(with_parts())
    _, tiles = both(segmenter, 512)
    expected = tiles.decode()
    monkeypatch.setattr("unipan.tiled.windows.VALUES", 20_000)
    _, again = both(segmenter, 512)
    result = again.decode()
    assert (result.ids != expected.ids).mean() < 0.002
    assert len(result) == len(expected)


@pytest.mark.parametrize(("depth", "radius"), [(18, 217), (50, 213)])
def test_a_cell_of_c5_depends_on_its_receptive_field_alone(depth: int, radius: int) -> None:
    network = tiny_network(with_parts(backbone={"depth": depth})).eval()
    backbone = tileable(network)
    assert receptive_radius(backbone) == radius
    assert halo_of(backbone) >= radius
    pixels = torch.randn(1, 3, 32 * 18, 32, requires_grad=True)
    backbone.stages(pixels)[-1][0, :, 9].abs().sum().backward()
    assert pixels.grad is not None
    touched = pixels.grad[0].abs().sum((0, 2)).nonzero()[:, 0]
    assert touched.min() >= 9 * 32 - radius
    assert touched.max() <= 9 * 32 + radius


def test_padding_is_that_of_a_batch() -> None:
    pixels = torch.full((3, 33, 40), 255, dtype=torch.uint8)
    padded = PaddedPicture(pixels)
    assert padded.size == (64, 64)
    tile = padded.read(CellWindow(30, 64, 0, 64), torch.device("cpu"))
    assert (tile[0, :, :3, :40] == 1).all()
    assert torch.allclose(tile[0, :, 3, 0], torch.tensor([0.485, 0.456, 0.406]))


def test_what_needs_the_whole_picture_is_a_sentence(tmp_path: Path) -> None:
    pixels = picture()
    summing = segmenter_of(with_parts(decoder={"kind": "sum"}))
    with pytest.raises(ValueError, match=r"decoder\.kind=sum"):
        summing.in_tiles(pixels)
    segmenter = segmenter_of(with_parts())
    with pytest.raises(ValueError, match="heuristic"):
        segmenter.in_tiles(pixels, "heuristic")
    with pytest.raises(ValueError, match="64"):
        segmenter.in_tiles(pixels, side=100)
    with pytest.raises(ValueError, match="scale"):
        segmenter.in_tiles(pixels, scale=0.0)
    void = segmenter_of(with_parts(potential={"variant": "A", "void_channel": True}, affinity={"enabled": False}))
    with pytest.raises(ValueError, match="void_channel"):
        void.in_tiles(pixels, "potential")
    with pytest.raises(ValueError, match="bf16"):
        replace(segmenter, bf16=True).in_tiles(pixels)
    with pytest.raises(FileNotFoundError):
        segmenter.in_tiles(tmp_path / "nothing.png")


def test_a_scale_is_one_of_the_picture() -> None:
    segmenter = segmenter_of(with_parts(data={"short_side": 64, "pad": False}))
    result = segmenter.in_tiles(picture(), scale=0.5, side=128, reach=None)
    assert result.ids.shape == picture().shape[:2]
    whole = replace(segmenter, config=replace(segmenter.config, data=replace(segmenter.config.data, short_side=165)))
    assert limit_factor((192, 160), segmenter.config) == 8
    detector = segmenter.network.detection
    assert isinstance(detector, DetectionHead)
    with larger_limits(detector, limit_factor((192, 160), segmenter.config)):
        expected = whole(picture())
    assert (result.ids != expected.ids).mean() < 0.01


@pytest.mark.real_data
def test_facades_are_the_same_in_tiles(shared_data: Path, announce: Any) -> None:
    segmenter = Segmenter.load("scenes")
    detector = segmenter.network.detection
    assert isinstance(detector, DetectionHead)
    shares, things = [], 0
    for path in sorted((shared_data / "facades" / "val" / "images").iterdir())[:2]:
        size = network_size(*image_size(path), segmenter.config.data)
        with larger_limits(detector, limit_factor(size, segmenter.config)):
            whole = segmenter(path)
        tiles = segmenter.in_tiles(path, side=512, reach=None)
        shares.append(float((tiles.ids != whole.ids).mean()))
        things += sum(segment.isthing for segment in whole)
    announce(f"facades in tiles: {100 * max(shares):.4f} % of the pixels differ at most ({things} things)")
    assert max(shares) < 0.005
