"""The bundled network on onnxruntime gives what it gives on torch, and without torch installed too."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

import unipan
from unipan.checkpoint_header import packaged_digest
from unipan.datasets.scenes.generator import Scenes
from unipan.export.parity import differing_pixels
from unipan.exported.scene import ExportedScene
from unipan.exported.segmenter import ExportedSegmenter
from unipan.files import bundled_checkpoints, checkpoint_path
from unipan.inference import Segmenter
from unipan.panoptic.categories import Categories
from unipan.runtimes import open_network

WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name in ("torch", "torchvision") else find(name, *more)
"""
"""Code after which neither is found, as where they are not installed."""


WITH_GRAPHS = [name for name in bundled_checkpoints() if packaged_digest(checkpoint_path(name)) is None]
"""The bundled checkpoints that have a backbone of their own."""


@cache
def both(name: str = "scenes") -> tuple[Segmenter, ExportedSegmenter]:
    return Segmenter.load(name), ExportedSegmenter.load(name, threads=1)


def drawn(size: tuple[int, int] | None = None, seed: int = 4_000_001) -> np.ndarray:
    image = Scenes(range(seed, seed + 1))[0].image
    return image if size is None else np.asarray(cv2.resize(image, size[::-1]), np.uint8)


@pytest.mark.parametrize("name", WITH_GRAPHS)
@pytest.mark.parametrize("size", [None, (70, 90), (201, 333), (256, 512)])
def test_every_fusion_and_affinity_is_that_of_torch(name: str, size: tuple[int, int] | None) -> None:
    image = drawn(size)
    one, other = (segmenter.scene(image) for segmenter in both(name))
    assert isinstance(other, ExportedScene)
    assert other.size == image.shape[:2]
    for mine, theirs in (
        (one.potential, other.potential),
        (one.panoptic, other.panoptic),
        (one.semantic, other.semantic),
    ):
        np.testing.assert_allclose(theirs, mine.numpy(), atol=1e-3)
    np.testing.assert_allclose(other.detections.boxes, one.detections.boxes.numpy(), atol=1e-3)
    fusions = ["affinity", "potential", *(["heuristic"] if one.config.detection.masks else [])]
    for fusion in fusions:
        mine, theirs = one.result(fusion), other.result(fusion)
        assert differing_pixels(mine, theirs) <= 0.001 * theirs.ids.size
        assert [segment.category for segment in mine] == [segment.category for segment in theirs]
        for a, b in zip(mine, theirs, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-4)
    for raw in (False, True):
        mine, theirs = (scene.affinity(image.shape[1] // 3, image.shape[0] - 1, raw) for scene in (one, other))
        assert theirs.dtype == np.float32
        np.testing.assert_allclose(theirs, mine, atol=1e-4 * np.abs(mine).max())
    np.testing.assert_allclose(other.result().margin, one.result().margin, atol=1e-3)


@pytest.mark.real_data
def test_photographs_are_segmented_alike(shared_data: Path) -> None:
    photographs = [next(iter(sorted((shared_data / name).rglob("*.jpg")))) for name in ("coco20", "facades", "nuclei")]
    one, other = both()
    for path in photographs:
        mine, theirs = one(path), other(path)
        assert theirs.name == path.name
        assert differing_pixels(mine, theirs) <= 0.001 * mine.ids.size


def test_what_it_says_of_itself_and_what_it_refuses() -> None:
    one, other = both()
    assert repr(other) == "ExportedSegmenter(scenes, 4 things + 5 stuff classes)"
    assert (other.config, other.categories, other.metrics) == (one.config, one.categories, one.metrics)
    scene = other.scene(drawn())
    assert repr(scene).startswith("Scene(image, 256 x 128, ")
    with pytest.raises(ValueError, match=r"pixel \(256, 0\) lies outside image, which is 256 x 128"):
        scene.affinity(256, 0)
    with pytest.raises(ValueError, match="fusion upsnet"):
        scene.result("upsnet")
    with pytest.raises(ValueError, match="HxWx3"):
        other(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="--device cuda"):
        ExportedSegmenter.load("scenes", "cuda")
    with pytest.raises(ValueError, match="no NoSuchProvider, only"):
        ExportedSegmenter.load("scenes", providers=["NoSuchProvider"])


def test_a_folder_of_a_bundled_name_hides_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `unipan scenes --out scenes` makes one; `./scenes` would be the folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes").mkdir()
    assert isinstance(Segmenter.load("scenes"), Segmenter)
    assert isinstance(ExportedSegmenter.load("scenes"), ExportedSegmenter)
    assert isinstance(open_network("scenes", "cpu"), Segmenter)
    with pytest.raises(FileNotFoundError, match=r"model\.json"):
        open_network("./scenes", "cpu")


def test_a_datasets_classes_are_taken_by_name() -> None:
    _, other = both()
    turned = Categories(tuple(reversed(other.categories.things)) + other.categories.stuff)
    assert other.with_categories(turned).categories == other.categories
    with pytest.raises(ValueError, match="classes: the checkpoint knows"):
        other.with_categories(Categories(other.categories.stuff))


def test_without_torch_the_public_names_are_these(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "street.png"), drawn())
    code = WITHOUT_TORCH + (
        "import unipan\n"
        "segmenter = unipan.Segmenter.load('scenes')\n"
        f"scene = segmenter.scene({str(tmp_path / 'street.png')!r})\n"
        f"scene.result().save_ids({str(tmp_path / 'ids.png')!r})\n"
        "print(type(segmenter).__name__, isinstance(scene, unipan.Scene), scene.affinity(3, 4).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "ExportedSegmenter True (128, 256)"
    assert (tmp_path / "ids.png").is_file()


def test_onnxruntime_waits_until_a_network_is_opened() -> None:
    modules = "unipan, unipan.cli, unipan.commands.pq, unipan.commands.predict, unipan.commands.options"
    code = f"import sys, {modules}; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert unipan.Segmenter is Segmenter  # with torch, torch is the reference
