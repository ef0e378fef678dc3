"""Sec. 3.4.2: the dense instance affinity head, P = Psi + phi0(Q) (phi1(Q)^T Psi).

Q and the affinities live at the stride of P2, which is the paper's d = 4. Where Psi's grid is finer, the affinity of
two of its cells is interpolated bilinearly between those of the cells around them: with the upsampling U,
P = Psi + U phi0(Q) (phi1(Q)^T U^T Psi). That costs no more than at d = 4, and is Eq. 4 itself where U is the identity.

Legend: K channels of one image, C affinity channels, h w = H/d W/d, a b = cells of Q, `upsampling` times fewer on each
side. Q may also cover padding beyond the image.
"""

from collections.abc import Callable
from functools import reduce
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unipan.ops.pointwise import matrix_and_bias, pieces, pointwise
from unipan.ops.positional_encoding import ROPE_CHANNELS, rope_angles, rotate, sinusoidal_encoding
from unipan.ops.upsampling import transposed_upsampling, upsample_bilinear

Activation = Literal["identity", "elu", "gelu", "relu", "softmax"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "elu": F.elu,
    "gelu": F.gelu,
    "relu": F.relu,
    "softmax": lambda x: x.softmax(0),
}
Normalisation = Literal["none", "pixels", "segment", "softmax"]
Angles = Float[Tensor, "pairs n"] | None
CELLS_AT_ONCE = 1 << 15
"""Of phi0(Q) and phi1(Q). All those of 1024 x 2048 pixels would be the largest maps of the network."""


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
        shortest_wavelength: the first of either encoding, in cells of Psi.
        upsampling: how many times finer Psi's grid is than Q's.

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
        shortest_wavelength: float = 8.0,
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
        self.shortest = shortest_wavelength
        self.activation = activation
        self.normalise = normalise
        self.upsampling = upsampling
        self.linear = activation == "identity" and normalise != "softmax" and rope == 0

    def extract(self, features: dict[str, Tensor]) -> Float[Tensor, "B C a b"]:
        """Q of a batch from the FPN levels p2..p5."""
        queries: Tensor = self.extractor(features)
        return queries

    def forward(self, potential: Float[Tensor, "K h w"], queries: Float[Tensor, "C _ _"]) -> Float[Tensor, "K h w"]:
        """P of one image (Eq. 4), by associativity (Eq. 3): the n x n matrix of affinities is never built."""
        # bf16 has 8 bits of mantissa; the sum over all pixels wants more, and is cheap.
        with torch.autocast(potential.device.type, enabled=False):
            height, width = potential.shape[1:]
            queries = self.covered(queries.to(potential.dtype), height, width)
            cells = queries.shape[1:]
            psi, mass = self._down(potential, cells).flatten(1), self._mass(potential.flatten(1))
            message = self._linear(psi, queries, mass) if self.linear else self._message(psi, queries, mass)
            return potential + self.upsampled(message.view(-1, *cells), height, width)

    def _message(
        self, psi: Float[Tensor, "K n"], queries: Float[Tensor, "C a b"], mass: Tensor | int
    ) -> Float[Tensor, "K n"]:
        """phi0(Q) (phi1(Q)^T Psi)."""
        features, angles = self.features(queries), self.angles(queries)

        def of_cells(n: slice) -> tuple[Float[Tensor, "I _"], Angles]:
            return features[:, n], None if angles is None else angles[:, n]

        cells = [slice(None)] if self.normalise == "softmax" else pieces(psi.shape[1], CELLS_AT_ONCE)
        context = reduce(torch.add, (self.apply_phi1(*of_cells(n)) @ psi[:, n].T for n in cells)) / mass
        return torch.cat([context.T @ self.apply_phi0(*of_cells(n)) for n in cells], 1)

    def _linear(
        self, psi: Float[Tensor, "K n"], queries: Float[Tensor, "C a b"], mass: Tensor | int
    ) -> Float[Tensor, "K n"]:
        """The same where both phi are linear: Q meets Psi first, so that phi0(Q) and phi1(Q) are not built.

        Only the C x K sums meet the weights, in 64 bits where the device has them: they cancel in phi0's gradient.
        """
        wide = queries.dtype if queries.device.type == "mps" else torch.float64
        (w0, b0), (w1, b1) = ([p.to(wide) for p in matrix_and_bias(phi)] for phi in (self.phi0, self.phi1))
        features, cells = self.features(queries), pieces(psi.shape[1], CELLS_AT_ONCE)
        if len(cells) == 1:  # once, so that gradients are added in 64 bits
            features, psi = features.to(wide), psi.to(wide)
        sums = reduce(torch.add, (features[:, n].to(wide) @ psi[:, n].to(wide).T for n in cells))
        context = (w1 @ sums + b1[:, None] * psi.sum(1, dtype=wide)) / mass
        weight, bias = context.T @ w0, (b0 @ context)[:, None]
        return torch.cat([torch.addmm(bias, weight, features[:, n].to(wide)).to(queries.dtype) for n in cells], 1)

    def project(
        self, queries: Float[Tensor, "C a b"], origin: tuple[int, int] = (0, 0)
    ) -> tuple[Float[Tensor, "C n"], Float[Tensor, "C n"]]:
        """phi0(Q) and phi1(Q), cell by cell in rows of the image; n = a b. `origin` is the place of the first cell."""
        features, angles = self.features(queries, origin), self.angles(queries, origin)
        return self.apply_phi0(features, angles), self.apply_phi1(features, angles)

    def apply_phi0(self, features: Float[Tensor, "I n"], angles: Angles) -> Float[Tensor, "C n"]:
        """phi0 of what `features` gives; n cells in any order, with their `angles`."""
        q0: Tensor = ACTIVATIONS[self.activation](pointwise(self.phi0, features))
        return q0 if angles is None else rotate(q0, angles)

    def apply_phi1(self, features: Float[Tensor, "I n"], angles: Angles) -> Float[Tensor, "C n"]:
        """phi1 of all cells: a softmax over the pixels is over these."""
        q1 = pointwise(self.phi1, features)
        if self.normalise == "softmax":
            return q1.softmax(1) / self.upsampling**2
        q1 = ACTIVATIONS[self.activation](q1)
        return q1 if angles is None else rotate(q1, angles)

    def covered(self, queries: Float[Tensor, "C _ _"], height: int, width: int) -> Float[Tensor, "C a b"]:
        """The cells of Q that cells of Psi's grid are interpolated from; what else there is, is padding."""
        once, double = self.upsampling, 2 * self.upsampling  # ONNX divides towards zero, so nothing negative is divided
        a, b = ((2 * count + once - 2) // double + 1 for count in (height, width))
        return queries[:, :a, :b]

    def _down(self, psi: Float[Tensor, "K h w"], cells: torch.Size) -> Float[Tensor, "K a b"]:
        """U^T Psi."""
        if self.upsampling == 1:
            return psi
        beyond = [self.upsampling * count - side for count, side in zip(cells, psi.shape[1:], strict=True)]
        return transposed_upsampling(F.pad(psi, (0, beyond[1], 0, beyond[0])), self.upsampling)

    def upsampled(self, message: Float[Tensor, "K a b"], height: int, width: int) -> Float[Tensor, "K h w"]:
        """U, as far as Psi's grid goes."""
        if self.upsampling == 1:
            return message
        return upsample_bilinear(message, self.upsampling)[:, :height, :width]

    def features(self, queries: Float[Tensor, "C a b"], origin: tuple[int, int] = (0, 0)) -> Float[Tensor, "I n"]:
        """What phi0 and phi1 see in every cell: Q, and where it is."""
        flat, (height, width) = queries.flatten(1), queries.shape[1:]
        if not self.positional_encoding:
            return flat
        spacing = self.upsampling, self.shortest, origin
        encoding = sinusoidal_encoding(height, width, self.positional_encoding, flat.device, *spacing)
        return torch.cat([flat, encoding.to(flat.dtype).flatten(1)])

    def angles(self, queries: Float[Tensor, "C a b"], origin: tuple[int, int] = (0, 0)) -> Angles:
        """Of RoPE, where there is one."""
        if not self.rope or self.normalise == "softmax":
            return None
        a, b = queries.shape[1:]
        return rope_angles(a, b, self.rope, queries.device, self.upsampling, self.shortest, origin).to(queries.dtype)

    def _mass(self, psi: Tensor) -> Tensor | int:
        if self.normalise == "pixels":
            return psi.shape[1]
        if self.normalise == "segment":
            # Variant A's Psi is signed, so its mass is counted without sign; + 1 keeps an empty channel finite.
            return psi.abs().sum(1) + 1
        return 1
