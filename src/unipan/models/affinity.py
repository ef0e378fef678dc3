"""Sec. 3.4.2: the dense instance affinity head, P = Psi + phi0(Q) (phi1(Q)^T Psi).

Legend: K channels of one image, C affinity channels, h w = H/d W/d (d = 4 in the paper), n = h w; a b = cells of Q at
its own stride, of which there are `upsampling` times fewer on each side, and maybe more beyond the image (padding).
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unipan.ops.masks import upsampling_matrix
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
        upsampling: how many times finer Psi's grid is than Q's; Q counts as upsampled bilinearly.

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
        upsampling: int = 1,
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
        self.upsampling = upsampling
        self.linear = activation == "identity" and normalise != "softmax" and rope == 0

    def extract(self, features: dict[str, Tensor]) -> Float[Tensor, "B C a b"]:
        """Q of a batch from the FPN levels p2..p5."""
        queries: Tensor = self.extractor(features)
        return queries

    def upsampled(self, queries: Float[Tensor, "C a b"], height: int, width: int) -> Float[Tensor, "C h w"]:
        """Q of one image on Psi's grid, without what lies beyond it."""
        if self.upsampling > 1:
            finer = F.interpolate(queries[None], scale_factor=self.upsampling, mode="bilinear", align_corners=False)
            queries = finer[0]
        return queries[:, :height, :width]

    def forward(self, potential: Float[Tensor, "K h w"], queries: Float[Tensor, "C a b"]) -> Float[Tensor, "K h w"]:
        """P of one image (Eq. 4), by associativity (Eq. 3): the n x n matrix of affinities is never built."""
        # bf16 has 8 bits of mantissa; the sum over all pixels wants more, and is cheap.
        with torch.autocast(potential.device.type, enabled=False):
            queries = queries.to(potential.dtype)
            if self.linear:
                return self._revised_cheaply(potential, queries)
            psi = potential.flatten(1)
            q0, q1 = self.project(self.upsampled(queries, *potential.shape[1:]))
            context = (q1 @ psi.T) / self._mass(psi)  # (C, K), "tens of kilobytes"
            return potential + (q0.T @ context).T.reshape(potential.shape)

    def _revised_cheaply(self, psi: Float[Tensor, "K h w"], q: Float[Tensor, "C a b"]) -> Float[Tensor, "K h w"]:
        """P where phi0, phi1 and the upsampling of Q are linear: exact, in a cheaper order.

        Q meets Psi first, at its own stride, with the K channels of Psi taken down and those of the result up; only
        the C x K sums then meet the weights, so phi0(Q) and phi1(Q) are never built, nor Q on Psi's grid.
        """
        height, width = psi.shape[1:]
        flat, encoding = psi.flatten(1), self._encoding(height, width, psi)
        if self.upsampling == 1:
            q, reduced = q[:, :height, :width], psi
        else:
            rows, columns = (
                upsampling_matrix(cells, self.upsampling, count, psi)
                for cells, count in zip(q.shape[1:], (height, width), strict=True)
            )
            reduced = rows.T @ (psi @ columns)
        coarse = q.flatten(1)
        sums = [coarse @ reduced.flatten(1).T]  # Q^T Psi
        if encoding is not None:
            sums.append(encoding @ flat.T)
        w0, w1 = (phi.weight[:, :, 0, 0] for phi in (self.phi0, self.phi1))
        b0, b1 = self.phi0.bias, self.phi1.bias
        assert b0 is not None
        assert b1 is not None
        context = (w1 @ torch.cat(sums) + b1[:, None] * flat.sum(1)) / self._mass(flat)  # phi1(Q)^T Psi
        message = (w0.T @ context).T  # (K, C): what each channel of Q adds
        channels = len(coarse)
        if self.upsampling == 1:
            revised = torch.addmm(flat, message[:, :channels], coarse)
        else:
            correction = (message[:, :channels] @ coarse).reshape(reduced.shape)
            revised = flat + (rows @ (correction @ columns.T)).flatten(1)
        if encoding is not None:
            revised = torch.addmm(revised, message[:, channels:], encoding)
        return revised.add_((b0 @ context)[:, None]).reshape(psi.shape)

    def _encoding(self, height: int, width: int, like: Tensor) -> Float[Tensor, "E n"] | None:
        if not self.positional_encoding:
            return None
        encoding = sinusoidal_encoding(height, width, self.positional_encoding, like.device)
        return encoding.to(like.dtype).flatten(1)

    def project(self, queries: Float[Tensor, "C h w"]) -> tuple[Float[Tensor, "C n"], Float[Tensor, "C n"]]:
        """phi0(Q) and phi1(Q) of Q on Psi's grid (see `upsampled`), pixels in rows of the image."""
        height, width = queries.shape[-2:]
        flat, encoding = queries.flatten(1), self._encoding(height, width, queries)
        if encoding is not None:
            flat = torch.cat([flat, encoding])
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
