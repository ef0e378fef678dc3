"""The memory estimate: its parts by hand, its sum against what autograd keeps of a real training step."""

import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tiny import CATEGORIES, HEIGHT, WIDTH, draw, eager, tiny_config, tiny_network
from unipan.build import build_criterion
from unipan.config import Config, DataConfig, TrainConfig
from unipan.datasets.transforms import TrainingTransform, collate
from unipan.panoptic.maps import Sample, panoptic_map
from unipan.presets import cityscapes, coco, scenes
from unipan.training.memory import (
    GIB,
    InputSize,
    MemoryEstimate,
    describe_memory,
    describe_shortage,
    estimate_memory,
    training_size,
)
from unipan.training.step import TrainingStep

ROOT = Path(__file__).resolve().parents[2]
SIZE = InputSize((HEIGHT, WIDTH), (HEIGHT, WIDTH))


def estimate(config: Config, size: InputSize = SIZE, bf16: bool = False, several: bool = False) -> MemoryEstimate:
    network = tiny_network(config).train()
    return estimate_memory(network, build_criterion(config), config, size, bf16, several)


def square(side: int) -> InputSize:
    return InputSize((side, side), (side, side))


def upright(sample: Sample) -> Sample:
    """The sample on its side: tall where it was wide."""
    ids = np.ascontiguousarray(sample.truth.ids.T)
    turned = panoptic_map(ids, {segment.id: segment.category for segment in sample.truth})
    return replace(sample, image=np.ascontiguousarray(sample.image.swapaxes(0, 1)), truth=turned)


def kept(config: Config, images: int, turn: bool = False) -> int:
    """Bytes that autograd keeps of a whole training step, the weights apart; `turn`: every second image is tall."""
    network = tiny_network(config)
    step = TrainingStep(network, build_criterion(config), False).train()
    samples = [upright(draw(number)) if turn and number % 2 else draw(number) for number in range(images)]
    pairs = [TrainingTransform(config.data, CATEGORIES)(sample) for sample in samples]
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
    assert 0.95 * per_image < found.alone < 2.0 * per_image


def test_tall_and_wide_images_of_a_pass_are_padded_to_a_square() -> None:
    config = eager(tiny_config())
    found = estimate(config, InputSize((HEIGHT, WIDTH), (WIDTH, WIDTH)))
    wide, mixed = (kept(config, 4, turn) - kept(config, 2, turn) for turn in (False, True))
    assert found.alone == estimate(config).alone
    assert 0.95 * mixed < 2 * found.beside < 2.0 * mixed
    # What the padding adds, region for region the same: nothing of it was counted.
    assert 0.9 < 2 * (found.beside - found.alone) / (mixed - wide) < 1.1


def test_it_is_linear_in_pixels_and_images() -> None:
    config = tiny_config()
    one, four = estimate(config, square(128)), estimate(config, square(256))
    assert one.fixed == four.fixed
    assert 3 < four.alone / one.alone <= 4  # the regions do not grow
    assert four.alone == four.beside
    assert four.total(3) == four.fixed + 3 * four.beside
    padded = estimate(config, InputSize((128, 256), (256, 256)))
    assert padded.total(1) == padded.fixed + padded.alone
    assert padded.total(2) == padded.fixed + 2 * padded.beside
    assert padded.alone < padded.beside < four.beside  # Psi and P end with the image


@pytest.mark.parametrize(
    ("change", "weights", "learned"),
    [
        ({"optimizer": "sgd"}, 2, 2),
        ({"optimizer": "adamw"}, 2, 3),
        ({"optimizer": "adamw", "ema_decay": 0.9}, 4, 3),
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
    assert estimate(tiny_config(), bf16=True).alone < estimate(tiny_config()).alone


def test_sizes_of_training() -> None:
    assert training_size(cityscapes().data, (0, 0)) == InputSize((512, 1024), (512, 1024))
    assert training_size(coco().data, (0, 0)) == InputSize((800, 1344), (1344, 1344))
    assert training_size(scenes().data, (128, 250)) == InputSize((128, 256), (128, 256))
    scaled = DataConfig(short_side=100, max_side=200, scale=(0.5, 1.5))
    assert training_size(scaled, (0, 0)) == InputSize((160, 320), (320, 320))


def test_the_padded_size_is_the_largest_that_batches_have() -> None:
    """Photographs, tall and wide, through the transforms of `coco` and into batches of two."""
    data = replace(coco().data, short_side=60, max_side=90)
    images = [upright(draw(0)), draw(1), draw(2)]
    pairs = [(TrainingTransform(data, CATEGORIES)(sample)[0], "drawn") for sample in images]
    largest = training_size(data, (0, 0))
    assert tuple(collate(pairs[:1]).pixels.shape[-2:]) == largest.image[::-1]
    assert tuple(collate(pairs[1:]).pixels.shape[-2:]) == largest.image
    assert tuple(collate(pairs[:2]).pixels.shape[-2:]) == largest.padded


def test_a_hint_where_it_is_too_much() -> None:
    found = MemoryEstimate(GIB, 2 * GIB, 2 * GIB, InputSize((512, 1024), (512, 1024)))
    train = TrainConfig(batch_size=32)
    said = describe_memory(found, train, world=4, available=20 * GIB)
    assert "about 17.0 GiB a process for passes of 8 images up to 512 x 1024 (1.0 for" in said
    assert "hint" not in said
    assert "hint: --train.accumulation-steps 4 keeps the batch of 32 with about 5.0 GiB" in describe_memory(
        found, train, 4, 8 * GIB
    )
    assert "hint: --train.accumulation-steps 16 keeps" in describe_memory(found, train, 1, 6 * GIB)
    assert "not even one image" in describe_memory(found, train, 1, 2 * GIB)
    already = describe_memory(found, replace(train, accumulation_steps=4), 4, 8 * GIB)
    assert "passes of 2 images" in already
    assert "hint" not in already


def test_on_a_cpu_the_forecast_holds_what_the_process_has_already() -> None:
    found = MemoryEstimate(GIB, 2 * GIB, 2 * GIB, InputSize((64, 64), (64, 64)), process=3 * GIB)
    said = describe_memory(found, TrainConfig(batch_size=2), world=1, available=20 * GIB)
    assert "memory: about 8.0 GiB a process" in said
    assert "(3.0 held by Python and PyTorch, 1.0 for weights and optimiser, 2.00 an image)" in said
    assert "accumulation-steps 2" in describe_memory(found, TrainConfig(batch_size=2), world=1, available=7 * GIB)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says what is resident")
def test_the_forecast_is_the_peak_that_the_run_tells_at_its_end(
    tmp_path: Path, announce: Callable[[str], None]
) -> None:
    """The two figures of one training, in a process of its own: the peak of this one is that of all tests before."""
    options = (
        "--train.iterations 3 --train.validations 1 --train.batch-size 4 --train.num-workers 0 "
        "--val scenes:990000-990001"
    )
    command = [sys.executable, "-m", "unipan", "train", "scenes", *options.split(), "--out", str(tmp_path / "run")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    [forecast] = re.findall(r"memory: about ([\d.]+) GiB", said)
    [peak] = re.findall(r"peak memory ([\d.]+) GiB", said)
    announce(f"memory of a training of scenes, batch of 4: forecast {forecast} GiB, peak {peak} GiB")
    assert float(forecast) == pytest.approx(float(peak), rel=0.25)


def test_the_hint_counts_one_image_without_padding() -> None:
    found = MemoryEstimate(GIB, 2 * GIB, 5 * GIB, InputSize((800, 1344), (1344, 1344)))
    said = describe_memory(found, TrainConfig(batch_size=4), world=1, available=10 * GIB)
    assert (
        "about 21.0 GiB a process for passes of 4 images up to 800 x 1344, padded to 1344 x 1344 where tall and wide "
        "ones come together (1.0 for weights and optimiser, 5.00 an image)"
    ) in said
    assert "hint: --train.accumulation-steps 4 keeps the batch of 4 with about 3.0 GiB" in said  # two would take 11
    alone = describe_memory(found, TrainConfig(batch_size=4, accumulation_steps=4), world=1, available=10 * GIB)
    assert "about 3.0 GiB a process for passes of 1 image up to 800 x 1344 (1.0 for" in alone


@pytest.mark.parametrize("name", ["cityscapes", "coco"])
def test_the_page_has_what_the_code_counts(name: str) -> None:
    """`python benchmarks/recipes.py --estimates` prints the table of docs/full_size.md."""
    rows = (ROOT / "docs" / "full_size.md").read_text().splitlines()
    [row] = [row for row in rows if row.startswith(f"| `{name}` | ") and "GiB" in row]
    assert row == runpy.run_path(str(ROOT / "benchmarks" / "recipes.py"))["estimate_row"](name)


def test_of_a_shortage_the_first_words_are_told() -> None:
    error = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB of which 1.69 MiB is "
        "free.\nSee documentation for Memory Management."
    )
    assert describe_shortage(error) == "CUDA out of memory. Tried to allocate 20.00 MiB"
    assert describe_shortage(torch.OutOfMemoryError()) == ""
