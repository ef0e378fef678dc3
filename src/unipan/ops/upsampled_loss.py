"""Cross entropy of scores against labels on a finer grid, without ever holding the upsampled scores.

Bilinear upsampling by a whole factor puts the same few weights on the same neighbours in every cell. So the fine pixels
fall into factor x factor phases, each of which is a map as coarse as the scores, a mean of four shifted copies of them.
One phase after the other is made, enters the loss and leaves its gradient: a few maps that stay in the processor's
cache, where `F.interpolate` and `F.cross_entropy` would keep several of factor x factor times the size.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from unipan.ops.upsampling import neighbours


def upsampled_cross_entropy(
    scores: Float[Tensor, "K h w"], labels: Int[Tensor, "H W"], ignored: int
) -> Float[Tensor, ""]:
    """Sum over the pixels of the cross entropy of softmax(upsampled scores), bilinear with half-pixel centres.

    Equal to `F.cross_entropy(F.interpolate(scores, (H, W), mode="bilinear"), labels, reduction="sum")` but for
    rounding, as is its gradient, which exists once: there is no second derivative.

    Args:
        scores: logits of K channels.
        labels: the true channel of every pixel.
        ignored: label of pixels that do not count.

    Raises:
        ValueError: the labels are not the same whole number of times finer in both directions.
    """
    (height, width), (rows, columns) = scores.shape[1:], labels.shape
    factor = rows // max(height, 1)
    if (factor * height, factor * width) != (rows, columns):
        raise ValueError(f"labels of {rows} x {columns} are not a whole number of times finer than {height} x {width}")
    if factor <= 1:
        return F.cross_entropy(scores[None], labels[None], ignore_index=ignored, reduction="sum")
    loss: Tensor = _UpsampledCrossEntropy.apply(scores, labels, ignored, factor)
    return loss


class _UpsampledCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, labels: Tensor, ignored: int, factor: int) -> Tensor:
        height, width = scores.shape[1:]
        wanted = ctx.needs_input_grad[0]
        padded = F.pad(scores[None], (1, 1, 1, 1), mode="replicate")[0]
        gradient = torch.zeros_like(padded)
        phase, total = torch.empty_like(scores), scores.new_zeros(())
        for row, (top, below) in enumerate(neighbours(factor)):
            lines = padded[:, top : top + height].lerp(padded[:, top + 1 : top + 1 + height], below)
            lines_gradient = torch.zeros_like(lines)
            for column, (left, beside) in enumerate(neighbours(factor)):
                torch.lerp(
                    lines[:, :, left : left + width], lines[:, :, left + 1 : left + 1 + width], beside, out=phase
                )
                total += _cross_entropy(phase, labels[row::factor, column::factor], ignored)
                if wanted:
                    lines_gradient[:, :, left : left + width].add_(phase, alpha=1 - beside)
                    lines_gradient[:, :, left + 1 : left + 1 + width].add_(phase, alpha=beside)
            if wanted:
                gradient[:, top : top + height].add_(lines_gradient, alpha=1 - below)
                gradient[:, top + 1 : top + 1 + height].add_(lines_gradient, alpha=below)
        ctx.save_for_backward(_without_padding(gradient) if wanted else None)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return outer * gradient, None, None, None


def _cross_entropy(scores: Float[Tensor, "K h w"], labels: Int[Tensor, "h w"], ignored: int) -> Float[Tensor, ""]:
    """The sum over the pixels that count; `scores` become its gradient, softmax - one-hot."""
    counted = labels != ignored
    own = torch.where(counted, labels, 0)[None]
    weight = counted.to(scores.dtype)
    scores -= scores.amax(0)
    own_score = scores.gather(0, own)[0]
    total = scores.exp_().sum(0)
    scores *= weight / total
    scores.scatter_add_(0, own, -weight[None])
    return ((total.log() - own_score) * weight).sum()


def _without_padding(gradient: Float[Tensor, "K _ _"]) -> Float[Tensor, "K _ _"]:
    """The gradient with that of the repeated border added to where it came from."""
    gradient[:, 1] += gradient[:, 0]
    gradient[:, -2] += gradient[:, -1]
    gradient[:, :, 1] += gradient[:, :, 0]
    gradient[:, :, -2] += gradient[:, :, -1]
    return gradient[:, 1:-1, 1:-1]
