"""detectron2's Panoptic FPN: every name and shape, and the outputs of a naive form under detectron2's own names."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.interop import reference
from unipan.build import build_network
from unipan.checkpoint import load_checkpoint, save_checkpoint
from unipan.datasets.formats.coco_classes import coco_categories
from unipan.datasets.transforms import collate
from unipan.interop.detectron2 import UNVERIFIED_DETECTRON2, from_detectron2, import_detectron2
from unipan.interop.moves import Imported
from unipan.models.network import PanopticNetwork
from unipan.ops.boxes import inside
from unipan.ops.masks import paste
from unipan.scene import Scene
from unipan.structures import Geometry, PanopticOutput

HEIGHT, WIDTH = 64, 96


def blank(depth: int) -> dict[str, Tensor]:
    """Full names and shapes without the memory."""
    return {name: torch.zeros(1).expand(shape) for name, shape in reference.shapes(depth).items()}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return reference.random_state()


@pytest.fixture(scope="module")
def imported(state: dict[str, Tensor]) -> Imported:
    return import_detectron2(state, "random")


@pytest.fixture(scope="module")
def network(imported: Imported) -> PanopticNetwork:
    made = build_network(imported.config, imported.categories)
    made.load_state_dict(imported.state)
    return made.eval()


def image() -> Tensor:
    return torch.randint(0, 256, (3, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(1)).float()


@pytest.fixture(scope="module")
def output(network: PanopticNetwork) -> PanopticOutput:
    with torch.no_grad():
        return network(collate([(image() / 255, "image")]))


@pytest.fixture(scope="module")
def levels(state: dict[str, Tensor]) -> list[Tensor]:
    return reference.pyramid(image()[None], state)


@pytest.mark.parametrize(("depth", "tensors"), [(50, 330), (101, 585)])
def test_every_tensor_of_the_full_network_has_its_place(depth: int, tensors: int) -> None:
    found = import_detectron2(blank(depth), "blank")
    assert (found.config.backbone.depth, found.moved) == (depth, tensors)
    assert found.categories == coco_categories()
    with torch.device("meta"):
        network = build_network(found.config, found.categories)
    assert {k: v.shape for k, v in found.state.items()} == {k: v.shape for k, v in network.state_dict().items()}


def test_features_are_those_of_the_naive_form(network: PanopticNetwork, levels: list[Tensor]) -> None:
    """BGR, pixel mean, the stride in the 1x1, frozen batch norm, the FPN."""
    with torch.no_grad():
        found = network.backbone((image()[None] / 255 - network.mean) / network.std)
    for expected, own in zip(levels, found.values(), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


def test_v_says_what_the_54_channels_say(
    output: PanopticOutput, state: dict[str, Tensor], levels: list[Tensor]
) -> None:
    expected = reference.semantic(levels, state)[0]
    found = output.semantic[0]
    assert found.shape[0] == 133
    torch.testing.assert_close(found[80:], expected[1:], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[:80], expected[:1].expand(80, -1, -1), rtol=1e-3, atol=1e-3)
    winner = expected.argmax(0)
    assert len(winner.unique()) > 5
    assert torch.equal((found.argmax(0) - 79).clamp(min=0), winner)


def test_detections_are_those_of_the_naive_form(
    output: PanopticOutput, state: dict[str, Tensor], levels: list[Tensor]
) -> None:
    boxes, scores, classes, masks = reference.instances(levels, state, HEIGHT, WIDTH)
    found = output.candidates[0]
    assert len(found) == len(scores) > 10
    assert len(classes.unique()) > 3
    torch.testing.assert_close(found.scores, scores, rtol=1e-3, atol=1e-4)
    assert found.classes.tolist() == classes.tolist()
    torch.testing.assert_close(found.boxes, boxes, rtol=1e-3, atol=1e-2)
    assert found.masks is not None
    torch.testing.assert_close(found.masks, masks, rtol=1e-2, atol=1e-2 * float(masks.std()))


@pytest.mark.parametrize("lift", [0.0, 6.0, 8.0])
def test_copies_of_the_thing_channel_leave_the_argmax_of_psi(
    lift: float, output: PanopticOutput, network: PanopticNetwork
) -> None:
    """Psi of 54 channels, thing k being s V_0 M inside its box, has the same winners as ours of 133."""
    found, stride = output.candidates[0], network.potential.stride
    v = output.semantic[0].clone()
    v[:80] += lift  # random weights see no things
    there = torch.cat([v[:1], v[80:]]).softmax(0)
    ours = network.potential(v, found)
    assert found.masks is not None
    m = paste(found.masks.sigmoid(), found.boxes, *there.shape[1:], stride)
    things = found.scores[:, None, None] * there[0] * m * inside(found.boxes, *there.shape[1:], stride)
    theirs = torch.cat([things, there[1:]])
    factor = there[0] / v.softmax(0)[0]  # one per pixel, the softmaxes' denominators
    torch.testing.assert_close(ours * factor, theirs)
    assert (factor > 1).all()
    best, second = theirs.topk(2, 0).values
    clear = best - second > 1e-5 * best  # boxes that overlap may have the same value; then rounding decides
    assert clear.float().mean() > 0.9
    winners = theirs.argmax(0)
    assert torch.equal(ours.argmax(0)[clear], winners[clear])
    things_win = float((winners < len(found)).float().mean())
    assert things_win == 0 if lift == 0 else 0.1 < things_win < 0.9


def test_the_checkpoint_opens_and_says_that_it_is_unverified(imported: Imported, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, imported.state, imported.config, imported.categories, imported.metrics, half=True)
    found = load_checkpoint(path)
    assert found.metrics == {"imported": "random", "status": UNVERIFIED_DETECTRON2}
    assert UNVERIFIED_DETECTRON2.startswith("unverified numerically")
    assert found.config.inference.fusion == "heuristic"
    pixels = image().byte().permute(1, 2, 0).numpy()
    with torch.no_grad():
        run = found.network(collate([(image() / 255, "image")]))
    size = (HEIGHT, WIDTH)
    geometry = Geometry(size, size, found.config.decoder.stride)
    scene = Scene(np.ascontiguousarray(pixels), "image", run, geometry, found.config, found.categories, None)
    result = scene.result()
    assert result.ids.shape == size
    assert len(result) > 0


def test_a_pickle_of_the_zoos_kind(tmp_path: Path) -> None:
    """Numpy arrays under `model`, anchors and pixel mean along with them, as older versions wrote."""
    arrays = {name: np.zeros(shape, np.float16) for name, shape in reference.shapes(50).items()}
    for level, side in enumerate((32, 64, 128, 256, 512)):
        w = side / np.sqrt([0.5, 1, 2])
        cells = np.stack([-w, -side * side / w, w, side * side / w], 1) / 2
        arrays[f"proposal_generator.anchor_generator.cell_anchors.{level}"] = cells.astype(np.float32)
    arrays["pixel_mean"] = np.array([103.53, 116.28, 123.675], np.float32).reshape(3, 1, 1)
    arrays["pixel_std"] = np.ones((3, 1, 1), np.float32)
    path = tmp_path / "model_final.pkl"
    with path.open("wb") as file:
        pickle.dump({"model": arrays, "__author__": "Detectron2 Model Zoo"}, file, 2)
    found = from_detectron2(path)
    assert found.moved == 330 + 7
    assert found.metrics["imported"] == "detectron2:model_final.pkl"


def refused(tensors: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        import_detectron2(tensors, "file.pkl")
    assert str(caught.value).startswith("file.pkl: not a Panoptic FPN of detectron2")
    assert "\n" not in str(caught.value)


def test_a_tensor_too_few_too_many_or_of_another_shape_is_named() -> None:
    fine = blank(50)
    missing = dict(fine)
    del missing["sem_seg_head.p5.4.norm.bias"]
    refused(missing, r"sem_seg_head\.p5\.4\.norm\.bias is missing\)")
    refused(fine | {"roi_heads.keypoint": torch.zeros(1)}, r"roi_heads\.keypoint is left over\)")
    score = "roi_heads.box_predictor.cls_score.weight"
    refused(fine | {score: torch.zeros(9, 1024)}, r"cls_score\.weight has shape \(9, 1024\) instead of \(81, 1024\)\)")
    refused(fine | {score: torch.full((81, 1024), torch.nan)}, "cls_score.weight holds numbers that are not finite")
    refused(fine | {score: torch.zeros(81, 1024, dtype=torch.int64)}, r"cls_score\.weight holds torch\.int64, not real")
    detector = {name: value for name, value in fine.items() if not name.startswith("sem_seg_head")}
    refused(detector, "sem_seg_head.p2.0.weight is missing; .*; and 20 more")
    no_mean = {
        name: value for name, value in fine.items() if name != "backbone.bottom_up.res3.1.conv2.norm.running_mean"
    }
    refused(no_mean, "conv2.norm.running_mean is missing")
    refused({name: value for name, value in fine.items() if ".res4.5." not in name}, "its res4 has 5 blocks")
    refused({"conv1.weight": torch.zeros(1)}, "its res4 has 0 blocks")


def test_other_anchors_and_means_are_refused() -> None:
    anchors = "proposal_generator.anchor_generator.cell_anchors.0"
    refused(blank(50) | {anchors: torch.zeros(3, 4)}, rf"its {anchors} is \[0\.0.*, not \[-22\.63, -11\.31")
    refused(blank(50) | {"pixel_mean": torch.tensor([123.675, 116.28, 103.53])}, r"its pixel_mean is \[123\.68")
    refused(
        blank(50) | {"pixel_std": torch.tensor([57.4, 57.1, 58.4])}, r"its pixel_std is .* not \[1\.0, 1\.0, 1\.0\]"
    )


def test_batch_norm_statistics_of_caffe_are_mean_0_and_variance_1() -> None:
    found = import_detectron2({k: v for k, v in blank(50).items() if "running_" not in k}, "caffe")
    assert (found.state["backbone.resnet.layer4.2.bn3.running_var"] == 1).all()
    assert (found.state["backbone.resnet.bn1.running_mean"] == 0).all()
