"""torchvision's detectors as ours: on random weights both find the same boxes, scores, classes and masks."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.detection import MaskRCNN
from torchvision.ops import FrozenBatchNorm2d

from unipan.build import build_network
from unipan.checkpoint import load_checkpoint, save_checkpoint
from unipan.datasets.formats.coco_classes import coco_categories
from unipan.datasets.transforms import collate
from unipan.interop import torchvision as foreign
from unipan.interop.moves import Imported
from unipan.interop.torchvision import from_torchvision, import_torchvision, model_of
from unipan.models.network import PanopticNetwork

HEIGHT, WIDTH = 128, 160
UNUSED = sorted(set(range(1, 91)) - {thing.id for thing in coco_categories().things})


def model(name: str = "maskrcnn_resnet50_fpn") -> nn.Module:
    """torchvision's own, its weights such that scores lie apart and classes that COCO never used have none."""
    torch.manual_seed(0)
    made: nn.Module = get_model(name, weights=None, weights_backbone=None, min_size=HEIGHT, max_size=WIDTH)
    for each in made.modules():
        if isinstance(each, nn.BatchNorm2d):
            for part in (each.weight, each.running_var):
                part.data.uniform_(0.5, 1.5)
            for part in (each.bias, each.running_mean):
                part.data.normal_(std=0.1)
        if isinstance(each, nn.BatchNorm2d) and each.num_features in (256, 512, 1024, 2048):
            each.weight.data *= 0.5
    predictor = made.roi_heads.box_predictor
    predictor.cls_score.weight.data *= 60
    predictor.bbox_pred.weight.data *= 5
    predictor.cls_score.bias.data[UNUSED] = -1e4
    return made.eval()


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    return model()


@pytest.fixture(scope="module")
def imported(theirs: nn.Module) -> Imported:
    return import_torchvision(theirs, "maskrcnn_resnet50_fpn", "random")


@pytest.fixture(scope="module")
def network(imported: Imported) -> PanopticNetwork:
    made = build_network(imported.config, imported.categories)
    made.load_state_dict(imported.state)
    return made.eval()


def image() -> Tensor:
    return torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


def test_boxes_scores_classes_and_masks_are_torchvisions(theirs: MaskRCNN, network: PanopticNetwork) -> None:
    batch = collate([(image(), "image")])
    with torch.no_grad():
        images, _ = theirs.transform([image()])
        normalised = (batch.pixels - network.mean) / network.std
        torch.testing.assert_close(images.tensors, normalised)
        levels = theirs.backbone(images.tensors)
        own = network.backbone(normalised)
        for expected, found in zip(levels.values(), own.values(), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))
        proposals, _ = theirs.rpn(images, levels)
        (expected,), _ = theirs.roi_heads(levels, proposals, images.image_sizes)
        (found,), _ = network.detection(own, batch)
    things = coco_categories().things
    assert len(found) == len(expected["labels"]) > 20
    assert len(found.classes.unique()) > 2
    torch.testing.assert_close(found.scores, expected["scores"], rtol=1e-4, atol=1e-4)
    assert [things[label].id for label in found.classes] == expected["labels"].tolist()
    torch.testing.assert_close(found.boxes, expected["boxes"], rtol=1e-4, atol=1e-2)
    assert found.masks is not None
    torch.testing.assert_close(found.masks.sigmoid(), expected["masks"][:, 0], rtol=1e-4, atol=1e-4)


def test_every_tensor_of_backbone_and_detector_comes_from_there(theirs: nn.Module, imported: Imported) -> None:
    """But squeeze-and-excite, which torchvision lacks."""
    rows = foreign.torchvision_moves(
        theirs.state_dict(), dict.fromkeys(norms_of(theirs), 1e-5), imported.categories, imported.config
    )
    ours = {k for k in imported.state if k.startswith(("backbone.", "detection.")) and ".excite." not in k}
    assert {move.target for move in rows if not move.target.endswith("num_batches_tracked")} == ours
    assert imported.moved == len(ours) == 307


def norms_of(theirs: nn.Module) -> list[str]:
    return [name for name, each in theirs.named_modules() if isinstance(each, nn.BatchNorm2d | FrozenBatchNorm2d)]


def test_squeeze_and_excite_starts_as_nothing_and_learns(network: PanopticNetwork) -> None:
    top = torch.randn(2, 2048, 3, 4)
    assert torch.equal(network.backbone.excite(top), top / 2)
    excite = network.backbone.excite.train()
    excite(top).square().sum().backward()
    assert float(excite.fc2.weight.grad.abs().max()) > 0
    network.zero_grad(set_to_none=True)
    network.eval()


def test_an_untrained_v_names_no_stuff(network: PanopticNetwork) -> None:
    with torch.no_grad():
        v = network.semantic(network.backbone(torch.randn(1, 3, 64, 64)))[0]
    assert (v.argmax(0) < 80).all()


def test_the_published_file_is_for_a_batch_norm_without_epsilon(theirs: nn.Module, tmp_path: Path) -> None:
    """Frozen weights as torchvision publishes them, under the names of its first versions."""
    old = {key: value for key, value in theirs.state_dict().items() if not key.endswith("num_batches_tracked")}
    for part in ("weight", "bias"):
        old[f"rpn.head.conv.{part}"] = old.pop(f"rpn.head.conv.0.0.{part}")
        for i in range(4):
            old[f"backbone.fpn.inner_blocks.{i}.{part}"] = old.pop(f"backbone.fpn.inner_blocks.{i}.0.{part}")
            old[f"backbone.fpn.layer_blocks.{i}.{part}"] = old.pop(f"backbone.fpn.layer_blocks.{i}.0.{part}")
            old[f"roi_heads.mask_head.mask_fcn{i + 1}.{part}"] = old.pop(f"roi_heads.mask_head.{i}.0.{part}")
    path = tmp_path / "maskrcnn.pth"
    torch.save(old, path)
    found = from_torchvision("maskrcnn_resnet50_fpn", path)
    name = "backbone.resnet.layer3.1.bn2.running_var"
    torch.testing.assert_close(found.state[name] + 1e-5, old["backbone.body.layer3.1.bn2.running_var"])
    own = FrozenBatchNorm2d(256)
    own.load_state_dict({k: found.state[name.replace("running_var", k)] for k in own.state_dict()})
    x = torch.randn(1, 256, 2, 2)
    weight, bias, mean, var = (
        old[f"backbone.body.layer3.1.bn2.{k}"][:, None, None] for k in ("weight", "bias", "running_mean", "running_var")
    )
    torch.testing.assert_close(own(x), (x - mean) / var.sqrt() * weight + bias)
    out = tmp_path / "net.safetensors"
    save_checkpoint(out, found.state, found.config, found.categories, found.metrics, half=True)
    opened = load_checkpoint(out)
    assert opened.metrics["imported"] == "torchvision:maskrcnn_resnet50_fpn"
    assert opened.metrics["status"].startswith("unverified")


def test_faster_rcnn_makes_a_mask_free_network() -> None:
    found = import_torchvision(model("fasterrcnn_resnet50_fpn"), "fasterrcnn_resnet50_fpn", "random")
    assert not found.config.detection.masks
    assert not any("mask" in name for name in found.state)
    with torch.device("meta"):
        network = build_network(found.config, found.categories)
    network.load_state_dict(found.state, assign=True)


def test_what_cannot_be_imported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"torchvision:maskrcnn_resnet50_fpn_v2: "):
        from_torchvision("maskrcnn_resnet50_fpn_v2")
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(
        ValueError, match=r"not the weights of torchvision's maskrcnn_resnet50_fpn \(Missing key"
    ) as caught:
        from_torchvision("maskrcnn_resnet50_fpn", tmp_path / "a.pth")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(FileNotFoundError, match=r"no route to host.*coco.*pth.*--file"):
        from_torchvision("maskrcnn_resnet50_fpn")


def test_a_model_keeps_its_own_epsilon(theirs: nn.Module, imported: Imported) -> None:
    """A model that runs with epsilon 1e-5, as one trained from torchvision's backbones does, moves as it is."""
    name = "layer1.0.bn1.running_var"
    torch.testing.assert_close(imported.state[f"backbone.resnet.{name}"], theirs.state_dict()[f"backbone.body.{name}"])
    free = model_of("maskrcnn_resnet50_fpn", theirs.state_dict(), "random")
    assert {each.eps for each in free.modules() if isinstance(each, nn.BatchNorm2d)} == {0.0}
