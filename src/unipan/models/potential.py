"""Sec. 3.4.1, A.3: the dynamic potential head, variants A, B and C.

Legend: D detections, S stuff classes, K = D + S channels, L = T + S classes (things first),
h w = H/d W/d (d = 4 in the paper).
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unipan.ops.boxes import inside
from unipan.ops.masks import paste
from unipan.structures import Detections


class DynamicPotential(nn.Module):
    """Assembles Psi from semantic cues and detections; it has no parameters (Fig. 4).

    Args:
        variant: A multiplies nothing and works on logits (UPSNet's head); B multiplies V and M; C adds them.
        num_things: T, so that stuff channels are V's channels from T on.
        stride: pixels of the network's input per cell of V.
    """

    def __init__(self, variant: Literal["A", "B", "C"], num_things: int, stride: int) -> None:
        super().__init__()
        self.variant = variant
        self.num_things = num_things
        self.stride = stride

    def forward(self, semantic: Float[Tensor, "L h w"], detections: Detections) -> Float[Tensor, "_ h w"]:
        """Psi of one image from V before its softmax: one channel per detection, then one per stuff class."""
        # Sec. 3.2 calls V a probability; only variant A, which is [26]'s, works on logits.
        v = semantic.to(torch.promote_types(semantic.dtype, torch.float32))  # at least 32 bit
        if self.variant != "A":
            v = v.softmax(0)
        things = self._things(v, detections)
        # Every stuff class is a detection with the whole image as its box, score 1 and no mask (Sec. 3.3, A.3).
        stuff = v[self.num_things :]
        return torch.cat([things, stuff])

    def _things(self, v: Tensor, detections: Detections) -> Tensor:
        height, width = v.shape[-2:]
        boxes = detections.boxes.detach()  # a crop has no gradient towards its corners
        s = detections.scores.to(v.dtype)[:, None, None]
        v_k = v[detections.classes] * inside(boxes, height, width, self.stride)
        if detections.masks is None:
            return v_k if self.variant == "A" else s * v_k  # Eq. 1
        logits = detections.masks.to(v.dtype)
        m = logits if self.variant == "A" else logits.sigmoid()
        m_k = paste(m, boxes, height, width, self.stride)
        if self.variant == "A":
            return v_k + m_k
        return s * (v_k * m_k if self.variant == "B" else v_k + m_k)  # Eq. 2
