"""Fig. 2: the whole network, from images to P.

Legend: B images, D detections, S stuff classes, K = D + S channels of one image (one more with void), L = T + S classes
(things first), C affinity channels, h w = H/d W/d (d = 4 in the paper).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unipan.models.affinity import InstanceAffinity
from unipan.models.matching import channel_labels, match
from unipan.models.parts import Backbone, Decoder, Detector
from unipan.models.potential import DynamicPotential
from unipan.panoptic.maps import VOID
from unipan.structures import IMAGENET_MEAN, IMAGENET_STD, Detections, ImageBatch, PanopticOutput, Target


class PanopticNetwork(nn.Module):
    """Backbone, semantic, detection and panoptic submodules, trained jointly (Sec. 3).

    Args:
        backbone: Sec. 3.1.
        semantic: Sec. 3.2.
        detection: Sec. 3.3.
        potential: Sec. 3.4.1.
        affinity: Sec. 3.4.2; None gives the paper's models A and C, whose P is Psi.
        iou_threshold: t, the least box IoU of a match (Sec. 3.5).
        label_stride: pixels of the input per cell of the matched labels, at most the stride of P.
        score_threshold: detections below this score do not enter Psi at inference (App. B).
        temperature: initial learned factor on P before the loss's softmax; 0 means none. (ours)
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        backbone: Backbone,
        semantic: Decoder,
        detection: Detector,
        potential: DynamicPotential,
        affinity: InstanceAffinity | None,
        iou_threshold: float = 0.5,
        label_stride: int = 4,
        score_threshold: float = 0.5,
        temperature: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.semantic = semantic
        self.detection = detection
        self.potential = potential
        self.affinity = affinity
        self.iou_threshold = iou_threshold
        self.label_stride = label_stride
        self.score_threshold = score_threshold
        scale = torch.tensor(temperature or 1.0)
        self.temperature = nn.Parameter(scale) if temperature else nn.Buffer(scale)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def forward(self, images: ImageBatch, targets: list[Target] | None = None, panoptic: bool = True) -> PanopticOutput:
        """Segment a batch; with targets, also match (Sec. 3.5) and, in training mode, return detection losses.

        Without `panoptic` (with targets, in training mode) there are V and the detection losses alone: no detections,
        Psi or P.
        """
        features = self.backbone((images.pixels - self.mean) / self.std)  # Sec. 3.1   F
        semantic = self.semantic(features)  # Sec. 3.2   V
        if not panoptic:
            _, losses = self.detection(features, images, targets, detect=False)
            return PanopticOutput(semantic, None, [], [], [], [], self.temperature, [], losses)
        candidates, losses = self.detection(features, images, targets)  # Sec. 3.3   B, s, c, M
        queries = self.affinity.extract(features) if self.affinity else None  # Sec. 3.4.2 Q
        del features  # the largest maps of all, which Psi and P do not need
        if targets is None:
            detections, labels = [found[found.scores >= self.score_threshold] for found in candidates], None
        else:
            detections, labels = self.match(candidates, targets, images)  # Sec. 3.5   Eq. 5
        views = [crop(v, size, self.potential.stride) for v, size in zip(semantic, images.sizes, strict=True)]
        potentials = [self.potential(v, found) for v, found in zip(views, detections, strict=True)]  # Sec. 3.4.1 Psi
        revised = self.revise(potentials, queries)  # Sec. 3.4.2 P
        return PanopticOutput(
            semantic, queries, detections, candidates, potentials, revised, self.temperature, labels, losses
        )

    def panoptic_parameters(self) -> list[nn.Parameter]:
        """Those of the panoptic submodule, which learn from the losses on Psi and P alone."""
        parts = [self.potential, *([self.affinity] if self.affinity else [])]
        alone = [self.temperature] if isinstance(self.temperature, nn.Parameter) else []
        return [*alone, *(each for part in parts for each in part.parameters())]

    def revise(self, potentials: list[Tensor], queries: Float[Tensor, "B C _ _"] | None) -> list[Tensor]:
        """P of every image, one by one, because sizes and numbers of channels differ."""
        if self.affinity is None or queries is None:
            return potentials
        return [self.affinity(psi, q) for psi, q in zip(potentials, queries, strict=True)]

    def match(
        self, candidates: list[Detections], targets: list[Target], images: ImageBatch
    ) -> tuple[list[Detections], list[Tensor]]:
        """Match every image, and label its cells with the channels of its detections."""
        pairs = [match(found, target, self.iou_threshold) for found, target in zip(candidates, targets, strict=True)]
        labels = [
            channel_labels(
                target, rows, self.potential.num_things, self._whole_cells(size), self.label_stride, self._void(rows)
            )
            for (_, rows), target, size in zip(pairs, targets, images.sizes, strict=True)
        ]
        return [found for found, _ in pairs], labels

    def _void(self, rows: Int[Tensor, " D"]) -> int:
        """The channel of void, which is the last one; VOID for a potential without it."""
        return (
            len(rows) + self.semantic.out_channels - self.potential.num_things if self.potential.void_channel else VOID
        )

    def _whole_cells(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width rounded up to whole cells."""
        stride = self.potential.stride
        return -(-size[0] // stride) * stride, -(-size[1] // stride) * stride


def crop(v: Float[Tensor, "L h w"], size: tuple[int, int], stride: int) -> Float[Tensor, "L _ _"]:
    """The cells that an image of this size covers.

    Psi and P exclude padding, so that it does not enter the sum over pixels phi1(Q)^T Psi. (It still is
    what lies below and beside the image, which matters to a network that was trained without it: see `DataConfig.pad`.)
    """
    return v[:, : -(-size[0] // stride), : -(-size[1] // stride)]
