"""An estimate of the memory of a training step, made before the first one.

What autograd saves for the backward pass is measured with hooks, on small inputs of two sizes, and extrapolated: every
part is linear in the number of pixels or regions. Weights, gradients and optimiser state are counted exactly. Regions
are counted as if every limit were reached (512 sampled proposals, 100 detections), so the estimate is high early in
training. `docs/full_size.md` compares it with measured peaks.
"""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from unipan.config import Config, DataConfig, TrainConfig
from unipan.datasets.sizes import MULTIPLE, scaled_size
from unipan.models.criterion import Criterion
from unipan.models.detection.head import DetectionHead
from unipan.models.network import PanopticNetwork, crop
from unipan.panoptic.maps import VOID
from unipan.structures import Detections, PanopticOutput, Target

TILE = 128
"""Pixels a side of the small inputs: two cells of P6."""
FLOAT = 4
GIB = 2**30


@dataclass(frozen=True)
class InputSize:
    """The largest height and width that the network sees in training.

    Attributes:
        image: of the largest image, in whole cells of the coarsest level.
        padded: of a pass of several images, which are padded to one size: a tall and a wide one make a square.
    """

    image: tuple[int, int]
    padded: tuple[int, int]


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one process or GPU.

    Attributes:
        fixed: weights, gradients, optimiser state, EMA, and the copy that is kept while the first steps are timed.
        alone: for the image of a backward pass with a single image.
        beside: for each image of a backward pass with several.
        size: for which both were computed.
        process: what the process holds before the first step, in the memory that is counted: on a CPU Python, PyTorch
            and the data are in it.
    """

    fixed: int
    alone: int
    beside: int
    size: InputSize
    process: int = 0

    def per_image(self, images: int) -> int:
        """Bytes per image of a backward pass with this many images."""
        return self.alone if images == 1 else self.beside

    def total(self, images: int) -> int:
        """Bytes of a backward pass with this many images."""
        return self.process + self.fixed + images * self.per_image(images)


def estimate_memory(
    network: PanopticNetwork, criterion: Criterion, config: Config, size: InputSize, bf16: bool, several: bool
) -> MemoryEstimate:
    """Count a training step.

    Args:
        network: on its device; small forward passes in evaluation mode leave no trace in it.
        criterion: its losses.
        config: of the experiment.
        size: of the largest image, and of the largest batch.
        bf16: whether the step runs under autocast.
        several: whether there are other processes, which cost a second set of gradients (DDP's buckets).
    """
    count = _Count(network, criterion, config, bf16)
    training = network.training
    network.eval()
    try:
        parts = _Parts(network.semantic.out_channels, *map(count.linear, count.parts()))
    finally:
        network.train(training)
    alone, beside = (round(_per_image(parts, config, size.image, padded)) for padded in (size.image, size.padded))
    return MemoryEstimate(_fixed(network, config.train, several) + parts.intercept, alone, beside, size)


@dataclass(frozen=True)
class _Line:
    slope: int
    intercept: int


@dataclass(frozen=True)
class _Parts:
    """The parts of a step: `losses` grows with the image; `padding` is the same if only the padded batch grows."""

    classes: int
    trunk: _Line
    losses: _Line
    padding: _Line
    box: _Line
    mask: _Line

    @property
    def intercept(self) -> int:
        return sum(part.intercept for part in (self.trunk, self.losses, self.box, self.mask))


def _per_image(parts: _Parts, config: Config, image: tuple[int, int], padded: tuple[int, int]) -> float:
    """Bytes of an image padded to a larger size: Psi and P have the image's size, everything else the padded one."""
    detection, channels, pixels = config.detection, config.backbone.fpn_channels, padded[0] * padded[1]
    tiles, own = pixels / TILE**2, image[0] * image[1] / TILE**2
    most = detection.max_detections
    regions = (detection.roi_batch_size + most) * parts.box.slope + (
        detection.roi_batch_size // 4 + most
    ) * parts.mask.slope
    # When the backward pass begins, everything is kept, and V's gradient at the size of the loss exists twice. The
    # cross entropy upsamples V without keeping it; the Lovasz softmax needs all of it.
    stride, kind = config.loss.semantic_stride, config.loss.semantic_kind
    stride = max(stride, config.decoder.stride) if kind == "cross_entropy" else stride
    gradient = 2 * FLOAT * parts.classes * pixels / stride**2
    begins = own * parts.losses.slope + (tiles - own) * parts.padding.slope + regions + gradient
    # Every proposal is scored without a graph, from 7 x 7 cells; a deformable 3x3 convolution unfolds its input.
    scored = 2 * FLOAT * detection.rpn_post_nms[0] * channels * 49
    unfolded = FLOAT * 9 * channels * pixels / 16 if config.decoder.deformable else 0
    return tiles * parts.trunk.slope + max(begins, scored, unfolded)


class _Count:
    """The parts of a step on inputs of n tiles or n regions, and the bytes that autograd keeps of them."""

    def __init__(self, network: PanopticNetwork, criterion: Criterion, config: Config, bf16: bool) -> None:
        self.network, self.criterion, self.config, self.bf16 = network, criterion, config, bf16
        # The regions of any other detector are not counted.
        self.detection = network.detection if isinstance(network.detection, DetectionHead) else None
        self.device = network.mean.device
        self.own = {t.untyped_storage().data_ptr() for t in itertools.chain(network.parameters(), network.buffers())}

    def parts(self) -> list[Callable[[int], object]]:
        """In the order of `_Parts`."""
        return [self.trunk, self.losses, partial(self.losses, own=1), self.box, self.mask]

    def linear(self, part: Callable[[int], object]) -> _Line:
        """The line through one and two units; constant parts (copies of weights in bf16) are counted once."""
        one, two = self.kept(part, 1), self.kept(part, 2)
        return _Line(two - one, max(2 * one - two, 0))

    def kept(self, part: Callable[[int], object], units: int) -> int:
        """Bytes that autograd keeps besides weights; every storage is counted once."""
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.own:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
        with hooks, torch.enable_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            alive = part(units)  # the graph, and with it every address
        del alive
        return sum(sizes.values())

    def trunk(self, tiles: int) -> object:
        features = self.network.backbone(torch.zeros(1, 3, TILE, tiles * TILE, device=self.device))
        maps = [self.network.semantic(features)]
        if self.network.affinity is not None:
            maps.append(self.network.affinity.extract(features))
        if self.detection is None:
            return maps
        return maps, self.detection.rpn.head([level.float() for level in features.values()])

    def box(self, regions: int) -> object:
        if self.detection is None:
            return None
        roi = self.detection.roi
        return roi.box_predictor(roi.box_head(self._leaf(regions, self.network.backbone.out_channels, 7, 7)))

    def mask(self, regions: int) -> object:
        if self.detection is None or self.detection.mask_pool is None:
            return None
        pooled = self._leaf(regions, self.network.backbone.out_channels, 14, 14)
        return self.detection.pooled_mask_logits(pooled, torch.zeros(regions, dtype=torch.long, device=self.device))

    def losses(self, tiles: int, own: int | None = None) -> object:
        config, network = self.config, self.network
        height, width, stride = TILE, tiles * TILE, config.decoder.stride
        size = (TILE, width if own is None else own * TILE)
        classes, most = network.semantic.out_channels, config.detection.max_detections
        semantic = self._leaf(1, classes, height // stride, width // stride)
        queries = None
        if network.affinity is not None:
            cell = stride * network.affinity.upsampling
            queries = self._leaf(1, config.affinity.channels, height // cell, width // cell)
        box = torch.tensor([0.0, 0.0, size[1], height], device=self.device).expand(most, 4)
        masks = None
        if config.detection.masks:
            cells = config.detection.mask_size
            masks = torch.zeros(most, cells, cells, device=self.device, requires_grad=True)
        scores = torch.full((most,), 0.5, device=self.device, requires_grad=True)
        found = Detections(box, scores, torch.zeros(most, dtype=torch.long, device=self.device), masks)
        psi = network.potential(crop(semantic[0], size, stride), found)
        panoptic = network.revise([psi], queries)
        fine = (height // config.matching.stride, size[1] // config.matching.stride)
        labels = torch.zeros(fine, dtype=torch.long, device=self.device)
        # Every class occurs, because the Lovasz softmax keeps something for each one that does.
        truth = (torch.arange(height * width, device=self.device) % classes).view(height, width)
        nothing = torch.full_like(truth, VOID)
        target = Target(box[:0], labels.new_zeros(0), nothing, truth)
        output = PanopticOutput(semantic, queries, [found], [found], [psi], panoptic, network.temperature, [labels], {})
        return self.criterion(output, [target])

    def _leaf(self, *shape: int) -> Tensor:
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        return torch.zeros(shape, dtype=dtype, device=self.device, requires_grad=True)


def _fixed(network: PanopticNetwork, train: TrainConfig, several: bool) -> int:
    weights = sum(t.nbytes for t in itertools.chain(network.parameters(), network.buffers()))
    learned = sum(p.nbytes for p in network.parameters() if p.requires_grad)
    states = 2 if train.optimizer == "adamw" else 1
    copies = 2 + (2 if train.ema_decay else 0)  # the weights and the copy kept while timing; the same for the EMA
    return copies * weights + (1 + states + several) * learned


def training_size(data: DataConfig, first: tuple[int, int]) -> InputSize:
    """The largest input of training.

    Images that are resized by their short side may be tall or wide, and one pass may contain both. Images that keep
    their own size are assumed to be like the first one; crops all have one size.

    Args:
        data: the transforms.
        first: height and width of some image, for data that keep their own size.
    """
    if data.crop != (0, 0):
        height, width = data.crop
    elif data.short_side:
        factor = data.scale[1]
        height, width = round(data.short_side * factor), round(data.max_side * factor)
    else:
        height, width = (round(side * data.scale[1]) for side in scaled_size(*first, data))
    image = -(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE
    both_ways = data.crop == (0, 0) and data.short_side > 0
    return InputSize(image, (max(image), max(image)) if both_ways else image)


def device_memory(device: torch.device) -> int:
    """Bytes of a GPU, or of this machine."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def describe_memory(estimate: MemoryEstimate, train: TrainConfig, world: int, available: int) -> str:
    """The estimate in a line, and a hint where it exceeds what there is."""
    share = train.batch_size // world // train.accumulation_steps
    total, each = estimate.total(share), estimate.per_image(share)
    held = f"{estimate.process / GIB:.1f} held by Python and PyTorch, " if estimate.process else ""
    text = (
        f"memory: about {total / GIB:.1f} GiB a process for passes of {_describe_images(share, estimate.size)} "
        f"({held}{estimate.fixed / GIB:.1f} for weights and optimiser, {each / GIB:.2f} an image), counted on "
        f"small inputs, up to 32 % low where it was measured; here are {available / GIB:.1f} GiB"
    )
    if total <= available:
        return text
    for accumulate in range(train.accumulation_steps + 1, train.batch_size // world + 1):
        if train.batch_size % (world * accumulate) == 0:
            smaller = estimate.total(train.batch_size // world // accumulate)
            if smaller <= available:
                return text + (
                    f"\nhint: --train.accumulation-steps {accumulate} keeps the batch of {train.batch_size} with about "
                    f"{smaller / GIB:.1f} GiB"
                )
    return text + "\nhint: not even one image a pass fits; make --data.crop or --data.short-side smaller"


def describe_shortage(error: torch.OutOfMemoryError) -> str:
    """What torch could not allocate; the rest of its message describes the allocator."""
    return ". ".join(" ".join(str(error).split()).split(". ")[:2]).rstrip(".")


def _describe_images(images: int, size: InputSize) -> str:
    text = f"{images} image{'s' * (images > 1)} up to {size.image[0]} x {size.image[1]}"
    if images == 1 or size.padded == size.image:
        return text
    return f"{text}, padded to {size.padded[0]} x {size.padded[1]} where tall and wide ones come together"
