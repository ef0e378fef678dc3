"""The interfaces of the network's parts (Fig. 2). Any module with one of them can replace ours; `build.py` chooses.

Legend: B images, H W their padded size, F channels of every level, O channels of a map, h w = H/d W/d, D detections.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

from unipan.structures import Detections, ImageBatch, Target

LEVELS = ("p2", "p3", "p4", "p5")
"""The levels that decoders and RoIAlign read."""
P2_STRIDE = 4


@runtime_checkable
class Backbone(Protocol):
    """Sec. 3.1: a module from normalised pixels (B, 3, H, W) to the levels p2..p6, each (B, F, H / 2^l, W / 2^l).

    Attributes:
        out_channels: F.
        must_match: the fields of `BackboneConfig`, by name, that change the meaning of weights but no shape; `--init`
            refuses checkpoints with other values.
    """

    out_channels: int
    must_match: Mapping[str, object]

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        """The levels by name."""
        ...

    def load_pretrained(self, weights: str) -> None:
        """Load what `backbone.weights` names; FileNotFoundError or ValueError where that cannot be done."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """Sec. 3.2: a module from the levels to one map (B, O, h, w) at the stride d.

    Attributes:
        out_channels: O.
    """

    out_channels: int

    def __call__(self, features: Mapping[str, Tensor]) -> Tensor:
        """The map."""
        ...


@runtime_checkable
class Detector(Protocol):
    """Sec. 3.3: a module from the levels to detections."""

    def __call__(
        self,
        features: dict[str, Tensor],
        images: ImageBatch,
        targets: list[Target] | None = None,
        *,
        detect: bool = True,
    ) -> tuple[list[Detections], dict[str, Tensor]]:
        """Detections of each image, the same in training as at test, and, in training with targets, named losses.

        Without `detect`, the losses alone; only a training with a late start (`train.panoptic_from`) asks for that.
        """
        ...

    def masks(
        self, features: dict[str, Tensor], boxes: list[Tensor], classes: list[Tensor]
    ) -> list[Tensor] | list[None]:
        """Mask logits (D, m, m) for any boxes of each image; None per image without a mask head."""
        ...
