"""The public face on a tiny untrained network: every way in, every way out, one pass for everything."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import unipan
from unipan.build import build_network
from unipan.checkpoint import load_checkpoint
from unipan.config import Config, DataConfig, HeuristicConfig, InferenceConfig
from unipan.datasets import pictures
from unipan.datasets.scenes.generator import SCENE_CATEGORIES
from unipan.inference import Segmenter
from unipan.panoptic.png import decode_png
from unipan.presets import scenes, scenes_mask_free
from unipan.result import PanopticResult
from unipan.scene import Scene


def tiny(base: Config) -> Config:
    return replace(
        base,
        backbone=replace(base.backbone, width=8, fpn_channels=16),
        decoder=replace(base.decoder, channels=16, groups=4),
        affinity=replace(base.affinity, channels=8, rope=1),
        detection=replace(base.detection, box_features=16, mask_channels=8, score_threshold=0.0, max_detections=6),
        inference=InferenceConfig(score_threshold=0.0),
        heuristic=HeuristicConfig(score_threshold=0.0, min_stuff_area=0.0),
    )


def segmenter_of(config: Config) -> Segmenter:
    torch.manual_seed(0)
    network = build_network(config, SCENE_CATEGORIES).eval()
    return Segmenter(network, config, SCENE_CATEGORIES, {}, torch.device("cpu"))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return segmenter_of(tiny(scenes()))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (90, 70)), np.uint8)  # not a multiple of anything


@pytest.fixture(scope="module")
def scene(segmenter: Segmenter, image: np.ndarray) -> Scene:
    return segmenter.scene(image)


def test_every_kind_of_image_gives_the_same_map(segmenter: Segmenter, image: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "street.png"
    Image.fromarray(image).save(path)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    expected = segmenter(image)
    assert expected.ids.shape == (70, 90)
    assert expected.ids.dtype == np.int32
    for same in (path, str(path), Image.fromarray(image), tensor, tensor.float() / 255):
        assert np.array_equal(segmenter(same).ids, expected.ids)
    assert segmenter(path).name == "street.png"


def test_sixteen_bits_look_the_same_in_memory_and_in_a_file(segmenter: Segmenter, tmp_path: Path) -> None:
    """In a network with a window; as one picture, and in tiles."""
    windowed = replace(segmenter, config=replace(segmenter.config, data=DataConfig(window=(0.1, 99.9))))
    pixels = np.linspace(0, 4180, 64 * 96).reshape(64, 96).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    for given in (tmp_path / "a.tif", Image.open(tmp_path / "a.tif"), pixels):
        for found in (windowed(given), windowed.in_tiles(given, side=64)):
            assert len(np.unique(found.image)) > 200
    with pytest.raises(ValueError, match="this array is uint16"):
        segmenter(pixels)


def test_what_is_no_image_is_refused(segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        segmenter(tmp_path / "missing.jpg")
    with pytest.raises(ValueError, match="HxWx3"):
        segmenter(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="not an image"):
        segmenter([1, 2, 3])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.zeros(3, 0, 5), r"tensor is empty \(shape \(3, 0, 5\)\)"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8, device="meta"), "on the device meta"),
        (torch.zeros(3, 8, 8).to_sparse(), "sparse coo tensor; give a dense one"),
        (torch.nested.nested_tensor([torch.zeros(8, 8)] * 3), "nested tensor; give a dense one"),
        (torch.full((3, 8, 8), float("nan")), "without NaN"),
    ],
)
def test_tensors_without_pixels_are_refused_by_name(segmenter: Segmenter, tensor: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        segmenter(tensor)


@pytest.mark.parametrize("fusion", ["affinity", "potential", "heuristic"])
def test_fusions_come_from_one_pass(segmenter: Segmenter, scene: Scene, image: np.ndarray, fusion: str) -> None:
    result = scene.result(fusion)
    assert np.array_equal(segmenter(image, fusion).ids, result.ids)
    assert {segment.id for segment in result} == set(np.unique(result.ids)) - {0}
    assert sum(segment.area for segment in result) == np.count_nonzero(result.ids)
    assert all(0 <= segment.score <= 1 for segment in result)


def test_the_network_runs_once(segmenter: Segmenter, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    segmenter.network.register_forward_hook(lambda *_: calls.append(1))
    scene = segmenter.scene(image)
    for fusion in ("affinity", "potential", "heuristic"):
        scene.result(fusion)
    scene.affinity(3, 4)
    assert len(calls) == 1


def test_unknown_fusions_and_mask_free_mergers_are_refused(scene: Scene, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"'max' .* affinity, potential, heuristic"):
        scene.result("max")
    mask_free = segmenter_of(tiny(scenes_mask_free()))
    assert len(mask_free(image)) > 0
    with pytest.raises(ValueError, match="fusion heuristic"):
        mask_free(image, fusion="heuristic")


def test_detections_lie_in_pixels_of_the_image(image: np.ndarray) -> None:
    config = tiny(scenes())
    doubled = segmenter_of(replace(config, data=replace(config.data, short_side=140, max_side=1000, pad=True))).scene(
        image
    )
    assert len(doubled.detections) > 0
    assert doubled.geometry.input_size == (140, 180)
    torch.testing.assert_close(doubled.detections.boxes * 2, doubled.network_detections.boxes)
    assert doubled.result().ids.shape == (70, 90)
    assert doubled.affinity(89, 69).shape == (70, 90)


def test_channels_are_detections_then_stuff(scene: Scene) -> None:
    assert scene.potential.shape[0] == len(scene.detections) + len(SCENE_CATEGORIES.stuff)
    assert scene.potential.shape == scene.panoptic.shape
    assert scene.geometry.input_size == (64, 96)  # of 70 x 90 pixels, the nearest multiples of 32: no padding
    assert scene.potential.shape[1:] == (32, 48)  # d = 2


def test_an_affinity_is_the_product_of_two_pixels(segmenter: Segmenter, scene: Scene) -> None:
    affinity = scene.affinity(42, 21, raw=True)
    assert affinity.shape == (70, 90)
    assert affinity.dtype == np.float32
    assert scene.head is not None
    assert scene.output.queries is not None
    q0, q1 = (phi.view(1, 8, 16, 24) for phi in scene.head.project(scene.output.queries[0]))
    q0, q1 = (torch.nn.functional.interpolate(phi, scale_factor=2, mode="bilinear")[0] for phi in (q0, q1))
    y, x = scene.geometry.cell(21, 42)
    row = torch.einsum("c,chw->hw", q0[:, y, x], q1).detach().numpy()
    expected = cv2.resize(row, (90, 70), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(affinity, expected, atol=1e-4 * np.abs(row).max())
    q1 = q1 - scene.head.project(scene.output.queries[0])[1].mean(1)[:, None, None]
    q0 = q0 - scene.head.project(scene.output.queries[0])[0].mean(1)[:, None, None]
    row = torch.einsum("c,chw->hw", q0[:, y, x], q1).detach().numpy()
    expected = cv2.resize(row, (90, 70), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(scene.affinity(42, 21), expected, atol=1e-4 * np.abs(row).max())


def test_affinities_outside_or_without_a_head_are_refused(scene: Scene, image: np.ndarray) -> None:
    for x, y in ((90, 0), (0, 70), (-1, 0)):
        with pytest.raises(ValueError, match="which is 90 x 70"):
            scene.affinity(x, y)
    config = tiny(scenes())
    plain = segmenter_of(
        replace(config, affinity=replace(config.affinity, enabled=False), loss=replace(config.loss, potential=0.0))
    ).scene(image)
    assert np.array_equal(plain.result("affinity").ids, plain.result("potential").ids)
    with pytest.raises(ValueError, match="without the affinity head"):
        plain.affinity(0, 0)


def test_results_are_repeatable(segmenter: Segmenter, image: np.ndarray) -> None:
    one, other = segmenter(image), segmenter(image)
    assert np.array_equal(one.ids, other.ids)
    assert one.segments == other.segments


def test_a_result_can_be_looked_at_saved_and_exported(scene: Scene, tmp_path: Path) -> None:
    result = scene.result()
    assert isinstance(result, PanopticResult)
    assert result.overlay().shape == (70, 90, 3)
    result.save(tmp_path / "new" / "out.png")
    saved = cv2.imread(str(tmp_path / "new" / "out.png"))
    assert saved is not None
    assert np.array_equal(saved[:, :, ::-1], result.overlay())
    result.save_ids(tmp_path / "ids.png")
    with pytest.raises(ValueError, match=r"save_ids: .*ids\.jpg.*\.png"):
        result.save_ids(tmp_path / "ids.jpg")
    with pytest.raises(ValueError, match=r"save_labels: .* \.tif or \.tiff"):
        result.save_labels(tmp_path / "labels.png")
    assert np.array_equal(decode_png(tmp_path / "ids.png"), result.ids)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(result.png_bytes())))[:, :, 0], result.ids % 256)
    with pytest.raises(ValueError, match=r"'\.xyz'; use a name that ends in \.png"):
        result.save(tmp_path / "out.xyz")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["ids.png", "new"]


def test_coco_entries_are_plain_json(scene: Scene) -> None:
    result = scene.result()
    entry = json.loads(json.dumps(result.to_coco(image_id=7)))
    assert (entry["image_id"], entry["file_name"]) == (7, "image.png")
    assert [segment["id"] for segment in entry["segments_info"]] == [segment.id for segment in result]
    for told, segment in zip(entry["segments_info"], result, strict=True):
        assert told["category_id"] == segment.category.id
        assert (told["area"], tuple(told["bbox"])) == (segment.area, segment.bbox)


def test_representations_say_what_is_there(segmenter: Segmenter, scene: Scene) -> None:
    assert repr(scene.result()).startswith("PanopticResult(image, 90 x 70, ")
    assert repr(segmenter) == "Segmenter(scenes, 4 things + 5 stuff classes, on cpu)"
    assert "90 x 70" in repr(scene)


def test_importing_unipan_imports_nothing_heavy() -> None:
    code = "import sys, unipan; assert unipan.__version__; assert 'torch' not in sys.modules; print('light')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"


def test_the_public_names() -> None:
    assert unipan.Segmenter is Segmenter
    for name in unipan.__all__:
        assert getattr(unipan, name) is not None
    assert "Segmenter" in dir(unipan)
    with pytest.raises(AttributeError, match="no attribute 'segmenter'"):
        _ = unipan.segmenter


@pytest.mark.real_data
def test_a_photograph_is_segmented_at_its_own_size(segmenter: Segmenter, shared_data: Path) -> None:
    path = sorted((shared_data / "coco20" / "images").glob("*.jpg"))[0]
    with Image.open(path) as photograph:
        width, height = photograph.size
    scene = segmenter.scene(path)
    assert scene.result().ids.shape == (height, width)
    assert scene.affinity(width - 1, height - 1).shape == (height, width)
    assert scene.result("heuristic").to_coco(1)["file_name"] == path.with_suffix(".png").name


def test_importing_the_segmenter_waits_neither_for_torchvision_nor_for_dynamo() -> None:
    code = "import sys, unipan; unipan.Segmenter; print({'torchvision', 'torch._dynamo', 'sympy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_picture_without_room_is_told_before_it_is_decoded(
    segmenter: Segmenter, image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(image).save(tmp_path / "large.png")
    monkeypatch.setattr(pictures, "read_image", lambda *_: pytest.fail("it was decoded"))
    monkeypatch.setattr(pictures, "available_memory", lambda: 1_000_000)
    with pytest.raises(ValueError, match=r"large\.png: 90 x 70 pixels .*GiB"):
        segmenter(tmp_path / "large.png")
    monkeypatch.undo()
    for free in (None, 2**40):
        monkeypatch.setattr(pictures, "available_memory", lambda free=free: free)
        assert segmenter(tmp_path / "large.png").ids.shape == (70, 90)


@torch.no_grad()
def test_a_loaded_network_is_the_checkpoints(image: np.ndarray) -> None:
    """Folded norms and channels last move the last digits alone."""
    found = load_checkpoint("scenes")
    plain = Segmenter(found.network, found.config, found.categories, found.metrics, torch.device("cpu"))
    loaded = Segmenter.load("scenes")
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in loaded.network.modules())
    one, other = plain.scene(image), loaded.scene(image)
    torch.testing.assert_close(one.semantic, other.semantic, rtol=1e-3, atol=1e-3)
    assert np.mean(one.result().ids == other.result().ids) > 0.999


@pytest.mark.parametrize("make", [scenes, scenes_mask_free])
def test_sixteen_bits_do_all_that_thirty_two_do(make: Callable[[], Config], image: np.ndarray) -> None:
    """Every fusion and the affinities come from a network in bf16; Psi and P stay in 32 bits."""
    segmenter = segmenter_of(tiny(make()))
    exact, scene = segmenter.scene(image), replace(segmenter, bf16=True).scene(image)
    assert scene.panoptic.dtype == torch.float32
    difference = (scene.semantic.float() - exact.semantic).norm() / exact.semantic.norm()
    assert 1e-5 < difference < 0.03
    for fusion in ("affinity", "potential", *(["heuristic"] if segmenter.config.detection.masks else [])):
        assert scene.result(fusion).ids.shape == image.shape[:2]
    assert np.isfinite(scene.affinity(3, 4)).all()
