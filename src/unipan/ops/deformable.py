"""Deformable convolution v1 (arXiv 1703.06211) as bilinear sampling and one matrix product.

torchvision's kernel samples with a loop over single numbers on a CPU. Here the features at all places of an output
pixel are sampled by `weighted_rows`, next to each other, and multiplied by the weights of the convolution, piece by
piece, so that what was sampled stays small. The backward pass samples again.

Legend: B images, I O channels, H W the size of the features, h w that of the output, t = k_h k_w taps, n output pixels.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int32
from torch import Tensor
from torchvision.ops import deform_conv2d

from unipan.ops.products import ROWS, rows_times
from unipan.ops.weighted_rows import PIECE_BYTES, samples_by_rows, shared_out, weighted_rows


@dataclass(frozen=True)
class ConvolutionGrid:
    """Where the taps of a convolution lie: the arguments of `deform_conv2d`, as (vertical, horizontal)."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


def deformable_convolution(
    features: Float[Tensor, "B I H W"],
    offset: Float[Tensor, "B _ h w"],
    weight: Float[Tensor, "O I kh kw"],
    bias: Float[Tensor, " O"] | None = None,
    grid: ConvolutionGrid = ConvolutionGrid(),
    *,
    plain: bool | None = None,
) -> Float[Tensor, "B O h w"]:
    """`torchvision.ops.deform_conv2d` without groups and mask, equal to 1e-5, with all gradients.

    Args:
        features: sampled bilinearly; zero outside.
        offset: in cells of the features, 2 t channels: vertical, horizontal for each tap, row by row.
        weight: its type is that of the sampled features, of the product and of the output. bfloat16 on a CPU alone:
            offsets and places remain in 32 bits.
        bias: of each output channel.
        grid: stride, padding and dilation.
        plain: use torchvision's kernel; by default wherever `samples_by_rows` says no.
    """
    if plain is None:
        plain = not samples_by_rows(features)
    if plain:
        features = features.to(weight.dtype)
        output: Tensor = deform_conv2d(features, offset, weight, bias, grid.stride, grid.padding, grid.dilation)
    else:
        output = _DeformableConvolution.apply(features, offset, weight, bias, grid)
    return output


def cells_around(
    offset: Float[Tensor, "n t 2"], base: Float[Tensor, "n 2"], taps: Float[Tensor, "t 2"], size: tuple[int, int]
) -> tuple[Int32[Tensor, "n t 4"], Float[Tensor, "n t 4"]]:
    """The four cells around each sampled place, and their bilinear weights (0 outside), with gradient to the offset.

    Args:
        offset: vertical, horizontal.
        base: place of the first tap, (row, column).
        taps: of each tap from the first.
        size: H, W of the features.
    """
    place = (offset + (base[:, None] + taps)).permute(2, 0, 1).contiguous()  # one loop over all n t in each operation
    top, bottom, above, below = _neighbours(place[0], size[0])
    left, right, before, behind = _neighbours(place[1], size[1])
    top, bottom = top * size[1], bottom * size[1]
    rows = torch.stack([top + left, top + right, bottom + left, bottom + right], -1)
    return rows, torch.stack([above * before, above * behind, below * before, below * behind], -1)


def _neighbours(place: Float[Tensor, "n t"], count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The cells before and after a place on one axis of `count`, and their weights."""
    low = place.detach().floor()
    far = place - low
    # Integers before limits: what is not a number must not become a cell beyond the end.
    one = low.clamp(-2, count + 1).to(torch.int32)
    two = one + 1
    first, second = one.clamp(0, count - 1), two.clamp(0, count - 1)
    return first, second, (1 - far) * (one == first), far * (two == second)


class _Sampler:
    """The pieces of a layer: their output pixels, and where those sample."""

    def __init__(self, features: Tensor, offset: Tensor, kernel: tuple[int, int], grid: ConvolutionGrid) -> None:
        batch, channels, *self.size = features.shape
        self.table = features.permute(0, 2, 3, 1).reshape(-1, channels)
        self.taps = torch.cartesian_prod(
            *(torch.arange(k, dtype=offset.dtype) * d for k, d in zip(kernel, grid.dilation, strict=True))
        ).view(-1, 2)
        height, width = offset.shape[-2:]
        self.offset = offset.permute(0, 2, 3, 1).reshape(batch * height * width, len(self.taps), 2)
        self.base = torch.cartesian_prod(
            *(
                torch.arange(side, dtype=offset.dtype) * s - p
                for side, s, p in zip((height, width), grid.stride, grid.padding, strict=True)
            )
        ).view(-1, 2)
        self.length = max(1, PIECE_BYTES // (len(self.taps) * channels * self.table.element_size()))
        if self.length > ROWS:  # whole pieces are then oneDNN's alone
            self.length -= self.length % ROWS

    def pieces(self) -> list[slice]:
        """Of the output pixels of all images; none lies in two images."""
        pixels = len(self.base)
        return [
            slice(image + start, image + min(start + self.length, pixels))
            for image in range(0, len(self.offset), max(pixels, 1))
            for start in range(0, pixels, self.length)
        ]

    def places(self, piece: slice, offset: Tensor) -> tuple[Tensor, Tensor, slice]:
        """Rows (n t, 4), counted from the start of the slice of the table in which all lie, and their weights."""
        image, start = divmod(piece.start, len(self.base))
        base = self.base[start : start + piece.stop - piece.start]
        rows, weights = cells_around(offset, base, self.taps, (self.size[0], self.size[1]))
        first, last = (int(end) for end in rows.aminmax())
        origin = image * self.size[0] * self.size[1]
        return (rows - first).view(-1, 4), weights.view(-1, 4), slice(origin + first, origin + last + 1)


class _DeformableConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, grid: ConvolutionGrid
    ) -> Tensor:
        ctx.save_for_backward(features, offset, weight)
        ctx.grid = grid
        kernel = (weight.shape[2], weight.shape[3])
        sampler = _Sampler(features.to(weight.dtype), offset, kernel, grid)
        by_tap = weight.permute(0, 2, 3, 1).flatten(1)
        output = sampler.table.new_empty(len(sampler.offset), len(weight))
        for piece in sampler.pieces():
            rows, weights, part = sampler.places(piece, sampler.offset[piece])
            weights = weights.to(weight.dtype)
            sampled = weighted_rows(sampler.table[part], rows, weights)
            output[piece] = rows_times(sampled.view(-1, by_tap.shape[1]), by_tap)
        if bias is not None:
            output += bias.to(output.dtype)
        return _channels_second(output, (len(features), len(weight), *offset.shape[2:]))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor | None, None]:
        features, offset, weight = ctx.saved_tensors
        sampler = _Sampler(features.to(weight.dtype), offset, (weight.shape[2], weight.shape[3]), ctx.grid)
        by_tap = weight.permute(2, 3, 1, 0).reshape(-1, len(weight))
        outer = outer.permute(0, 2, 3, 1).reshape(-1, len(weight))
        to_table = torch.zeros_like(sampler.table, dtype=features.dtype)
        to_offset = torch.empty_like(sampler.offset)
        to_weight = torch.zeros_like(by_tap, dtype=offset.dtype)
        for piece in sampler.pieces():
            moved = sampler.offset[piece].requires_grad_()
            with torch.enable_grad():
                rows, weights, part = sampler.places(piece, moved)
                weights = weights.to(weight.dtype)
                sampled = weighted_rows(sampler.table[part], rows, weights)
            to_weight += sampled.detach().view(-1, len(by_tap)).T @ outer[piece]
            to_sampled = rows_times(outer[piece], by_tap).view(sampled.shape)
            (to_offset[piece],) = torch.autograd.grad(sampled, moved, to_sampled)
            if ctx.needs_input_grad[0]:
                to_table[part] += shared_out(to_sampled, rows, weights.detach(), part.stop - part.start)
        return (
            _channels_second(to_table, features.shape),
            _channels_second(to_offset, offset.shape),
            to_weight.view(*weight.shape[2:], weight.shape[1], len(weight)).permute(3, 2, 0, 1).to(weight.dtype),
            outer.sum(0, dtype=offset.dtype) if ctx.needs_input_grad[3] else None,
            None,
        )


def _channels_second(pixels: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Rows of pixels as (B, channels, height, width), in memory as they are."""
    batch, channels, height, width = shape
    return pixels.view(batch, height, width, channels).permute(0, 3, 1, 2)
