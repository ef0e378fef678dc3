"""A network, a dataset and batches that are small enough for every test: 64 x 96 pixels, two things, two stuffs."""

from dataclasses import replace

import numpy as np
import torch
import torchvision
from torch import Tensor

from unipan.build import build_network
from unipan.config import (
    AffinityConfig,
    BackboneConfig,
    Config,
    DataConfig,
    DecoderConfig,
    DetectionConfig,
    LossConfig,
    TrainConfig,
)
from unipan.models.network import PanopticNetwork
from unipan.models.potential import DynamicPotential
from unipan.ops.boxes import boxes_of
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import VOID, Sample, panoptic_map
from unipan.structures import Detections, ImageBatch, Target

HEIGHT, WIDTH = 64, 96
T, S = 2, 2
CATEGORIES = Categories(
    (
        Category(7, "disc", True, (200, 40, 40)),
        Category(3, "box", True, (40, 200, 40)),
        Category(9, "sky", False, (60, 60, 220)),
        Category(4, "ground", False, (120, 120, 120)),
    )
)


def tiny_config(masks: bool = True) -> Config:
    """Every part of the network, at the least width."""
    return Config(
        name="tiny",
        backbone=BackboneConfig(depth=18, width=8, fpn_channels=16, weights="none", frozen=False),
        decoder=DecoderConfig(layers=2, channels=8, deformable=False, groups=4),
        detection=DetectionConfig(
            masks=masks,
            anchor_sizes=(8, 16, 24, 32, 64),
            anchor_ratios=(1.0,),
            rpn_pre_nms=(20, 20),
            rpn_post_nms=(16, 16),
            rpn_batch_size=16,
            roi_batch_size=16,
            roi_canonical=64,
            sampling_ratio=1,
            box_features=8,
            mask_channels=8,
            mask_layers=1,
            max_detections=8,
        ),
        affinity=AffinityConfig(channels=8),
        loss=LossConfig(semantic_stride=4),
        data=DataConfig(short_side=0, pad=True),
        train=TrainConfig(
            iterations=6, batch_size=2, optimizer="adamw", lr=1e-3, warmup=0, validations=2, precision="32"
        ),
    )


def tiny_network(config: Config | None = None, seed: int = 0) -> PanopticNetwork:
    torch.manual_seed(seed)
    return build_network(config or tiny_config(), CATEGORIES)


def potential_of(variant: str, void_channel: bool = False) -> DynamicPotential:
    return DynamicPotential(variant=variant, num_things=T, stride=4, void_channel=void_channel)  # type: ignore[arg-type]


def draw(seed: int, things: int = 3) -> Sample:
    """Sky above ground, rectangles of both thing classes before them, one line of void at the bottom."""
    rng = np.random.default_rng(seed)
    ids = np.full((HEIGHT, WIDTH), 1, np.int32)
    ids[HEIGHT // 2 :] = 2
    classes = {1: CATEGORIES[2], 2: CATEGORIES[3]}
    for number in range(things):
        height, width = rng.integers(14, 30, 2)
        y, x = rng.integers(0, HEIGHT - height), rng.integers(0, WIDTH - width)
        ids[y : y + height, x : x + width] = 10 + number
        classes[10 + number] = CATEGORIES[int(rng.integers(2))]
    ids[-2:] = 0
    present = set(np.unique(ids).tolist())
    truth = panoptic_map(ids, {key: value for key, value in classes.items() if key in present})
    palette = {0: (0, 0, 0)} | {s.id: s.category.color for s in truth}
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for key, color in palette.items():
        image[ids == key] = color
    noise = rng.integers(0, 30, image.shape)
    return Sample(np.clip(image + noise, 0, 255).astype(np.uint8), truth, seed, f"drawn_{seed}.png")


class Drawn:
    """`draw` as a dataset; `things[i]` rectangles in image i."""

    categories = CATEGORIES

    def __init__(self, things: list[int], first: int = 0) -> None:
        self.things, self.first = things, first

    def __len__(self) -> int:
        return len(self.things)

    def __getitem__(self, index: int) -> Sample:
        return draw(self.first + index, self.things[index])


def target(instances: Tensor, classes: list[int], semantic: Tensor) -> Target:
    return Target(boxes_of(instances, len(classes)), torch.tensor(classes, dtype=torch.long), instances, semantic)


def square_target(void: bool = False, things: bool = True, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Target:
    """A disc at the left, a box at the right, sky above ground; or without things; or nothing but void."""
    instances = torch.full(size, VOID)
    semantic = torch.full(size, VOID)
    if void:
        return target(instances, [], semantic)
    semantic[:] = 2
    semantic[size[0] // 2 :] = 3
    if not things:
        return target(instances, [], semantic)
    for row, (y, x) in enumerate([(8, 8), (24, 56)]):
        instances[y : y + 24, x : x + 28] = row
        semantic[y : y + 24, x : x + 28] = row
    return target(instances, [0, 1], semantic)


def image_batch(count: int = 1, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> ImageBatch:
    pixels = torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))
    return ImageBatch(pixels, [size] * count, [f"image {i}" for i in range(count)])


def random_detections(
    count: int, masks: bool = True, cells: int = 28, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Detections:
    """Boxes inside the image, some thinner than a cell."""
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=g, dtype=dtype) * torch.tensor([WIDTH - 2.0, HEIGHT - 2.0], dtype=dtype)
    size = 1 + torch.rand(count, 2, generator=g, dtype=dtype) * 40
    end = torch.minimum(corner + size, torch.tensor([WIDTH, HEIGHT], dtype=dtype))
    return Detections(
        torch.cat([corner, end], 1),
        torch.rand(count, generator=g, dtype=dtype),
        torch.randint(T, (count,), generator=g),
        torch.randn(count, cells, cells, generator=g, dtype=dtype) if masks else None,
    )


def eager(config: Config) -> Config:
    """With an untrained network too, detections pass the thresholds."""
    return replace(config, detection=replace(config.detection, score_threshold=0.0))


def resnet_state(depth: int) -> dict[str, Tensor]:
    """What a torchvision weight file holds, with batch-norm statistics that are not the initial ones."""
    state: dict[str, Tensor] = getattr(torchvision.models, f"resnet{depth}")(weights=None).state_dict()
    generator = torch.Generator().manual_seed(depth)
    for key, value in state.items():
        if "running" in key:
            state[key] = torch.rand(value.shape, generator=generator) + 0.5
    return state
