"""Sec. 3.4.1, A.3: the dynamic potential head, variants A, B and C.

Legend: D detections, S stuff classes, K = D + S channels (one more with void), L = T + S classes (things first),
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
        void_channel: add UPSNet's void channel as the last one; for variant A.
    """

    def __init__(
        self, variant: Literal["A", "B", "C"], num_things: int, stride: int, void_channel: bool = False
    ) -> None:
        super().__init__()
        self.variant = variant
        self.num_things = num_things
        self.stride = stride
        self.void_channel = void_channel

    def forward(self, semantic: Float[Tensor, "L h w"], detections: Detections) -> Float[Tensor, "_ h w"]:
        """Psi of one image from V before its softmax: a channel per detection, per stuff class, and for void."""
        # Sec. 3.2 calls V a probability; only variant A, which is [26]'s, works on logits.
        v = semantic.to(torch.promote_types(semantic.dtype, torch.float32))  # at least 32 bit
        if self.variant != "A":
            v = v.softmax(0)
        height, width = v.shape[-2:]
        v_k = v[detections.classes] * inside(detections.boxes.detach(), height, width, self.stride)
        # Every stuff class is a detection with the whole image as its box, score 1 and no mask (Sec. 3.3, A.3).
        stuff = v[self.num_things :]
        void = [self._void(v, v_k)] if self.void_channel else []
        return torch.cat([self._things(v_k, detections), stuff, *void])

    def _void(self, v: Tensor, v_k: Tensor) -> Tensor:
        """UPSNet's void: how much more of a thing V sees than the boxes let through.

        Without detection no box lets anything through, and there is no thing channel (UPSNet then has one of
        constant -10, which can hardly win).
        """
        let_through = v_k.amax(0) if len(v_k) else torch.zeros_like(v[0])
        return (v[: self.num_things].amax(0) - let_through)[None]

    def _things(self, v_k: Tensor, detections: Detections) -> Tensor:
        height, width = v_k.shape[-2:]
        boxes = detections.boxes.detach()  # a crop has no gradient towards its corners
        s = detections.scores.to(v_k.dtype)[:, None, None]
        if detections.masks is None:
            return v_k if self.variant == "A" else s * v_k  # Eq. 1
        logits = detections.masks.to(v_k.dtype)
        m = logits if self.variant == "A" else logits.sigmoid()
        m_k = paste(m, boxes, height, width, self.stride)
        if self.variant == "A":
            return v_k + m_k
        return s * (v_k * m_k if self.variant == "B" else v_k + m_k)  # Eq. 2
