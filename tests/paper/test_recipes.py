"""Every published recipe, and both baselines in two of them, builds and takes real steps on data of its own format.

Narrower than the paper (width 8 in place of 64), otherwise the same: ResNet-50 and -101, deformable decoders, Lovasz,
masks, crops. `make test-long` takes the steps of the published recipes at full width.
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from unipan.build import build_criterion, build_network
from unipan.cli import main
from unipan.config import Config
from unipan.datasets.formats.cityscapes import CITYSCAPES, OFFSET, cityscapes_split
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.transforms import TrainingTransform, collate
from unipan.models.semantic import DeformableConv
from unipan.panoptic.png import png_of_rgb
from unipan.presets import BASELINES, PUBLISHED, preset
from unipan.training.schedule import make_optimizer, set_learning_rate
from unipan.training.step import TrainingStep

CROP = (64, 128)
BASES = {data: [name for name in PUBLISHED if name.startswith(data)] for data in ("cityscapes", "coco")}
"""By data, the published recipes."""
TAUGHT = ("backbone.resnet.layer4", "backbone.fpn", "semantic.", "detection.rpn")


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn streets in the layout of Cityscapes: instance ids by label id, two cities in train, one in val."""
    root = tmp_path_factory.mktemp("cityscapes")
    data = Scenes(range(5), size=(128, 256))
    label_of = {category.name: category.id for category in CITYSCAPES}
    for index, (split, city) in enumerate([("train", "ulm"), ("train", "bochum"), ("train", "ulm"), ("val", "lindau")]):
        sample, stem = data[index], f"{city}_000000_{index:06d}"
        labels = np.zeros(sample.truth.ids.shape, np.uint16)
        for number, segment in enumerate(sample.truth):
            label = label_of[segment.category.name]
            labels[sample.truth.ids == segment.id] = label * OFFSET + number if segment.isthing else label
        for part, name in (("gtFine", f"{stem}_gtFine_instanceIds.png"), ("leftImg8bit", f"{stem}_leftImg8bit.png")):
            (root / part / split / city).mkdir(parents=True, exist_ok=True)
            path = root / part / split / city / name
            if part == "gtFine":
                cv2.imwrite(str(path), labels)
            else:
                path.write_bytes(png_of_rgb(sample.image))
    return root


def narrow(config: Config) -> Config:
    """The recipe with few channels and small images; kinds, limits and structure stay."""
    small = {"crop": CROP, "short_side": 128, "max_side": 256} if config.data.crop != (0, 0) else {}
    return replace(
        config,
        backbone=replace(config.backbone, width=8, fpn_channels=16),
        decoder=replace(config.decoder, channels=16, groups=4),
        detection=replace(config.detection, box_features=16, mask_channels=8),
        affinity=replace(config.affinity, channels=8),
        data=replace(config.data, **(small or {"short_side": 96, "max_side": 160})),  # type: ignore[arg-type]
    )


def take_steps(config: Config, data: PanopticData) -> None:
    """Two steps with the recipe's own optimiser; the second shows that the first did no harm."""
    torch.manual_seed(0)
    network = build_network(config, data.categories)
    for name, buffer in network.named_buffers():
        if name.endswith("bn3.weight"):  # stands in for pretrained weights, whose residuals are small
            buffer.fill_(0.1)
    assert any(isinstance(module, DeformableConv) for module in network.modules()) == config.decoder.deformable
    step = TrainingStep(network, build_criterion(config), False).train()
    optimizer, transform = make_optimizer(step, config.train), TrainingTransform(config.data, data.categories)
    pairs = [transform(data[index]) for index in range(2)]
    assert any(len(target.classes) for _, target in pairs)
    images, targets = collate([(image, "image") for image, _ in pairs]), [target for _, target in pairs]
    frozen = {name: p.clone() for name, p in network.named_parameters() if not p.requires_grad}
    free = {name: p.clone() for name, p in network.named_parameters() if p.requires_grad}
    taught = [*TAUGHT, *["affinity.phi0", "affinity.phi1"] * config.affinity.enabled]
    taught += ["detection.mask_predictor"] * config.detection.masks
    wanted = {"rpn_objectness", "rpn_box", "box_class", "box_regression", "semantic"}
    wanted |= {name for name, there in (("panoptic", config.loss.panoptic), ("mask", config.detection.masks)) if there}
    assert {name.split(".")[2] for name in frozen} == {"conv1", "layer1"}
    for iteration in range(2):
        set_learning_rate(optimizer, iteration, config.train)
        terms = step(images, targets)
        assert set(terms) == wanted
        assert all(torch.isfinite(term) for term in terms.values()), terms
        step.criterion.total(terms).backward()
        for part in taught:
            grads = [p.grad for n, p in network.named_parameters() if n.startswith(part) and p.requires_grad]
            assert all(grad is not None for grad in grads)
            assert any(grad.abs().sum() > 0 for grad in grads if grad is not None), part
        optimizer.step()
        optimizer.zero_grad()
    now = dict(network.named_parameters())
    assert all(torch.equal(now[name], value) for name, value in frozen.items())
    assert all(not torch.equal(now[name], value) for name, value in free.items() if value.ndim > 1)


@pytest.mark.parametrize("name", [*BASES["cityscapes"], *[f"cityscapes_{baseline}" for baseline in BASELINES]])
def test_steps_on_the_layout_of_cityscapes(name: str, street: Path) -> None:
    config = narrow(preset(name))
    data = cityscapes_split(street, "train")
    image, target = TrainingTransform(config.data, data.categories)(data[0])
    assert image.shape[1] <= CROP[0]
    assert target.semantic.shape == image.shape[1:]
    take_steps(config, data)


@pytest.mark.real_data
@pytest.mark.parametrize("name", [*BASES["coco"], *[f"coco_{baseline}" for baseline in BASELINES]])
def test_steps_on_photographs_of_coco(name: str, shared_data: Path) -> None:
    data = CocoPanoptic(shared_data / ("coco2" if "r101" in name else "coco20"))
    assert len(data.categories) == 133
    take_steps(narrow(preset(name)), data)


def test_the_command_says_rule_memory_and_time(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    narrower = [
        "--init", "none", "--backbone.depth", "18", "--backbone.width", "8", "--backbone.fpn-channels", "16",
        "--decoder.channels", "16", "--decoder.groups", "4", "--detection.box-features", "16",
        "--detection.mask-channels", "8", "--affinity.channels", "8", "--data.short-side", "128",
        "--data.max-side", "256", "--data.crop", "64", "128", "--train.batch-size", "2", "--train.iterations", "1",
        "--train.validation-images", "1", "--train.num-workers", "0", "--train.precision", "32", "--accelerator", "cpu",
    ]  # fmt: skip
    assert main(["train", "cityscapes", "--data", str(street), "--out", str(tmp_path / "run"), *narrower]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "batch 2 instead of the recipe's 32, so by the linear rule: lr 0.01 -> 0.000625" in said
    assert "iterations 1 " in said
    assert "GiB a process for passes of 2 images up to 64 x 128" in said
    assert said.index("memory: about") < said.index("a step takes")
    assert "anchors 32 64 128 256 512 px" in said  # published numbers are not fitted to the data
