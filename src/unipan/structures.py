"""The values that pass through the network: batches, detections, targets, outputs.

Legend: B images, D detections, N ground-truth things, T thing and S stuff classes, L = T + S (things first),
K = D + S channels of one image (detections first), C affinity channels, h w = H/d W/d (d = 4 in the paper).
"""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in 0..1, as in torchvision; the network normalises by them."""


@dataclass(frozen=True)
class ImageBatch:
    """Images padded at the bottom and right to one size.

    Attributes:
        pixels: RGB in 0..1; the network normalises.
        sizes: (height, width) of each image before padding.
        names: what error messages call each image.
    """

    pixels: Float[Tensor, "B 3 H W"]
    sizes: list[tuple[int, int]]
    names: list[str]

    def __len__(self) -> int:
        return len(self.sizes)

    def to(self, device: torch.device | str) -> "ImageBatch":
        """The batch on another device."""
        return replace(self, pixels=self.pixels.to(device))


@dataclass(frozen=True)
class Geometry:
    """How one image, the network's input and the cells of V, Q, Psi and P lie on each other.

    Attributes:
        image_size: (H, W) of the image.
        input_size: (height, width) of the resized image that the network sees, before padding.
        stride: pixels of the input per cell.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    stride: int

    def to_image(self, boxes: Float[Tensor, "D 4"]) -> Float[Tensor, "D 4"]:
        """Boxes x0 y0 x1 y1 from pixels of the input to pixels of the image."""
        (height, width), (rows, columns) = self.image_size, self.input_size
        return boxes * boxes.new_tensor([width / columns, height / rows] * 2)

    def to_input(self, boxes: Float[Tensor, "D 4"]) -> Float[Tensor, "D 4"]:
        """Boxes x0 y0 x1 y1 from pixels of the image to pixels of the input."""
        (height, width), (rows, columns) = self.image_size, self.input_size
        return boxes * boxes.new_tensor([columns / width, rows / height] * 2)

    def cell(self, y: int, x: int) -> tuple[int, int]:
        """Row and column of the cell in which the centre of a pixel of the image lies."""
        (height, width), (rows, columns) = self.image_size, self.input_size
        return int((y + 0.5) * rows / height / self.stride), int((x + 0.5) * columns / width / self.stride)


@dataclass(frozen=True, repr=False)
class Detections:
    """B, s, c, M of the paper for one image (Sec. 3.3); `detections[keep]` selects.

    Attributes:
        boxes: x0 y0 x1 y1 in pixels of the network's input.
        scores: confidences in 0..1, with gradient in training.
        classes: thing class index, 0..T-1.
        masks: logits of the predicted class inside the box, or None for a mask-free network.
        whole: whether each mask lies on the whole area that V covers, as in DETR and its successors, and not in the
            box; its box still cuts it off.
    """

    boxes: Float[Tensor, "D 4"]
    scores: Float[Tensor, " D"]
    classes: Int[Tensor, " D"]
    masks: Float[Tensor, "D a b"] | None = None
    whole: bool = False

    def __len__(self) -> int:
        return self.boxes.shape[0]

    def __getitem__(self, keep: Tensor) -> "Detections":
        masks = None if self.masks is None else self.masks[keep]
        return Detections(self.boxes[keep], self.scores[keep], self.classes[keep], masks, self.whole)

    def __repr__(self) -> str:
        best = f", scores {self.scores.min():.2f} to {self.scores.max():.2f}" if len(self) else ""
        masks = "without masks" if self.masks is None else f"masks {self.masks.shape[1]} x {self.masks.shape[2]}"
        return f"Detections({len(self)}{best}, {masks})"


@dataclass(frozen=True)
class Target:
    """The truth of one image at the network's input size (before padding).

    Crowds have their class in `semantic` but VOID in `instances`: only the semantic submodule learns from them.

    Attributes:
        boxes: tight boxes of the things, x0 y0 x1 y1.
        classes: their thing class index.
        instances: for each pixel the row of its thing in `boxes`, else VOID.
        semantic: for each pixel its class index, else VOID.
        seed: of the sampling of anchors and proposals, so that it does not depend on the other images of the batch;
            None uses torch's global generator.
    """

    boxes: Float[Tensor, "N 4"]
    classes: Int[Tensor, " N"]
    instances: Int[Tensor, "H W"]
    semantic: Int[Tensor, "H W"]
    seed: int | None = None

    def to(self, device: torch.device | str) -> "Target":
        """The target on another device."""
        return replace(
            self,
            boxes=self.boxes.to(device),
            classes=self.classes.to(device),
            instances=self.instances.to(device),
            semantic=self.semantic.to(device),
        )


@dataclass(frozen=True)
class PanopticOutput:
    """What the network returns for a batch (Fig. 2).

    Attributes:
        semantic: V before its softmax.
        queries: Q, the affinity features, at their own stride; None in a network without the affinity head.
        detections: per image, as they entered the panoptic submodule.
        candidates: per image, before the score threshold and the matching; average precision uses these.
        potentials: Psi per image, (K, rows, columns) of the cells that the image covers: no padding.
        panoptic: P per image (Psi itself in a network without the affinity head).
        labels: per image the channel of P that each cell should win, VOID = ignored; None without targets. Finer
            than P's grid where `matching.stride` says so.
        temperature: the learned factor on P before a softmax (1 without one).
        detection_losses: named terms of the detection submodule; empty without targets.
    """

    semantic: Float[Tensor, "B L h w"]
    queries: Float[Tensor, "B C _ _"] | None
    detections: list[Detections]
    candidates: list[Detections]
    potentials: list[Float[Tensor, "_ _ _"]]
    panoptic: list[Float[Tensor, "_ _ _"]]
    temperature: Tensor
    labels: list[Int[Tensor, "_ _"]] | None = None
    detection_losses: dict[str, Tensor] = field(default_factory=dict)

    def of_image(self, row: int) -> "PanopticOutput":
        """What it holds of one image, as if it had been the only one; without labels and losses."""
        rows = slice(row, row + 1)
        return PanopticOutput(
            self.semantic[rows],
            None if self.queries is None else self.queries[rows],
            self.detections[rows],
            self.candidates[rows],
            self.potentials[rows],
            self.panoptic[rows],
            self.temperature,
        )
