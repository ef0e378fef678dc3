"""Sec. 3.4.2: the dense instance affinity head, P = Psi + phi0(Q) (phi1(Q)^T Psi).

Legend: K channels of one image, C affinity channels, h w = H/d W/d (d = 4 in the paper), n = h w.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unipan.ops.positional_encoding import ROPE_CHANNELS, rope_angles, rotate, sinusoidal_encoding

Activation = Literal["identity", "elu", "relu", "softmax"]
Normalisation = Literal["none", "pixels", "segment", "softmax"]


class InstanceAffinity(nn.Module):
    """Revises Psi by the learned affinity of every pair of pixels, at a cost linear in the number of pixels.

    The paper describes phi as "a 1x1 convolution followed by an activation" and mentions no normalisation. The choice
    of both is ours and measured in docs/design_choices.md.

    Args:
        extractor: the affinity feature extractor, F -> Q (Fig. 5); same design as the semantic decoder, own weights.
        channels: C.
        activation: after phi0 and phi1; softmax is over the C channels.
        normalise: what phi1(Q)^T Psi is divided by: `none`; `pixels`, n; `segment`, the mass of each channel of
            Psi, so that a small thing's mean feature counts as much as a large one's; `softmax`: phi1 is a softmax
            over the pixels instead of its activation (the paper's [23]).
        positional_encoding: wavelengths of the sinusoidal positional encoding that is concatenated with Q. Convolutions
            are translation equivariant, so without it two similar cars attract each other. 0 in the paper. (ours)
        rope: wavelengths of the rotary position embedding (RoPE) of phi0(Q) and phi1(Q), which makes an affinity depend
            on the offset between two cells. Being relative, it also holds on images larger than the training crops.
            0 in the paper. (ours)

    Raises:
        ValueError: too few channels for the wavelengths of RoPE.
    """

    def __init__(
        self,
        *,
        extractor: nn.Module,
        channels: int = 128,
        activation: Activation = "identity",
        normalise: Normalisation = "segment",
        positional_encoding: int = 0,
        rope: int = 0,
    ) -> None:
        super().__init__()
        if ROPE_CHANNELS * rope > channels:
            raise ValueError(
                f"affinity: {rope} wavelengths of RoPE rotate {ROPE_CHANNELS * rope} channels, but there are "
                f"{channels}; make affinity.rope at most {channels // ROPE_CHANNELS}"
            )
        self.extractor = extractor
        self.phi0 = nn.Conv2d(channels + 4 * positional_encoding, channels, 1)
        self.phi1 = nn.Conv2d(channels + 4 * positional_encoding, channels, 1)
        self.positional_encoding = positional_encoding
        self.rope = rope
        self.activation = activation
        self.normalise = normalise

    def extract(self, features: dict[str, Tensor]) -> Float[Tensor, "B C h w"]:
        """Q of a batch from the FPN levels p2..p5."""
        queries: Tensor = self.extractor(features)
        return queries

    def forward(self, potential: Float[Tensor, "K h w"], queries: Float[Tensor, "C h w"]) -> Float[Tensor, "K h w"]:
        """P of one image (Eq. 4), by associativity (Eq. 3): the n x n matrix of affinities is never built."""
        # bf16 has 8 bits of mantissa; the sum over all pixels wants more, and is cheap.
        with torch.autocast(potential.device.type, enabled=False):
            psi = potential.flatten(1)
            q0, q1 = self.project(queries.to(potential.dtype))
            context = (q1 @ psi.T) / self._mass(psi)  # (C, K), "tens of kilobytes"
            return potential + (q0.T @ context).T.reshape(potential.shape)

    def project(self, queries: Float[Tensor, "C h w"]) -> tuple[Float[Tensor, "C n"], Float[Tensor, "C n"]]:
        """phi0(Q) and phi1(Q), pixels in rows of the image."""
        height, width = queries.shape[-2:]
        if self.positional_encoding:
            encoding = sinusoidal_encoding(height, width, self.positional_encoding, queries.device)
            queries = torch.cat([queries, encoding.to(queries.dtype)])
        flat = queries.flatten(1)
        q0, q1 = _pointwise(self.phi0, flat), _pointwise(self.phi1, flat)
        if self.normalise == "softmax":
            return self._activate(q0), q1.softmax(1)
        q0, q1 = self._activate(q0), self._activate(q1)
        if self.rope:
            angles = rope_angles(height, width, self.rope, queries.device).to(q0.dtype)
            q0, q1 = rotate(q0, angles), rotate(q1, angles)
        return q0, q1

    def row(self, queries: Float[Tensor, "C h w"], y: int, x: int) -> Float[Tensor, "h w"]:
        """Affinities of the cell (y, x) to every other: phi0(Q_p) . phi1(Q_j), before any division by Psi's mass."""
        height, width = queries.shape[-2:]
        q0, q1 = self.project(queries)
        return (q0[:, y * width + x] @ q1).reshape(height, width)

    def _activate(self, x: Tensor) -> Tensor:
        match self.activation:
            case "identity":
                return x
            case "elu":
                return F.elu(x)
            case "relu":
                return F.relu(x)
            case "softmax":
                return x.softmax(0)

    def _mass(self, psi: Tensor) -> Tensor | int:
        if self.normalise == "pixels":
            return psi.shape[1]
        if self.normalise == "segment":
            # Variant A's Psi is signed, so its mass is counted without sign; + 1 keeps an empty channel finite.
            return psi.abs().sum(1) + 1
        return 1


def _pointwise(phi: nn.Conv2d, features: Float[Tensor, "I n"]) -> Float[Tensor, "C n"]:
    """A 1x1 convolution of one image as the matrix product that it is: several times faster on a CPU."""
    assert phi.bias is not None
    return torch.addmm(phi.bias[:, None], phi.weight[:, :, 0, 0], features)
