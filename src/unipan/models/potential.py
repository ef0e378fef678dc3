"""Sec. 3.4.1, A.3: the dynamic potential head, variants A, B and C.

Legend: D detections, S stuff classes, K = D + S channels (one more with void), L = T + S classes (things first),
h w = H/d W/d (d = 4 in the paper).
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unipan.ops.boxes import inside
from unipan.ops.masks import paste, paste_whole
from unipan.structures import Detections

Variant = Literal["A", "B", "C"]


def variant_a(
    _s: Float[Tensor, "D 1 1"], v_k: Float[Tensor, "D h w"], m_k: Float[Tensor, "D h w"] | None
) -> Float[Tensor, "D h w"]:
    """UPSNet's head [26]: V + M as logits, without the score; V alone where there are no masks."""
    return v_k if m_k is None else v_k + m_k


def variant_b(
    s: Float[Tensor, "D 1 1"], v_k: Float[Tensor, "D h w"], m_k: Float[Tensor, "D h w"] | None
) -> Float[Tensor, "D h w"]:
    """Eq. 1 without masks, s V; Eq. 2 with them, s V M."""
    return s * v_k if m_k is None else s * (v_k * m_k)


def variant_c(
    s: Float[Tensor, "D 1 1"], v_k: Float[Tensor, "D h w"], m_k: Float[Tensor, "D h w"] | None
) -> Float[Tensor, "D h w"]:
    """Eq. 1 without masks, s V; its sum with them (A.3), s (V + M)."""
    return s * v_k if m_k is None else s * (v_k + m_k)


VARIANTS = {"A": variant_a, "B": variant_b, "C": variant_c}
"""The channels of things from scores s, V of each detection's class inside its box, and M pasted into the box."""


class DynamicPotential(nn.Module):
    """Assembles Psi from semantic cues and detections; it has no parameters (Fig. 4).

    Args:
        variant: A works on logits (UPSNet's head), B multiplies the probabilities V and M, C adds them.
        num_things: T, so that stuff channels are V's channels from T on.
        stride: pixels of the network's input per cell of V.
        void_channel: add UPSNet's void channel as the last one; for variant A.
    """

    def __init__(self, *, variant: Variant, num_things: int, stride: int, void_channel: bool = False) -> None:
        super().__init__()
        self.variant = variant
        self.num_things = num_things
        self.stride = stride
        self.void_channel = void_channel

    def forward(self, semantic: Float[Tensor, "L h w"], detections: Detections) -> Float[Tensor, "_ h w"]:
        """Psi of one image from V before its softmax: a channel per detection, per stuff class, and for void."""
        v = semantic.to(torch.promote_types(semantic.dtype, torch.float32))  # at least 32 bit
        m = None if detections.masks is None else detections.masks.to(v.dtype)
        if self.variant != "A":  # Sec. 3.2 calls V a probability; only variant A works on logits
            v, m = v.softmax(0), None if m is None else m.sigmoid()
        height, width = v.shape[-2:]
        boxes = detections.boxes.detach()  # a crop has no gradient towards its corners
        s = detections.scores.to(v.dtype)[:, None, None]
        v_k = v[detections.classes] * inside(boxes, height, width, self.stride)
        lay = paste_whole if detections.whole else paste
        m_k = None if m is None else lay(m, boxes, height, width, self.stride)
        # Every stuff class is a detection with the whole image as its box, score 1 and no mask (Sec. 3.3, A.3).
        channels = [VARIANTS[self.variant](s, v_k, m_k), v[self.num_things :]]
        channels += [self._void(v, v_k)] if self.void_channel else []
        del v_k, m_k  # each nearly as large as Psi
        return torch.cat(channels)

    def _void(self, v: Float[Tensor, "L h w"], v_k: Float[Tensor, "D h w"]) -> Float[Tensor, "1 h w"]:
        """UPSNet's void: the largest thing logit of V less the largest one that a box lets through.

        Without detections no box lets anything through, and there is no thing channel (UPSNet then has one of
        constant -10, which can hardly win).
        """
        nothing = v.new_full((1, *v.shape[1:]), -torch.inf)
        let_through = torch.cat([v_k, nothing]).amax(0)  # without a branch, which an exported graph could not have
        return (v[: self.num_things].amax(0) - let_through.masked_fill(let_through == -torch.inf, 0))[None]
