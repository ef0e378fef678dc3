"""The memory estimate: its parts by hand, its sum beside what autograd keeps of a real training step."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.tiny import CATEGORIES, HEIGHT, WIDTH, draw, eager, tiny_config, tiny_network
from unipan.build import build_criterion
from unipan.config import Config, DataConfig, TrainConfig
from unipan.data.transforms import TrainingTransform, collate
from unipan.engine.memory import GIB, MemoryEstimate, describe_memory, estimate_memory, training_size
from unipan.engine.step import TrainingStep
from unipan.presets import cityscapes, coco, scenes

SIZE = (HEIGHT, WIDTH)


def estimate(config: Config, size: tuple[int, int] = SIZE, bf16: bool = False, several: bool = False) -> MemoryEstimate:
    network = tiny_network(config).train()
    return estimate_memory(network, build_criterion(config), config, size, bf16, several)


def kept(config: Config, images: int) -> int:
    """Bytes that autograd keeps of a whole training step, the weights apart."""
    network = tiny_network(config)
    step = TrainingStep(network, build_criterion(config), False).train()
    pairs = [TrainingTransform(config.data, CATEGORIES)(draw(number)) for number in range(images)]
    batch, targets = collate([(image, "drawn") for image, _ in pairs]), [target for _, target in pairs]
    own = {t.untyped_storage().data_ptr() for t in network.state_dict().values()}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        alive = step(batch, targets)
    del alive
    return sum(sizes.values())


@pytest.mark.parametrize("masks", [True, False])
def test_it_covers_what_a_real_step_keeps(masks: bool) -> None:
    """Never less, and not much more: with every limit reached there is more than an untrained network uses."""
    config = eager(tiny_config(masks=masks))
    found = estimate(config)
    per_image = kept(config, 3) - kept(config, 2)
    assert 0.95 * per_image < found.per_image < 2.0 * per_image


def test_it_is_linear_in_pixels_and_images() -> None:
    config = tiny_config()
    one, four = estimate(config, (128, 128)), estimate(config, (256, 256))
    assert one.fixed == four.fixed
    assert 3 < four.per_image / one.per_image <= 4  # the regions do not grow
    assert four.total(3) == four.fixed + 3 * four.per_image


@pytest.mark.parametrize(
    ("change", "weights", "learned"),
    [
        ({"optimizer": "sgd"}, 2, 2),
        ({"optimizer": "adamw"}, 2, 3),
        ({"optimizer": "adamw", "average": 0.9}, 4, 3),
    ],
)
def test_the_fixed_part_by_hand(change: dict[str, object], weights: int, learned: int) -> None:
    config = tiny_config()
    config = replace(config, train=replace(config.train, **change))  # type: ignore[arg-type]
    network = tiny_network(config)
    network.backbone.resnet.conv1.requires_grad_(False)
    bytes_of = [
        sum(t.nbytes for t in [*network.parameters(), *network.buffers()]),
        sum(p.nbytes for p in network.parameters() if p.requires_grad),
    ]
    for several in (False, True):
        found = estimate_memory(network, build_criterion(config), config, SIZE, False, several)
        wanted = weights * bytes_of[0] + (learned + several) * bytes_of[1]
        assert wanted <= found.fixed < 1.1 * wanted


def test_it_leaves_no_trace() -> None:
    network = tiny_network().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    estimate_memory(network, build_criterion(tiny_config()), tiny_config(), SIZE, True, False)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in network.parameters())


def test_half_precision_keeps_less() -> None:
    assert estimate(tiny_config(), bf16=True).per_image < estimate(tiny_config()).per_image


def test_sizes_of_training() -> None:
    assert training_size(cityscapes().data, (0, 0)) == (512, 1024)
    assert training_size(coco().data, (0, 0)) == (800, 1344)
    assert training_size(scenes().data, (128, 250)) == (128, 256)
    assert training_size(DataConfig(short_side=100, max_side=200, scale=(0.5, 1.5)), (0, 0)) == (160, 320)


def test_a_hint_where_it_is_too_much() -> None:
    found = MemoryEstimate(fixed=GIB, per_image=2 * GIB, size=(512, 1024))
    train = TrainConfig(batch=32)
    said = describe_memory(found, train, world=4, available=20 * GIB)
    assert "about 17.0 GiB a process for passes of 8 images up to 512 x 1024 (1.0 for" in said
    assert "hint" not in said
    assert "hint: --train.accumulate 4 keeps the batch of 32 with about 5.0 GiB" in describe_memory(
        found, train, 4, 8 * GIB
    )
    assert "hint: --train.accumulate 16 keeps" in describe_memory(found, train, 1, 6 * GIB)
    assert "not even one image" in describe_memory(found, train, 1, 2 * GIB)
    already = describe_memory(found, replace(train, accumulate=4), 4, 8 * GIB)
    assert "passes of 2 images" in already
    assert "hint" not in already
